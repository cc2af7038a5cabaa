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
    expect_same demo.dat expected 4096
    expect_calls io_submit 1+
    expect_calls io_getevents 1+
    (($(calls read) > 0)) ||
        fail 'the eventfd is read; else poll() never waits again' \
            'no call of read'

    situation 'They are done one after the other, on a slow disk:' 3
    late=newest run demo.dat
    expect_success
    expect_same demo.dat expected 4096
    expect_calls read 2+

    situation 'Each call of io_getevents() brings one event:' 3
    AIO_FAULT='io_getevents@*=short=1' run demo.dat
    expect_success
    expect_same demo.dat expected 4096

    situation 'The first event is an error:' 0
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: No space left on device'

    situation 'No file may be longer than seven blocks, so the last fails:' 3
    file_limit=28 run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: File too large'
}

hints=(
    'Print the counter after each read. How many completions are told of, and
how many are reaped?'
    'The counter takes nothing out of the context, and reaping leaves the
counter alone. Make the second a loop that ends when nothing is left.'
    'io_getevents(ctx, 0, REQUESTS, events, NULL) does not wait, with min_nr 0.
Call it until it returns 0, and look at each of the n events. Read the counter
first, then reap: why not the other way round?'
)
notice='The counter is read first, and then the ring is emptied. The other way
round, a completion between the two is told of, and nobody looks: it lies there
until another one comes. Here none does.'

wrong=(
    'as many as there are, but one call, of one event @as-it-is|s/ctx, 0, REQUESTS, events/ctx, 0, 1, events/; s/while (n != 0)/while (0)/'
    'only the first event of a call is looked at @failed|s/if (events\[i\].res != BLOCK)/if (events[0].res != BLOCK)/'
    'it reaps, and then reads the counter @late-newest|/read(ready.fd,/,/err(1, "read eventfd")/d; s/        } while (n != 0);/&\n        if (read(ready.fd, \&counter, sizeof(counter)) == -1)\n            err(1, "read eventfd");/'
    'no eventfd, only a wait for one event|s/n = poll(.*/n = 1;/; s/if (read(ready.fd,/if (0 \&\& read(ready.fd,/; s/(ctx, 0, REQUESTS/(ctx, 1, 1/; s/} while (n != 0)/} while (0)/'
    'once woken, it waits for all in io_getevents|s/(ctx, 0, REQUESTS/(ctx, REQUESTS - reaped, REQUESTS/'
    'the counter is believed, and no event looked at @failed|s/for (int i = 0; i < n; i++, reaped++) {/reaped += n > 0 ? n : 0; for (int i = 0; i < 0; i++) {/'
    'eight are counted, so eight are done @late-newest|s/do {/reaped = REQUESTS; do {/; s/i < n; i++, reaped++/i < 0; i++/'
)
right=(
    'one event a call, until there is none|
        s/ctx, 0, REQUESTS, events/ctx, 0, 1, events/'
    'a counter that gives out 1 at each read|
        s/EFD_NONBLOCK/EFD_NONBLOCK | EFD_SEMAPHORE/'
    'as many as the counter says, each waited for|s/(ctx, 0, REQUESTS, events/(ctx, 1, 1, events/; s/} while (n != 0)/} while ((counter -= n > 0) > 0)/'
    'a look with a time-out of 0|s/(ctx, 0, REQUESTS, events, NULL)/(ctx, 1, REQUESTS, events, \&(struct __kernel_old_timespec){ 0, 0 })/'
    'a wait without a limit|s/poll(&ready, 1, 1000/poll(\&ready, 1, -1/'
)
