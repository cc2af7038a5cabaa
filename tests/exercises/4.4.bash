# shellcheck shell=bash disable=SC2034,SC2154
name=4-ahead
chapter=04-odirect
kind='find the bug'
title='no write is under way: each makes the file longer'
reason='*expected: *demo.dat has blocks for 524288 bytes*got: 0 bytes*'

# input NR: NR lines of nine digits and a newline, in ./input.
input() {
    given="seq -f '%09.0f' $1 >input"
    awk -v nr="$1" 'BEGIN {
        for (i = 1; i <= nr; i++)
            printf "%09d\n", i
    }' >input
}

# at N: runs it, and looks at the file ahead of the Nth io_submit(): $length
# and $room, bytes; $end is where the requests of that call end.
at() {
    local try

    try=$given$'\n    '"AIO_WATCH_AT=\"$1 stat -c '%s bytes, %b blocks'"
    try+=$' demo.dat\" \\\n        LD_PRELOAD=tests/helpers/fault.so \\'
    try+=$'\n        '"$chapter/exercises/$name demo.dat <input"
    echo 0 0 0 >"$work/at"
    AIO_WATCH_AT="$1 stat -c '%s %b %B' demo.dat >'$work/at'" watch=yes \
        input=input run demo.dat
    read -r length room size <"$work/at"
    room=$((room * size))
    end=$(awk -v n="$1" '$1 == "submit" && ++calls == n {
        for (i = 2; i <= NF; i++) {
            split($i, part, ":")
            if (part[2] + part[3] > end)
                end = part[2] + part[3]
        }
        print end
    }' "$work/watch")
}

# afterwards N: from now on it is not about one io_submit() any more.
afterwards() {
    situation '2621440 bytes, as 40 blocks; demo.dat afterwards:' "$1"
    command=$given$'\n    '"$chapter/exercises/$name demo.dat <input"
    traced=$command
}

check() {
    local length room size end n few='fallocate@*=EOPNOTSUPP'

    few+=' posix_fallocate@*=EOPNOTSUPP'
    input 262144 # 2.5 MiB: 40 blocks
    for n in 1 2 3 5; do
        situation "2621440 bytes; demo.dat ahead of io_submit number $n:"
        at "$n"
        [[ $errors != *'open demo.dat: Invalid argument' ]] ||
            skip 'there is no O_DIRECT on this filesystem'
        [[ -n $end ]] || fail 'five calls of io_submit or more' "$(trace)"
        if ((room < end)) && command -v fallocate >/dev/null &&
            ! fallocate -l 65536 "$work/try" 2>/dev/null; then
            skip 'this filesystem cannot allocate space ahead'
        fi
        ((room >= end)) ||
            fail "demo.dat has blocks for $end bytes, where the writes end" \
                "$room bytes"
        hint 2
        ((length >= end)) ||
            fail "demo.dat is $end bytes long or more: no write lengthens it" \
                "$length bytes"
        hint 3
        ((length <= end + 1048576)) ||
            fail "demo.dat has at most 1048576 bytes more than $end" \
                "$length bytes"
        afterwards 3
        expect_success
        expect_same demo.dat input 65536
        expect_output 'written: 2621440 bytes'
    done
    situation '2621440 bytes, as 40 blocks, in five calls:' 3
    n=$(($(calls fallocate) + $(calls posix_fallocate)))
    ((n <= 3)) ||
        fail 'no more than three allocations, of 1 MiB each' "$n of them"
    hint 0
    expect_direct
    (($(most_in_flight) == 8)) ||
        fail '8 writes in flight at some time' "at most $(most_in_flight)"
    for n in 0 6554 52429; do
        input "$n"
        situation "An input of $((n * 10)) bytes:" 3
        input=input run demo.dat
        expect_success
        expect_same demo.dat input 65536
        expect_output "written: $((n * 10)) bytes"
    done

    input 120000
    situation 'A filesystem that cannot allocate ahead:' 3
    AIO_FAULT=$few input=input run demo.dat
    expect_success
    expect_same demo.dat input 65536

    situation 'There is no room for the second MiB:' 0
    AIO_FAULT='fallocate@2=ENOSPC posix_fallocate@2=ENOSPC' \
        input=input run demo.dat
    expect_error '*fallocate demo.dat: No space left on device' \
        'fallocate demo.dat: No space left on device'
    situation 'A write fails:' 0
    AIO_FAULT='io_getevents@1=res=-EIO' input=input run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: *'
    situation 'The file cannot be cut:' 3
    AIO_FAULT='ftruncate@*=EIO' input=input run demo.dat
    expect_error 'ftruncate demo.dat: *'
}

hints=(
    'Which requests would be waited for? would-it-wait.c asks the kernel: a
write at the end, and one into a hole. What do these have in common that a write
into allocated space has not?'
    'fallocate(fd, 0, offset, length) ahead of the submission. With
FALLOC_FL_KEEP_SIZE, as its second argument, the blocks are there, but the file
is as long as before: so each write still makes it longer.'
    'Keep in a variable up to where space is allocated; while that is less than
the end of the next writes, allocate AHEAD more. EOPNOTSUPP: as if it had
worked. At the end the file is longer than the input, also if that is a
multiple of BLOCK: cut always.'
)
notice='posix_fallocate() returns the error and leaves errno alone, and where
the filesystem cannot allocate, glibc writes a byte into each block instead.
Allocated blocks are not written yet: the first write into each has still
something to note, but that can wait.'

wrong=(
    'the blocks are there, but the file is no longer|s/fallocate(fd, 0, allocated, AHEAD)/fallocate(fd, 1, allocated, AHEAD)/'
    'the file is long, but there are no blocks|s/fallocate(fd, 0, allocated, AHEAD)/ftruncate(fd, allocated + AHEAD)/'
    'behind the writes|/^        allocate(fd/d; s/^        size += length;/&\n        allocate(fd, (size + BLOCK - 1) \/ BLOCK * BLOCK);/'
    'only the first MiB|s/    while (allocated < end) {/    while (allocated == 0) {/'
    'too little: for what was read before|s/allocate(fd, size + .*/allocate(fd, size);/'
    'each call allocates for itself|s/AHEAD = 1 << 20/AHEAD = DEPTH * BLOCK/'
    'all of a disk at once|s/AHEAD = 1 << 20/AHEAD = 16 << 20/'
    'what was not used stays, if the input is whole blocks|s/if (ftruncate/if (size % BLOCK != 0 \&\& ftruncate/'
    'a filesystem that cannot is an error|s/ || errno == EOPNOTSUPP)/)/'
    'no room is no error|s/|| errno == EOPNOTSUPP)/|| errno != EINTR)/'
    'errno, where posix_fallocate() returns the error|s/if (fallocate(fd, 0, allocated, AHEAD) == 0/if (posix_fallocate(fd, allocated, AHEAD) == 0 || errno == 0/'
    'without O_DIRECT nobody waits for a disk|s/ | O_DIRECT//'
    'one write at a time|s/io_submit(ctx, nr - submitted,/io_submit(ctx, submitted < nr,/; s/^        if (n > 0)$/&/; s/            submitted += n;/{ submitted += n; io_getevents(ctx, 1, 1, events + reaped++, NULL); }/'
)
right=(
    'posix_fallocate(), which returns the error|s/        if (fallocate(fd, 0, allocated, AHEAD) == 0/        errno = posix_fallocate(fd, allocated, AHEAD);\n        if (errno == 0/'
    'no call needs two steps|s/    while (allocated < end) {/    if (allocated < end) {/'
    'from 0 each time, as far as it goes|s/fallocate(fd, 0, allocated, AHEAD)/fallocate(fd, 0, 0, allocated + AHEAD)/'
)
