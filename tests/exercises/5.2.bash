# shellcheck shell=bash disable=SC2034,SC2154
name=2-rearm
chapter=05-eventfd
kind='find the bug'
title='a request that tells of the first message only'
reason='*expected: status 0*got: status 1*io_getevents: *timed out*'

# What was done, step by step, as in the report below. (What the program runs
# under, valgrind say, reads something before it.)
steps() {
    awk -v under="${EXERCISE_UNDER-}" '
    $1 == "submit" { for (i = 2; i <= NF; i++) printf "1."; under = "" }
    $1 == "reap" { printf "2." }
    $1 == "read" && under == "" { printf "3." }' "$work/watch"
}

check() {
    situation '5 messages:'
    watch=all run
    [[ $errors != *'io_submit: Invalid argument' ]] ||
        skip 'this kernel has no IOCB_CMD_POLL'
    expect_success
    expect_output 'messages: 5'
    hint 3
    (($(most_in_flight) <= 1)) ||
        fail 'at most 1 request in flight' "$(most_in_flight)"
    hint 2
    [[ $(steps) =~ ^(1\.2\.3\.){5}(1\.)?$ ]] ||
        fail 'for each message 1. submit, 2. reap, 3. read
    (and perhaps one more submit in the end)' "$(steps)"
    expect_calls write 5

    situation '300 messages, more than a context has places:' 3
    run 300
    expect_success
    expect_output 'messages: 300'
    hint 0
    (($(calls read) == 300)) ||
        fail 'one read for each message, when it is told of: 300' \
            "calls of read: $(calls read)"

    situation 'The wait is interrupted:' 0
    AIO_FAULT='io_getevents@3=EINTR' run
    expect_success
    expect_output 'messages: 5'

    situation 'The third event is an error:' 0
    AIO_FAULT='io_getevents@3=res=-ENOSPC' run
    expect_error 'IOCB_CMD_POLL: No space left on device'
    expect_calls read 2
}

hints=(
    'How many events does one request become? Count the calls of io_submit()
and of io_getevents().'
    'A POLL request is over when its event is there. It has to be submitted
again, once for each message.'
    'Move the io_submit() into the loop. The kernel made a copy of the iocb, so
it can be submitted again as it is.'
)
notice='Each question is answered once. Between the read and the next question
nobody looks at the pipe, and still no message is missed: what is there by then
is an answer that comes at once.'

wrong=(
    'it reads without being told|s/if (n == 0)/if (n == 0)\n        return POLLIN;\n    if (n == 9)/; s/^        submit(ctx, &iocb);/        if (got == 0) submit(ctx, \&iocb);/; s/{ .tv_sec = 1 }/{ .tv_nsec = 1000 }/'
    'requests for all messages, ahead of the first|s/^    while (got < messages) {/    for (long i = 1; i < messages; i++) submit(ctx, \&iocb);\n&/; s/io_setup(1,/io_setup(messages + 1,/; s/^        submit(ctx, &iocb);/        if (got == 0) submit(ctx, \&iocb);/'
    'the next request is submitted before the message is read|s/^        submit(ctx, &iocb);/        if (got == 0) submit(ctx, \&iocb);/; s/^        if (read(ends\[0\]/        if (got + 1 < messages) submit(ctx, \&iocb);\n&/'
    'two requests for each message @as-it-is|s/^        submit(ctx, &iocb);/&\n        submit(ctx, \&iocb);/'
    'it reads until there is nothing|s/pipe(ends)/pipe2(ends, O_NONBLOCK)/; s/^        if (read(ends\[0\], &letter, 1) == -1)/        while (read(ends[0], \&letter, 1) == 1) ;\n        if (errno != EAGAIN)/'
    'the event is not looked at|s/if (event.res < 0)/if (0)/; s/if (!(wait_for_event(ctx) & POLLIN))/wait_for_event(ctx); if (0)/'
)
right=(
    'another iocb each time|
        s/^        submit(ctx, &iocb);/        {\
            struct iocb again = iocb;\
\
            submit(ctx, \&again);\
        }/'
    'asked again as soon as the message is read, after the last one, too|
        s/^        submit(ctx, &iocb);/        if (got == 0)\
            submit(ctx, \&iocb);/
        s/^        got++;/&\n        submit(ctx, \&iocb);/'
)
