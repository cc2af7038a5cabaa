# shellcheck shell=bash disable=SC2034,SC2154
name=1-spin
chapter=07-posix-aio
kind='find the bug'
title='waiting that takes all of a processor'
reason='*expected: calls of aio_suspend: 1 or more*got: 0*'

check() {
    given 'seq 1000 >demo.txt'

    situation 'A file of 3893 bytes, of which one asking finds no answer yet:'
    AIO_FAULT='aio_error@1=EINPROGRESS' run demo.txt
    expect_success
    expect_output 'read: 3893 bytes'
    expect_calls aio_suspend 1+

    situation 'It wakes up before the request is done, and interrupted, too:'
    AIO_FAULT='aio_error@1=EINPROGRESS aio_error@2=EINPROGRESS
        aio_error@3=EINPROGRESS aio_suspend@2=EINTR' run demo.txt
    expect_success
    expect_output 'read: 3893 bytes'
    expect_calls aio_suspend 3
    expect_calls aio_error 4-5
    expect_calls nanosleep 0
    expect_calls clock_nanosleep 0

    situation 'The wait fails:'
    AIO_FAULT='aio_error@1=EINPROGRESS aio_suspend@1=ENOSYS' run demo.txt
    expect_error 'aio_suspend: Function not implemented'

    situation 'The read fails:'
    mkdir -p folder
    run folder
    expect_error 'aio_read folder: Is a directory'
}

hints=(
    'There is a call that sleeps until one request of a list is done. Its list
is an array of pointers to const struct aiocb.'
    'Keep the loop: aio_suspend() can return before the request is done. Put
the call where nothing stands now.'
    'aio_suspend(list, 1, NULL) returns -1 when it fails. If errno is EINTR, go
round again; if it is not, die("aio_suspend").'
)

wrong=(
    'it sleeps a little, again and again|s/if (aio_suspend(list, 1, NULL) == -1 .*/usleep(100);/; /die("aio_suspend")/d; s/list\[0\] = &aiocb;/(void)list;/'
    'a signal ends the program|s/ && errno != EINTR)/)/'
    'it waits once, then believes|s/while (aio_error(&aiocb) == EINPROGRESS)/if (aio_error(\&aiocb) == EINPROGRESS)/'
    'no wait can fail|/if (aio_suspend/s/if (\(.*\) == -1.*/\1;/; /die("aio_suspend")/d'
)
