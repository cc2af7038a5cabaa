# shellcheck shell=bash disable=SC2034,SC2154
name=1-counter
chapter=05-eventfd
kind='find the bug'
title='a message that tells of more than one completion'
reason='*8 requests*expected: status 0*got: status 1*poll: *timed out*'

check() {
    blocks 8 4096 >expected

    situation '8 requests that are done at once, and told of together:'
    run demo.dat
    expect_success
    expect_output 'written: 8 blocks'
    expect_same demo.dat expected
    expect_calls io_submit 1+
    expect_calls io_getevents 1+

    situation 'They are done one after the other, on a slow disk:'
    late=yes run demo.dat
    expect_success
    expect_same demo.dat expected

    situation 'Each call of io_getevents() brings one event:'
    AIO_FAULT='io_getevents@*=short=1' run demo.dat
    expect_success
    expect_same demo.dat expected

    situation 'The first event is an error:'
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: No space left on device'

    situation 'Only the last one is:'
    AIO_FAULT='io_getevents@8=res=-ENOSPC io_getevents@*=short=1' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: No space left on device'
}

hints=(
    'Print the counter after each read. How many completions are told of, and
how many are reaped?'
    'The counter takes nothing out of the context, and reaping leaves the
counter alone. Make the second a loop that ends when nothing is left.'
    'io_getevents(ctx, 0, REQUESTS, events, NULL) does not wait, with min_nr 0.
Call it until it returns 0, and look at each of the n events.'
)

wrong=(
    'as many as there are, but one call, of one event|s/ctx, 0, REQUESTS, events/ctx, 0, 1, events/; s/while (n != 0)/while (0)/'
    'the counter is believed, and no event looked at|s/for (int i = 0; i < n; i++, reaped++) {/reaped += n > 0 ? n : 0; for (int i = 0; i < 0; i++) {/'
    'eight are counted, so eight are done|s/do {/reaped = REQUESTS; do {/; s/i < n; i++, reaped++/i < 0; i++/'
)
