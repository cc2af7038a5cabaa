# shellcheck shell=bash disable=SC2034,SC2154
name=1-dropped-tail
chapter=03-batch-submit
kind='find the bug'
title='io_submit takes three of eight requests'
reason='*io_submit@1=short=3*expected: demo.dat*in block 3*got: *zeros*'

check() {
    blocks 20 512 >expected

    situation 'All is taken at once:'
    run demo.dat
    expect_success
    expect_output 'blocks: 20'
    expect_same demo.dat expected 512
    expect_calls io_submit 3

    situation 'The first io_submit() takes three of eight requests:'
    AIO_FAULT='io_submit@1=short=3' run demo.dat
    expect_success
    expect_same demo.dat expected 512
    [[ $(calls pwrite) == 0 && $(calls write) == 0 ]] ||
        fail 'the other blocks are written by requests, too' \
            "calls of pwrite: $(calls pwrite), of write: $(calls write)"

    situation 'The same, on a disk that takes its time:' 2
    AIO_FAULT='io_submit@1=short=3' late=newest watch=yes run demo.dat
    expect_success
    expect_same demo.dat expected 512
    (($(most_in_flight) <= 8)) ||
        fail 'all 8 are reaped before the next 8 are submitted' \
            "up to $(most_in_flight) in flight"

    situation 'Each io_submit() takes one; some calls are interrupted:' 2
    AIO_FAULT='io_submit@1=EINTR io_submit@4=EINTR io_submit@*=short=1
        io_getevents@2=EINTR' run demo.dat
    expect_success
    expect_output 'blocks: 20'
    expect_same demo.dat expected 512

    situation 'The first takes three, because the fourth is a bad request:' 0
    AIO_FAULT='io_submit@1=short=3 io_submit@2=EBADF' run demo.dat
    expect_error 'io_submit: Bad file descriptor'

    situation 'The second call finds no room, and nothing will ever make any:' \
        0
    AIO_FAULT='io_submit@2+=EAGAIN' run demo.dat
    expect_error 'io_submit: Resource temporarily unavailable'

    situation 'A write fails:' 0
    AIO_FAULT='io_getevents@1=res=-EIO' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: *'
}

hints=(
    'io_submit() returns how many requests it has taken. Where in main() is
that number used, and where is another one used in its place?'
    'Eight are prepared, three are taken: then three events come, and the next
block to write is the one behind those three.'
    'done must grow by taken. The blocks that were not taken are then prepared
again, as the first ones of the next batch.'
)
notice='taken is the only number to go by: it says how many events to wait for,
and where to go on. Nobody asks why the call took fewer; the next one tells.'

wrong=(
    'waits for those, too, that were not taken @partial|
        s/reap_all(ctx, taken)/reap_all(ctx, batch)/'
    'avoids it with one request a call|
        s/BATCH = 8,/BATCH = 1,/'
    'submits the rest, and waits for the last part only @partial|
        s/^        err(1, "io_submit");/&\
    for (int all = taken; all < batch; all += taken)\
        if ((taken = io_submit(ctx, batch - all, list + all)) == -1)\
            err(1, "io_submit");/
        s/done += taken;/done += batch;/'
    'tries for ever where there is no room|
        s/taken == -1 && errno == EINTR/taken == -1 \&\& errno != EBADF/'
    'takes a part for a failure @partial|
        s/if (taken == -1)/if (taken != batch)/'
    'gives up without a word @refused|
        s/err(1, "io_submit");/exit(0);/'
)
right=(
    'the rest is submitted before anything is reaped|
        s/^        taken = submit_batch(ctx, batch);/        taken = 0;\
        do {\
            int n = submit_batch(ctx, batch - taken);\
\
            taken += n;\
            memmove(list, list + n, (batch - taken) * sizeof(*list));\
        } while (taken < batch);/'
    'one wait for all that were taken|
        s/io_getevents(ctx, 1, nr, events/io_getevents(ctx, nr, nr, events/'
    'the rest stays in the list, and is not filled anew|
        s/^        int batch = .*/        static int kept;\n&/
        s/^        prepare_batch(fd, done, batch);/        if (kept == 0)\
            prepare_batch(fd, done, kept = batch);\
        batch = kept;/
        s/^        done += taken;.*/        done += taken;\
        kept -= taken;\
        memmove(list, list + taken, kept * sizeof(*list));/'
)
