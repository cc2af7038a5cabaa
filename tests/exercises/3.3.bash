# shellcheck shell=bash disable=SC2034,SC2154
name=3-one-buffer
chapter=03-batch-submit
kind='find the bug'
title='a buffer that is used again too early'
reason='*AIO_LATE=newest*expected: demo.dat*in block 0*got: *there: "block *'

check() {
    blocks 20 512 >expected

    situation 'Here, where each write is done when io_submit() returns:'
    watch=yes run demo.dat
    expect_success
    expect_output 'blocks: 20'
    expect_same demo.dat expected 512
    [[ $(calls pwrite) == 0 && $(calls write) == 0 ]] ||
        fail 'each block is written by a request' \
            "calls of pwrite: $(calls pwrite), of write: $(calls write)"
    (($(most_in_flight) == 4)) ||
        fail '4 requests in flight' "at most $(most_in_flight)"

    situation 'On a disk that takes its time:'
    late=newest watch=yes run demo.dat
    expect_success
    expect_same demo.dat expected 512
    expect_output 'blocks: 20'
    hint 0
    expect_window 4 20

    situation 'There, the oldest first:' 2
    late=oldest run demo.dat
    expect_success
    expect_same demo.dat expected 512

    situation 'There, with one event at a time:' 3
    AIO_FAULT='io_getevents@*=short=1 io_getevents@2=EINTR' late=newest \
        run demo.dat
    expect_success
    expect_same demo.dat expected 512

    situation 'A write fails:' 0
    AIO_FAULT='io_getevents@3=res=-EIO' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: *'
}

hints=(
    'Four requests are in flight, and one buffer holds their data. Whose data
is it when the disk comes to the first of them? (The iocb is another matter:
the kernel has made a copy of it when io_submit() returns.)'
    'Four buffers, then. But which of them is free? Not the one that was filled
longest ago: requests are done in any order.'
    'Put the number of its buffer into aio_data of each request. The event
brings it back, in data: from then on this buffer is free. Keep a list of the
free ones.'
)
notice='one iocb is still enough, for the kernel has copied it when io_submit()
returns. Only what it points to must wait for the event.'

wrong=(
    'one request at a time|
        s/in_flight < DEPTH)/in_flight < 1)/'
    'it waits for all four|
        s/io_getevents(ctx, 1, DEPTH/io_getevents(ctx, in_flight, DEPTH/'
    'four buffers in turn, whichever is done @late-newest|
        s/buffer = idle.*/buffer = submitted % DEPTH;/
        s/idle\[nr_idle++\] = events.*//'
    'the buffer is the number of those in flight @late-oldest|
        s/buffer = idle.*/buffer = in_flight;/
        s/idle\[nr_idle++\] = events.*//'
    'the buffer is free when io_submit has returned @late-newest|
        s/submitted++;/& idle[nr_idle++] = buffer;/
        s/idle\[nr_idle++\] = events.*//'
    'what is wrong is mended in the end, without a request @late-newest|
        s/data\[buffer\]/data[0]/
        s/^static void reap_some/static void fill(char *data, long block);\n&/
        s/^    printf("blocks: /    for (long i = 0; i < blocks; i++) {\
        fill(data[0], i);\
        if (pwrite(fd, data[0], BLOCK, i * BLOCK) != BLOCK)\
            err(1, "IOCB_CMD_PWRITE %s", path);\
    }\n&/'
    'an iocb for each, but one buffer @late-newest|
        s/data\[buffer\]/data[0]/'
)
right=(
    'the buffer that is free for the longest time comes first|
        s/buffer = idle\[--nr_idle\];/buffer = idle[0];\
    memmove(idle, idle + 1, --nr_idle * sizeof(*idle));/'
    'one event a call|
        s/io_getevents(ctx, 1, DEPTH/io_getevents(ctx, 1, 1/'
    'a buffer for each block of the file|
        s/^static char data\[DEPTH\]/static char data[1000000]/
        s/data\[buffer\]/data[submitted]/'
)
