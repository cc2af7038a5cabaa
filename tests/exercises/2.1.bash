# shellcheck shell=bash disable=SC2034,SC2154
name=1-read-one
chapter=02-single-write
kind='fill in'
title='read: all of it, a part, the end of the file'
reason='*expected: status 0*got: status 1*IOCB_CMD_PREAD demo.txt*error*'

check() {
    given 'seq 100 >demo.txt'

    situation 'A read from the middle of a file of 292 bytes:'
    run demo.txt 10 20
    expect_success
    expect_output "20 bytes at 10: all"$'\n'"$(tail -c +11 demo.txt |
        head -c 20)"
    expect_calls io_submit 1
    expect_calls pread 0
    expect_calls read 0

    situation 'A read that reaches past its end:' 2
    run demo.txt 282 64
    expect_success
    expect_output $'64 bytes at 282: only 10\n98\n99\n100'

    situation 'A read that begins at its end:' 2
    run demo.txt 292 1
    expect_success
    expect_output '1 bytes at 292: none, the end of the file'

    situation 'The disk has been unplugged, so the event brings -ENODEV:' 2
    AIO_FAULT='io_getevents@1=res=-ENODEV' run demo.txt
    expect_error 'IOCB_CMD_PREAD demo.txt: No such device'
    expect_output ''

    situation 'A folder, which io_submit() refuses:' 0
    run .
    expect_error 'io_submit: Invalid argument'

    situation 'A longer read, of a file that is no text: it has zeros in it:' 3
    given "seq 100000 | tr 5 '\\0' >demo.txt"
    run demo.txt 99999 300000
    expect_success
    { echo '300000 bytes at 99999: all' && tail -c +100000 demo.txt |
        head -c 300000; } >expected
    cmp -s "$work/out" expected ||
        fail 'that line, then the 300000 bytes, and no more' \
            "$(stat -c %s "$work/out") bytes on stdout"
}

hints=(
    'Four more fields: aio_lio_opcode, aio_buf (an address, cast to uintptr_t),
aio_nbytes and aio_offset. single-write.c fills in the same ones for a write.'
    'event.res is what pread() would return. Negative: an error, errno =
-event.res. 0: the end of the file. Less than LENGTH: that is all there is.'
    'Only event.res bytes of the buffer are from the file: fwrite(data, 1,
event.res, stdout). No printf(): that ends at the first zero.'
)
notice='0 bytes and fewer bytes than asked for are answers, and have no errno.
What is behind the bytes that were read is none of the file.'

wrong=(
    'a short read is an error|
        s/    if (event.res < 0)/    if (event.res < length)/
        s/errno = -event.res/errno = event.res < 0 ? -event.res : EIO/'
    'each error is EIO|s/errno = -event.res;/errno = EIO;/'
    'what is printed ends at the first zero|
        s/fwrite(data, 1, event.res, std/printf("%.*s", (int)event.res, d/
        s/(int)event.res, dout)/(int)event.res, data)/'
    'pread() instead of a request|
        /Submit, and/,/err(1, "io_getevents")/d
        s/    .. Check: .*/    event.res = pread(fd, data, length, offset);/'
    'the end of the file is an error|
        s/    if (event.res < 0)/    if (event.res <= 0)/'
    'the offset is forgotten|
        /.aio_offset = offset,/d'
    'all of the buffer is printed|
        s/fwrite(data, 1, event.res/fwrite(data, 1, length/'
)
right=(
    'the bytes one by one, and an if for each case|s/fwrite(data, 1, event.res, stdout);/for (long i = 0; i < event.res; i++)\n        putchar(data[i]);/; s/event.res < length)/event.res != length)/'
    'read by a vector of one segment|s/^    iocb = (struct iocb){/    struct { void *base; size_t length; } segment = { data, length };\n&/; s/IOCB_CMD_PREAD,/IOCB_CMD_PREADV,/; s/(uintptr_t)data,/(uintptr_t)\&segment,/; s/aio_nbytes = length/aio_nbytes = 1/'
    'memory that is zeroed, and a switch|s/data = malloc(length);/data = calloc(1, length + 1);/; s/    if (event.res == 0)/    switch (event.res > 0) case 0:/; s/    else if (event.res < length)/    if (event.res > 0 \&\& event.res < length)/; s/^    else$/    if (event.res == length)/'
    'it waits by io_pgetevents|
        s/SYS_io_getevents, ctx, min_nr, nr, events, timeout/\
            SYS_io_pgetevents, ctx, min_nr, nr, events, timeout, NULL/'
)
