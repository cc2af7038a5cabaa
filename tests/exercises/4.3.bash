# shellcheck shell=bash disable=SC2034,SC2154
name=3-nowait
chapter=04-odirect
kind='fill in'
title='which reads would wait: the kernel knows'
reason='*expected: the first request*RWF_NOWAIT*got:*4096@16384 without*'

# told N ANSWER: the line for that block of demo.dat.
told() {
    tail -c "+$(($1 * 4096 + 1))" demo.dat | head -c 4096 | od -An -v -tu1 |
        awk -v start="block $1: $2" '
        { for (i = 1; i <= NF; i++) { bytes++; sum += $i } }
        END { printf "%s, %d bytes, sum %d\n", start, bytes, sum }'
}

# asked: the requests of the last run, with AIO_TRACE, in words.
asked() {
    awk '/^io_submit / {
        print $7, ($0 ~ / rw_flags=8( |$)/ ? "with" : "without")
    }' "$work/trace"
}

# so_asked EXPECTED: not so. The report has what was asked.
so_asked() {
    fail "$1" $'\n'"$(asked | sed 's/^/    /; s/$/ RWF_NOWAIT/')
    (requests are bytes@offset)"
}

check() {
    local answer fault refuses=''

    given 'seq 4000 >demo.dat'
    situation 'The last block of 18893 bytes, and one behind it:'
    : >"$work/trace"
    AIO_TRACE=$work/trace run demo.dat 4 9
    [[ $(asked | head -n 1) == '2509@16384 with' ||
        $(asked | head -n 1) == '4096@16384 with' ]] ||
        so_asked 'the first request for a block has RWF_NOWAIT'
    hint 3
    expect_success
    [[ $output != *'cannot be asked'* ]] || refuses=yes
    answer='does not wait'
    [[ -z $refuses ]] || answer='cannot be asked'
    expect_output "$(told 4 "$answer" && told 9 "$answer")"
    expect_calls pread 0
    expect_calls read 0
    expect_calls preadv 0

    for fault in io_submit@1=EOPNOTSUPP io_submit@1=EINVAL; do
        situation 'The filesystem or the kernel does not have the flag:' 2
        AIO_FAULT=$fault run demo.dat 2
        expect_success
        expect_output "$(told 2 'cannot be asked')"
    done

    situation 'There is no room in the context, so that nobody has answered:' 2
    AIO_FAULT='io_submit@1=EAGAIN' run demo.dat 2
    expect_error 'io_submit: Resource temporarily unavailable'

    situation 'Nor does io_submit() take the request without the flag:' 2
    AIO_FAULT='io_submit@1=EOPNOTSUPP io_submit@2=EINVAL' run demo.dat 2
    expect_error '*: Invalid argument' 'io_submit: Invalid argument'
    expect_output ''

    # Where it is refused, there are no events of it that could be changed.
    [[ -z $refuses ]] || return 0
    situation 'The first block would wait, and the second would not:' 3
    : >"$work/trace"
    AIO_FAULT='io_getevents@1=res=-EAGAIN' AIO_TRACE=$work/trace \
        run demo.dat 1 3
    expect_success
    expect_output "$(told 1 'would wait' && told 3 'does not wait')"
    [[ $(asked | tr '\n' , ) == \
        '4096@4096 with,4096@4096 without,4096@12288 with,' ]] ||
        so_asked 'with the flag, without it, and with it for the next block'

    for fault in EOPNOTSUPP EINVAL; do
        situation 'It is the event that says that there is no such flag:' 2
        AIO_FAULT="io_getevents@1=res=-$fault" run demo.dat 2
        expect_success
        expect_output "$(told 2 'cannot be asked')"
    done

    situation 'The first 1000 bytes of block 2 are in memory, and no more:' 3
    : >"$work/trace"
    AIO_TRACE=$work/trace AIO_FAULT='io_getevents@1=res=1000' run demo.dat 2
    expect_success
    expect_output "$(told 2 'would wait in part')"
    (($(asked | grep -c without) >= 1)) ||
        so_asked 'a request for the rest, without the flag'

    situation 'The disk is broken, and the first answer says so:' 2
    AIO_FAULT='io_getevents@1=res=-EIO' run demo.dat 2
    expect_error 'IOCB_CMD_PREAD demo.dat: *'
    situation 'The disk is broken, and the second answer says so:' 0
    AIO_FAULT='io_getevents@1=res=-EAGAIN io_getevents@2=res=-EIO' \
        run demo.dat 2
    expect_error 'IOCB_CMD_PREAD demo.dat: *'
    expect_output ''
}

hints=(
    'The flag goes into aio_rw_flags of the request; see request() of
would-it-wait.c, and ask() there. Print res for a block that is in memory.'
    'Two calls have an errno: io_submit() returns -1 where the flag is not known
(EOPNOTSUPP; EINVAL by old kernels), and the event brings -EAGAIN. Have
request() return the negative errno for the first two only; EAGAIN of
io_submit() means that there is no room.'
    'got is 0 unless there was an answer. While got is less than BLOCK, ask for
the rest without the flag, until that brings 0: the end of the file. Did the
first answer bring some, and the rest some more? Then it would wait in part.'
)
notice='RWF_NOWAIT is more than a detector. A server reads with it first: what
is in memory is served at once, and only the rest goes to threads that may
wait.'

wrong=(
    'nobody asks|s/, RWF_NOWAIT);/, 0);/'
    'what would wait is an error|s/    if (res == -EAGAIN)/    if (res == 1)/'
    'what cannot be asked is an error|s/    else if (res == -EOPNOTSUPP || res == -EINVAL)/    else if (res == 1)/'
    'only the event is looked at|s/    if (n == -1 && flags && (errno == EOPNOTSUPP || errno == EINVAL))/    if (0)/'
    'old kernels are forgotten|s/ || errno == EINVAL))/))/; s/ || res == -EINVAL)/)/'
    'no room in the context is an answer|s/(errno == EOPNOTSUPP || errno == EINVAL)/(errno == EOPNOTSUPP || errno == EINVAL || errno == EAGAIN)/'
    'what would wait is not read|s/^    while (got < BLOCK) {/    while (res >= 0 \&\& got < BLOCK) {/'
    'a short answer is all there is @short|s/^    while (got < BLOCK) {/    while (res < 0 \&\& got < BLOCK) {/'
    'asked again and again with the flag|s/request(fd, block, got, 0)/request(fd, block, got, RWF_NOWAIT)/'
    'what has come already counts twice @short|s/.aio_nbytes = BLOCK - at/.aio_nbytes = BLOCK/; s/(data + at)/data/; s/BLOCK + at,/BLOCK,/'
    'a short answer is the end of the file, always|s/answer = "would wait in part"/answer = "does not wait"/'
    'refused without the flag: the end of the file|s/^    if (n != 1)$/    if (n == -1 \&\& !flags)\n        return 0;\n&/'
    'the rest is read by pread()|s/more = check(request(fd, block, got, 0));/more = check(pread(fd, data + got, BLOCK - got, (long long)block * BLOCK + got));/'
)
right=(
    'the whole block again, instead of its rest|s/request(fd, block, got, 0)/request(fd, block, 0, 0)/; s/^        got += more;/        if (more <= got)\n            break;\n        got = more;/; s/^        if (res > 0)/        if (res > 0 \&\& more > got)/; s/^        if (more == 0)/        if (more == 0 \&\& got == 0)/'
    'a switch|s/^    if (res == -EAGAIN)/    switch (res) { case -EAGAIN:/; s/^        answer = "would wait";/&break;/; s/^    else if (res == -EOPNOTSUPP || res == -EINVAL)/    case -EOPNOTSUPP: case -EINVAL:/; s/^        answer = "cannot be asked";/&break;/; s/^    else$/    default:/; s/^        got = check(res);/& }/'
)
