# shellcheck shell=bash disable=SC2034,SC2154
name=4-hang-up
chapter=05-eventfd
kind='find the bug'
title='a pipe is closed, and its writer is not told'
reason='*expected: status 0*got: status 1*the pipe still has a reader*'

# said MESSAGES WHAT...: what the program prints, and what the clients hear.
said() {
    printf 'client 1: %d messages, then silence\nclient 1 writes: %s\n' \
        "$1" "$2"
    printf 'client 2: %d messages, then silence\nclient 2 writes: %s\n' \
        "$1" "$3"
}

check() {
    local closed='Broken pipe'

    situation 'Three messages from each of two clients:'
    run
    [[ $errors != *'io_submit: Invalid argument' ]] ||
        skip 'this kernel has no IOCB_CMD_POLL'
    [[ $errors != *'io_cancel: '* && $errors != *'no POLLIN'* ]] || hint 3
    expect_success
    expect_output "$(said 3 "$closed" "$closed")"
    hint 2
    expect_calls io_setup 1
    expect_calls io_destroy 1
    (($(calls io_submit) == 8)) ||
        fail 'the server asks at first, and again after each message: with two
    clients and 3 messages each, 8 calls of io_submit' "$(calls io_submit)"
    (($(calls write) == 8)) ||
        fail 'each client writes 3 messages, and once more: 8 calls of write' \
            "$(calls write)"

    situation 'Clients that say nothing at all:' 2
    run 0
    expect_success
    expect_output "$(said 0 "$closed" "$closed")"

    situation 'Waits are interrupted:' 0
    AIO_FAULT='io_getevents@2=EINTR io_getevents@4=EINTR io_getevents@6=EINTR
        io_getevents@8=EINTR' run
    expect_success
    expect_output "$(said 3 "$closed" "$closed")"

    situation 'The first client is told, but its write() fails otherwise:' 0
    AIO_FAULT='write@4=EIO' run
    expect_success
    expect_output "$(said 3 'Input/output error' "$closed")"

    situation 'There is no io_cancel(), as in gVisor:' 3
    AIO_FAULT='io_cancel@*=ENOSYS' run
    expect_error 'io_cancel: Function not implemented'

    situation 'An event is an error:' 0
    AIO_FAULT='io_getevents@2=res=-ENOSPC' run
    expect_error 'IOCB_CMD_POLL: No space left on device'
}

hints=(
    'Who has the pipe open when the client waits? close() gives up a
descriptor; what is in flight at that moment?'
    'The request that was submitted after the last message has a hold on the
file until it is over. io_cancel() ends it; what does it return here, and what
comes then? 03-batch-submit/cancel.c shows it.'
    'io_cancel() returns -1 with EINPROGRESS, which is a yes. Then wait for
one event, whatever is in it, and close the pipe. Without the wait, the next
client finds that event.'
)
notice='The solution takes the event of the request that it has cancelled,
though nothing is in it. Closing first and cancelling then would do as well:
the descriptor is no part of the matter, the request is.'

wrong=(
    'the event is left for the next client @as-it-is|
        s/n = io_getevents(ctx, 1, 1, &event, NULL)/n = 1/'
    'it waits for an event that will not come|
        s/io_cancel(ctx, iocb, &event) == -1 && errno != EINPROGRESS/0/'
    'a yes is taken for a failure|s/ && errno != EINPROGRESS//'
    'each failure is taken for a yes|
        s/io_cancel(ctx, iocb, &event) == -1 \&\& errno != EINPROGRESS/\
            io_cancel(ctx, iocb, \&event) == 7/'
    'a context for each client|
        s/^        if (pipe(ends) == -1)/        if (io_destroy(ctx) == -1 || \
            (ctx = 0, io_setup(1, \&ctx)) == -1) err(1, "io_setup");\n&/'
    'it guesses which message is the last|
        s/told(ctx); arm(ctx, &iocb), got++)/(got < messages) \&\& told(ctx); \
            ++got < messages ? arm(ctx, \&iocb) : (void)0)/
        s/for (arm(ctx, &iocb);/for (messages ? arm(ctx, \&iocb) : (void)0;/
        s/^        hang_up(ctx, &iocb);//'
    'the client is not asked|
        s/return write(end.fd, "m", 1) == 1 ? "done" :/return/
        s/strerror(errno);/"Broken pipe";/'
    'what the client hears is made up|
        s/return write(end.fd, "m", 1) == 1 ? "done" :/write(end.fd, "m", 1);\
            return/
        s/strerror(errno);/"Broken pipe";/'
    'a wait that is interrupted is over @interrupted|
        s/while (n == -1 && errno == EINTR);/while (0);/'
    'the next client is served by the answer to the last|
        s/^        hang_up(ctx, &iocb);/        if (client == 1) &/'
)
right=(
    'closed first, and cancelled then|
        s/^        hang_up(ctx, &iocb);//
        s/^        printf("client %d writes/        hang_up(ctx, \&iocb);\n&/'
    'it asks for the event again and again|
        s/(ctx, 1, 1, &event, NULL)/(ctx, 0, 1, \&event, NULL)/
        /(ctx, 0, 1, &event, NULL)/{
            n
            s/while (n == -1/while (n == 0 || n == -1/
        }'
    'cancelled in main, without a function of its own|
        s/^        hang_up(ctx, &iocb);/        { struct io_event event[2]; \
            io_cancel(ctx, \&iocb, event) == -1 \&\& errno != EINPROGRESS \
            ? err(1, "io_cancel") : (void)0; \
            while (io_getevents(ctx, 1, 2, event, 0) < 1) ; }/'
)
