# shellcheck shell=bash disable=SC2034,SC2154
name=5-one-call
chapter=03-batch-submit
kind='extend'
title='the same with io_uring: one call for each batch'
reason='*expected: calls of io_setup: 0*got: 1*'

# It is io_uring that has written demo.dat, and nothing else.
by_io_uring() {
    expect_success
    expect_same demo.dat expected 512
    expect_calls io_setup 0
    expect_calls io_uring_setup 1
    [[ $(calls pwrite) == 0 && $(calls write) == 0 ]] ||
        fail 'all is written by requests' \
            "calls of pwrite: $(calls pwrite), of write: $(calls write)"
}

check() {
    local other=$root/03-batch-submit/batch-submit-io_uring reason

    [[ -x $other ]] || skip 'batch-submit-io_uring is not built: make'
    reason=$("$other" tried 1 2>&1 >/dev/null) ||
        skip "io_uring cannot be used here: ${reason#*: }"
    blocks 20 512 >expected

    situation 'Twenty blocks, eight at a time:'
    run demo.dat
    by_io_uring
    expect_output 'blocks: 20'
    (($(calls io_uring_enter) == 3)) ||
        fail 'one call for each batch: 3 calls of io_uring_enter' \
            "$(calls io_uring_enter)"

    situation 'The first call takes three of eight requests:' 2
    AIO_FAULT='io_uring_enter@1=short=3' run demo.dat
    by_io_uring
    expect_output 'blocks: 20'

    situation 'Each call takes one; some are interrupted:' 3
    AIO_FAULT='io_uring_enter@1=EINTR io_uring_enter@5=EINTR
        io_uring_enter@*=short=1' run demo.dat
    by_io_uring
    expect_output 'blocks: 20'

    situation 'Two thousand blocks, many times what the rings hold:' 3
    blocks 2000 512 >expected
    run demo.dat 2000
    by_io_uring
    expect_output 'blocks: 2000'
    (($(calls io_uring_enter) == 250)) ||
        fail '250 calls of io_uring_enter' "$(calls io_uring_enter)"

    situation 'No file may be longer than four blocks:' 0
    file_limit=2 run demo.dat
    expect_error 'IORING_OP_WRITE demo.dat: File too large'

    situation 'The last block has room for the half of it only:' 0
    if command -v prlimit >/dev/null; then
        EXERCISE_UNDER="prlimit --fsize=9984 -- ${EXERCISE_UNDER-}" \
            try="prlimit --fsize=9984 $chapter/exercises/$name demo.dat" \
            run demo.dat
        expect_error 'IORING_OP_WRITE demo.dat: *'
    fi

    situation 'io_uring is forbidden:' 0
    AIO_FAULT='io_uring_setup@*=EPERM' run demo.dat
    expect_error 'io_uring_setup*: Operation not permitted' \
        'io_uring_setup: Operation not permitted'

    situation 'The second batch cannot be submitted:' 0
    AIO_FAULT='io_uring_enter@2+=EBADF' run demo.dat
    expect_error 'io_uring_enter: Bad file descriptor'
}

hints=(
    'Take make_rings() and the two wrappers from batch-submit-io_uring.c, and
put the requests of a batch into the ring as fill_ring() does there. BATCH
places are enough.'
    'io_uring_enter(ring, 8, 8, IORING_ENTER_GETEVENTS) submits eight requests
and waits until eight results are there. What it returns is the number of
requests that were taken, as with io_submit(), and not of those that are done.'
    'So count two numbers down: requests that the kernel has not taken, and
results that have not come. Call io_uring_enter() with both until there is
nothing left; after each call, take what is between cq_head and cq_tail, and
move cq_head.'
)
notice='the number that io_uring_enter() returns says what was taken, and only
the ring says what is done. If not all is taken, it does not wait at all.'

wrong=(
    'one call to submit, and one to wait|
        s/int n = io_uring_enter(ring, to_submit, left, IORING.*/int n = \
            to_submit ? io_uring_enter(ring, to_submit, 0, 0) : \
            io_uring_enter(ring, 0, left, IORING_ENTER_GETEVENTS);/'
    'a call for each block|s/BATCH = 8,/BATCH = 1,/'
    'it does not wait|s/left, IORING_ENTER_GETEVENTS/0, 0/
        s/left -= take_results();/left = take_results() * 0;/'
    'what was taken is taken for done|
        s/left -= take_results();/take_results(); left -= n > 0 ? n : 0;/
        s/int n = io_uring_enter(ring, to_submit, left,/int n = \
            io_uring_enter(ring, to_submit, 0,/'
    'a part is taken for all|s/to_submit -= n > 0 ? n : 0;/to_submit = 0;/'
    'an interrupted call is a failure|s/n == -1 && errno != EINTR/n == -1/'
    'no result is looked at|s/if (res != BLOCK)/if (0)/'
    'a part of a block is good enough|
        s/if (res != BLOCK)/if (res < 0)/'
    'only more than was asked for is a failure|
        s/if (res != BLOCK)/if (res > BLOCK)/'
    'results are not given back|
        s/__atomic_store_n(cq_head, head, __ATOMIC_RELEASE)/(void)head/'
    'all blocks have the data of the first place|
        s/.addr = (uintptr_t)data\[i\]/.addr = (uintptr_t)data[0]/'
    'written without requests|
        s/^            .opcode = IORING_OP_WRITE,/            .opcode = \
            IORING_OP_NOP,/
        s/^        fill(data\[i\], first + i);/&\
        if (pwrite(fd, data[i], BLOCK, (first + i) * BLOCK) != BLOCK) \
            err(1, "IORING_OP_WRITE %s", path);/
        s/if (res != BLOCK)/if (0)/'
)
right=(
    'only the results that are there are waited for, and then more|
        s/int n = io_uring_enter(ring, to_submit, left, IORING.*/int n = \
            io_uring_enter(ring, to_submit, to_submit ? to_submit : 1, \
            IORING_ENTER_GETEVENTS);/'
    'a ring with more places|s/io_uring_setup(BATCH, &p)/io_uring_setup(64, \&p)/'
    'as a vector of one segment|
        s/^static struct io_uring_sqe \*sqes;/&\
#include <sys\/uio.h>\
static struct iovec segments[BATCH];/
        s/.opcode = IORING_OP_WRITE/.opcode = IORING_OP_WRITEV/
        s/.addr = (uintptr_t)data\[i\]/.addr = (uintptr_t)\&segments[i]/
        s/.len = BLOCK/.len = 1/
        s/^        fill(data\[i\], first + i);/&\
        segments[i].iov_base = data[i]; segments[i].iov_len = BLOCK;/'
    'it says what may be the reason, as batch-submit-io_uring does|
        s/err(1, "io_uring_setup")/err(1, "io_uring_setup (a sandbox?)")/'
)
