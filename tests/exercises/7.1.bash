# shellcheck shell=bash disable=SC2034,SC2154
name=1-spin
chapter=07-posix-aio
kind='find the bug'
title='waiting that takes all of a processor'
reason='*expected: calls of aio_suspend: 1 or more*got: 0*'

# run_slowly: run, on a pipe that is written to when the program waits in
# aio_suspend() (or has asked aio_error() a thousand times; or does neither).
run_slowly() {
    local end=$((SECONDS + ${EXERCISE_LIMIT:-5} * 3 / 5)) writer

    [[ -p pipe ]] || mkfifo pipe
    : >"$work/watch"
    exec 9<>pipe
    (
        while ((SECONDS < end)) && ! grep -q '^s' "$work/watch"; do
            sleep 0.01
        done
        echo 12345 >&9
    ) &
    writer=$!
    given='mkfifo pipe; (sleep 3; echo 12345 >pipe) &'
    watch=all run pipe
    kill "$writer" 2>/dev/null
    wait "$writer" 2>/dev/null
    exec 9>&-
}

check() {
    local short

    situation 'A pipe that somebody writes to while the program waits:'
    run_slowly
    expect_calls aio_suspend 1+
    hint 2
    short=$(awk '$1 == "suspend" && NF > 1 && $2 < 1e9 { print $2; exit }' \
        "$work/watch")
    [[ -z $short ]] ||
        fail 'aio_suspend() sleeps until the request is done' \
            "a time-out of $short nanoseconds, again and again"
    expect_success
    expect_output 'read: 6 bytes'
    expect_calls nanosleep 0
    expect_calls clock_nanosleep 0
    expect_calls aio_error 1-20

    situation 'Such a pipe, and a signal interrupts the wait:' 3
    AIO_FAULT='aio_suspend@1=EINTR' run_slowly
    [[ $errors != *aio_read* ]] || hint 2
    expect_success
    expect_output 'read: 6 bytes'
    expect_calls aio_suspend 2+

    situation 'A file of 3893 bytes:' 2
    given 'seq 1000 >demo.txt'
    run demo.txt
    expect_success
    expect_output 'read: 3893 bytes'

    situation 'The wait fails:' 3
    AIO_FAULT='aio_error@1=EINPROGRESS aio_suspend@1=ENOSYS' run demo.txt
    expect_error 'aio_suspend: Function not implemented'

    situation 'The read fails:' 0
    given 'mkdir -p folder'
    run folder
    expect_error 'aio_read folder: Is a directory'
}

hints=(
    'There is a call that sleeps until one request of a list is done. Its list
is an array of pointers to const struct aiocb.'
    'Keep the loop: aio_suspend() can return before the request is done. Put
the call where nothing stands now.'
    'aio_suspend(list, 1, NULL) returns -1 when it fails. If errno is EINTR, go
round again; if it is not, err(1, "aio_suspend").'
)
notice='The question comes ahead of the wait: what is over needs none. And it
comes again behind it: aio_suspend() may have been ended by a signal.'

wrong=(
    'it sleeps a little, again and again|s/if (aio_suspend(list, 1, NULL) == -1 .*/usleep(100);/; /err(1, "aio_suspend")/d; /const list\[1\]/d'
    'a short time-out, again and again|s/if (aio_suspend(list, 1, NULL) == -1/if (aio_suspend(list, 1, \&(struct timespec){ 0, 1000000 }) == -1 \&\& errno != EAGAIN/'
    'a list with nothing in it, again and again|s/const list\[1\] = { &aiocb }/const list[1] = { NULL }/'
    'a signal ends the program @posix-interrupted|s/ && errno != EINTR)/)/'
    'it waits once, then believes|s/while (aio_error(&aiocb) == EINPROGRESS)/if (aio_error(\&aiocb) == EINPROGRESS)/'
    'it waits for a signal that nobody sends|s/if (aio_suspend(list, 1, NULL) == -1 .*/pause();/; /err(1, "aio_suspend")/d; /const list\[1\]/d'
    'no wait can fail|/if (aio_suspend/s/if (\(.*\) == -1.*/\1;/; /err(1, "aio_suspend")/d'
)
right=(
    'a for that asks and waits|s/^    while (aio_error(&aiocb) == EINPROGRESS)/    for (; aio_error(\&aiocb) == EINPROGRESS;)/'
    'a time-out of an hour|s/aio_suspend(list, 1, NULL) == -1 && errno != EINTR/aio_suspend(list, 1, \&(struct timespec){ 3600, 0 }) == -1 \&\& errno != EINTR \&\& errno != EAGAIN/'
    'a list with a NULL in it|s/const list\[1\] = { &aiocb }/const list[2] = { NULL, \&aiocb }/; s/aio_suspend(list, 1, NULL)/aio_suspend(list, 2, NULL)/'
)
