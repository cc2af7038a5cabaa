# shellcheck shell=bash disable=SC2034,SC2154
name=3-sync-beside
chapter=02-single-write
kind='find the bug'
title='sync what is written, not what is being written'
reason='*expected: *FDSYNC is submitted only after*PWRITE:0:22*FDSYNC*reap*'

check() {
    situation 'A write that works, and what is submitted and reaped:'
    watch=yes run demo.txt
    expect_success
    expect_output '22 bytes are on the disk'
    expect_file demo.txt $'Hello, durable world!\n'
    [[ $(calls fsync) -ge 1 || $(requests) == *' FSYNC:'* ]] ||
        fail 'the folder is still synced: a new file needs its name' "$(trace)"
    # What is in flight when the FDSYNC is submitted? Nothing else may be.
    awk '
    $1 == "submit" {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^3:/) {
                synced = 1
                late = late || in_flight > 0 || !written
            } else if ($i ~ /^1:/)
                written = 1
            in_flight++
        }
    }
    $1 == "reap" { in_flight -= $2 }
    END { exit !synced || late }' "$work/watch" ||
        fail "IOCB_CMD_FDSYNC is submitted only after the write's event has
    been reaped" "$(trace)"

    situation 'The disk is full, so the event of the write brings -ENOSPC:' 2
    AIO_FAULT='io_getevents@1=res=-ENOSPC' watch=yes run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt: No space left on device'
    [[ $(requests) != *FDSYNC* ]] ||
        fail 'a write that has failed is not synced' "$(trace)"

    situation 'The disk is broken, so the event of the FDSYNC brings -EIO:' 0
    AIO_FAULT='io_getevents@2=res=-EIO' run demo.txt
    expect_error 'IOCB_CMD_FDSYNC demo.txt: *'
    expect_output ''

    situation 'Only 5 bytes of 22 are written:' 0
    AIO_FAULT='io_getevents@1=res=5' run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt*: I*' \
        'IOCB_CMD_PWRITE demo.txt (what you like): (the text of EIO)'

    situation 'An interrupted wait goes on:' 0
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' run demo.txt
    expect_success
}

hints=(
    'When does the kernel begin with a request of a list? Is there an order
among them? Read "What if two writes overlap?" in chapter 2.'
    'Two calls of io_submit() do not help either, as long as nobody waits in
between. Wait for the event of the write and look at its res; only then submit
the FDSYNC.'
    'durable-write.c has a function perform(), which submits one request and
waits for its event. Call it twice.'
)
notice='a list saves system calls, but it is no queue: what must come after a
request is submitted after its event. A write that is not whole ends it, too.'

wrong=(
    'submitted one after the other, without a wait @as-it-is|
        /^static long long perform/,/^}/ {
            s/.*err(1, "io_submit");/&\n    if (iocb->aio_nbytes > 0)/
            s/.*err(1, "io_submit");.*/&\n        return 22;/
        }'
    'a write that failed is synced all the same|
        /^    .. Write\./,/^    .. Sync/ {
            s/    check(/    iocb.aio_lio_opcode = IOCB_CMD_FDSYNC;\n&/
            s/    check(/    iocb.aio_buf = iocb.aio_nbytes = 0;\n&/
            s/    check(/    if (res < 0)\n        perform(ctx, \&iocb);\n&/
        }'
    'the sync comes ahead of the write|
        /^    .. Write\./,/^    .. Sync/ {
            s/PWRITE/FDSYNC/
            /aio_buf\|aio_nbytes\|strlen\|-EIO/d
        }
        /^    .. Sync/,/^    printf/ {
            s/FDSYNC/PWRITE/
            s/.aio_fildes = fd,/&\n        .aio_buf = (uintptr_t)text,/
            s/.aio_fildes = fd,/&\n        .aio_nbytes = strlen(text),/
        }'
    'what the sync says is not looked at @failed|
        /check("IOCB_CMD_FDSYNC"/d'
    'an interrupted wait is a failure @interrupted|
        s/while (n == -1 && errno == EINTR)/while (0)/'
    'fdatasync() instead of a request|
        /Sync what/,/res = /c\    res = fdatasync(fd);'
    'the folder is not synced|
        s/^    sync_folder();/    if (0)\n        sync_folder();/'
)
right=(
    'FDSYNC as the third of three calls, each in a context of its own|s/^    res = perform(ctx, &iocb);$/    { aio_context_t own = 0; if (io_setup(1, \&own) == -1) err(1, "io_setup"); res = perform(own, \&iocb); io_destroy(own); }/'
    'the folder is synced first|/^    sync_folder();/d; s/^    .. Write\. .*/    sync_folder();\n&/'
    'fsync() of the file, too|s/^    sync_folder();/    if (fsync(fd) == -1)\n        err(1, "fsync %s", path);\n&/'
    'it waits by io_pgetevents|
        s/SYS_io_getevents, ctx, min_nr, nr, events, timeout/\
            SYS_io_pgetevents, ctx, min_nr, nr, events, timeout, NULL/'
)
