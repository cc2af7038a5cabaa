# shellcheck shell=bash disable=SC2034,SC2154
name=2-window
chapter=03-batch-submit
kind='extend'
title='never more than DEPTH in flight, and never fewer'
reason='*expected: at most 4 requests in flight*got: 27*'

check() {
    given 'seq 20000 >demo.txt'

    situation 'A file of 27 blocks, with a window of 4:'
    watch=yes run demo.txt 4
    expect_success
    expect_line 'lines: 20000'
    (($(most_in_flight) <= 4)) ||
        fail 'at most 4 requests in flight' "$(most_in_flight)"
    (($(most_in_flight) == 4)) ||
        fail '4 requests in flight at some time' "at most $(most_in_flight)"
    expect_line 'in flight: at most 4 of 4'

    situation 'On a slow disk, which does the newest block first:' 2
    late=newest watch=yes run demo.txt 4
    expect_success
    expect_line 'lines: 20000'
    hint 0
    expect_window 4 27

    situation 'There, the oldest block first:' 2
    late=oldest run demo.txt 4
    expect_success
    expect_line 'lines: 20000'

    situation 'No room for the third request, until one is done:' 0
    AIO_FAULT='io_submit@1=short=2 io_submit@2=EAGAIN' run demo.txt 4
    expect_success
    expect_line 'lines: 20000'

    situation 'More places than blocks:' 0
    run demo.txt 30
    expect_success
    expect_line 'in flight: at most 27 of 30'

    situation 'Partial submissions, short reads, interrupted waits:' 2
    AIO_FAULT='io_submit@*=short=1 io_getevents@3=res=1000
        io_getevents@5=EINTR' run demo.txt 2
    expect_success
    expect_line 'lines: 20000'
    expect_line 'in flight: at most 2 of 2'

    situation 'A read fails in the middle:' 0
    AIO_FAULT='io_getevents@3=res=-EIO' run demo.txt 4
    expect_error 'IOCB_CMD_PREAD demo.txt: *'

    situation 'Room for two, though four are wanted:' 0
    given 'seq 4000 >demo.txt'
    AIO_FAULT='io_submit@2=EAGAIN io_submit@4=EAGAIN io_submit@6=EAGAIN
        io_submit@8=EAGAIN io_submit@10=EAGAIN io_submit@12=EAGAIN
        io_submit@*=short=2' watch=yes run demo.txt 4
    expect_success
    expect_line 'lines: 4000'
    expect_line "in flight: at most $(most_in_flight) of 4"

    situation 'A file with nothing in it:'
    given ': >demo.txt'
    run demo.txt 2
    expect_success
    expect_line 'lines: 0'
    expect_line 'in flight: at most 0 of 2'

    # (Not every filesystem has files as long as that.)
    situation 'A file far longer than the memory; its first read fails:' 3
    if truncate -s 1T demo.txt 2>/dev/null; then
        given='truncate -s 1T demo.txt'
        AIO_FAULT='io_getevents@1=res=-ENODEV' run demo.txt
        [[ $errors == *'open demo.txt: '* ]] ||         # 32 bits
            expect_error 'IOCB_CMD_PREAD demo.txt: No such device'
    fi
}

hints=(
    'The preparing must go into the loop: a request for each place that is
free, as long as blocks are left; then submit, reap, and again. Which places
are free? Keep a list of them.'
    'All places are idle in the beginning. idle[--nr_idle] is the next one to
use, and idle[nr_idle++] = request gives one back, once all of its block is
read. Each event knows its request: aio_data.'
    'batch-submit.c has the same window, for writing. There, as here,
calloc() and io_setup() take depth, and not the number of blocks.'
)
notice='a place goes back to the list when its block is complete, not when an
event comes: after a short read it is still taken. No place is tied to a block.'

wrong=(
    'waits until the window is empty|
        s/; nr_idle > 0 /; nr_idle > 0 \&\& in_flight == 0/'
    'a place is free as soon as its request is submitted @late-newest|
        s/idle\[--nr_idle\]/\&window[nr_idle--, prepared % depth]/'
    'the place is the number of those in flight @late-oldest|
        s/idle\[--nr_idle\]/\&window[depth - nr_idle--]/'
    'one too many|
        s/depth = number(.*/&\n    depth++;/'
    'one at a time|
        s/; nr_idle > 0 /; nr_idle == depth /'
    'it waits for all that are in flight|
        s/reap(ctx, 1)/reap(ctx, in_flight)/'
    'a buffer for each block, though only some are in flight|
        s/calloc(depth, sizeof(.window)/calloc(blocks + depth, sizeof(*window)/
        s/= idle\[--nr_idle\]/= \&window[nr_idle--, prepared]/'
    'a context for all blocks|s/io_setup(depth/io_setup(blocks + depth/'
    'no room is the end|s/errno == EAGAIN && in_flight > 0/0/'
    'it prints what it was told, not what it saw|s/most, depth)/depth, depth)/'
    'so it does, but only if there is anything to read|
        s/most = in_flight;/most = depth;/'
    'it prints what could be in flight, not what was|
        s/most = in_flight;/most = depth < blocks ? depth : blocks;/'
    'the rest of a short read is lost @short|
        s/if (iocb->aio_nbytes > 0)/if (0)/'
)
right=(
    'the place that is idle for the longest time comes first|
        s/^        struct request \*request = idle.*/\
        struct request *request = idle[0];/
        s/^        request->iocb = /        nr_idle--;\
        memmove(idle, idle + 1, nr_idle * sizeof(*idle));\n&/'
    'one event a call|s/io_getevents(ctx, min_nr, 64/io_getevents(ctx, min_nr, 1/'
    'one request a call|s/io_submit(ctx, nr_ready, ready)/io_submit(ctx, 1, ready)/'
    'it waits by io_pgetevents|
        s/SYS_io_getevents, ctx, min_nr, nr, events, timeout/\
            SYS_io_pgetevents, ctx, min_nr, nr, events, timeout, NULL/'
)
