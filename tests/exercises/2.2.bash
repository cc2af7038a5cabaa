# shellcheck shell=bash disable=SC2034,SC2154
name=2-res-not-res2
chapter=02-single-write
kind='find the bug'
title='find the errors where they are, in res'
reason='*res=-ENOSPC*expected: status 1*No space left*got: status 0*'

check() {
    situation 'A write that works:'
    run demo.txt
    expect_success
    expect_output 'written: 27 bytes'
    expect_file demo.txt $'Hello, asynchronous world!\n'
    expect_calls io_submit 1+

    situation 'The disk is full, so the event brings -ENOSPC:'
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.txt
    ((status == 0)) || hint 2
    expect_error 'IOCB_CMD_PWRITE demo.txt: No space left on device'

    situation 'Only 5 of 27 bytes are written:' 3
    AIO_FAULT='io_getevents@1=res=5' run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt*: I*' \
        'IOCB_CMD_PWRITE demo.txt (what you like): (the text of EIO)'
    expect_output ''

    situation 'None of 27 bytes is written, and there is no error either:' 3
    AIO_FAULT='io_getevents@1=res=0' run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt*: I*' \
        'IOCB_CMD_PWRITE demo.txt (what you like): (the text of EIO)'
    expect_output ''

    situation 'An interrupted wait goes on:' 0
    AIO_FAULT='io_getevents@1=EINTR' run demo.txt short
    expect_success
    expect_output 'written: 5 bytes'
    expect_file demo.txt short

    situation 'No file may get any size, so the event brings -EFBIG:' 2
    file_limit=0 run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt: File too large'
}

hints=(
    'Print all four fields of the event in the failing case. Which of them
changes when the disk is full?'
    'An error is in event.res, as a negative number. err() prints the text of
errno, which nobody has set: errno = -event.res.'
    'Two comparisons are needed: res < 0 is an error, and a res that is less
than strlen(text) is a write that is not whole (set errno to EIO). Compare
single-write.c, the paragraph "Check".'
)
notice='two comparisons, two answers: a negative res is an error number, and one
that is too small has none, so the program chooses EIO. What is printed is res.'

wrong=(
    'a write of nothing is an error without a number|
        s/event.res < 0/event.res <= 0/'
    'res is looked at, but errno is not set|
        /errno = -event.res;/d'
    'a short write is taken for a whole one @short|
        s/(size_t)event.res != /0 \&\& &/'
    'a short write has no errno of its own|
        s/errno = EIO;$/errno = -event.res;/'
    'the sign is forgotten|
        s/errno = -event.res;/errno = event.res;/'
    'the text of the error is one and the same|
        s/errno = -event.res;/errno = ENOSPC;/'
    'what was hoped for is printed, and it ends well|s/^        err(1, "IOCB_CMD_PWRITE %s", path);/        warn("IOCB_CMD_PWRITE %s", path);/'
)
right=(
    'one comparison for both|s/    if (event.res < 0) {/    if (event.res != (long long)strlen(text)) {/; s/errno = -event.res;/errno = event.res < 0 ? -event.res : EIO;/'
    'errx() and strerror()|s/^        errno = -event.res;$//; s/^        err(1, "IOCB_CMD_PWRITE %s", path);/        errx(1, "IOCB_CMD_PWRITE %s: %s", path, strerror(-event.res));/'
    'a poll of the ring, by time-outs of zero|s/n = io_getevents(ctx, 1, 1, &event, NULL);/n = io_getevents(ctx, 1, 1, \&event, \&(struct __kernel_old_timespec){ 3600, 0 });/'
)
