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

    situation 'Only one event comes at a time:'
    AIO_FAULT='io_getevents@*=short=1' watch=yes run demo.txt 4
    expect_success
    expect_line 'lines: 20000'
    # How many are in flight, at least, until the last block is submitted?
    least=$(awk '
    $1 == "submit" {
        n += NF - 1
        all += NF - 1
        if (all > 4 && before < least)
            least = before
    }
    $1 == "reap" { n -= $2 }
    BEGIN { least = 4 }
    { before = n }
    END { print least }' "$work/watch")
    ((least >= 3)) ||
        fail 'a free place is taken again at once, so 3 or 4 are in flight' \
            "only $least were when more were submitted"

    situation 'On a disk that takes its time, with a window of 3:'
    late=yes run demo.txt 3
    expect_success
    expect_line 'lines: 20000'

    situation 'Partial submissions, short reads, interrupted waits:'
    AIO_FAULT='io_submit@*=short=1 io_getevents@3=res=1000
        io_getevents@5=EINTR' run demo.txt 2
    expect_success
    expect_line 'lines: 20000'
    expect_line 'in flight: at most 2 of 2'

    situation 'A read fails in the middle:'
    AIO_FAULT='io_getevents@3=res=-EIO' run demo.txt 4
    expect_error 'IOCB_CMD_PREAD demo.txt: *'

    situation 'A file with nothing in it:'
    given ': >demo.txt'
    run demo.txt 2
    expect_success
    expect_line 'lines: 0'
}

hints=(
    'The preparing must go into the loop: a request for each place that is
free, as long as blocks are left; then submit, reap, and again. Which places
are free? Keep a list of them.'
    'All places are idle in the beginning. idle[--nr_idle] is the next one to
use, and idle[nr_idle++] = request gives one back, once all of its block is
read. Each event knows its request: aio_data.'
    '../batch-submit.c has the same window, for writing. There, as here,
calloc() and io_setup() take depth, and not the number of blocks.'
)

wrong=(
    'waits until the window is empty|
        s/while (nr_idle > 0/while (nr_idle > 0 \&\& in_flight == 0/'
    'a place is free as soon as its request is submitted|
        s/idle\[--nr_idle\]/\&window[nr_idle--, prepared % depth]/'
    'one too many|
        s/depth = number(.*/&\n    depth++;/'
    'one at a time|
        s/while (nr_idle > 0/while (nr_idle == depth/'
    'the rest of a short read is lost|
        s/if (iocb->aio_nbytes > 0)/if (0)/'
)
