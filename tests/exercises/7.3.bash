# shellcheck shell=bash disable=SC2034,SC2154
name=3-handler
chapter=07-posix-aio
kind='find the bug'
title='a signal handler that does too much'
reason='*expected: no call in the handler*got: *aio_read*printf*'

# handled ARGUMENT...: run, and what handlers did is in $work/handler.
handled() {
    : >"$work/handler"
    EXERCISE_PRELOAD="${EXERCISE_PRELOAD-} $root/tests/helpers/handler.so" \
        HANDLER_LOG=$work/handler run "$@"
    unsafe=$(sed -n 's/^unsafe //p' "$work/handler" | sort -u)
    [[ -z $unsafe ]] ||
        fail 'no call in the handler that is not async-signal-safe' \
            "${unsafe//$'\n'/, }"
    # A sanitizer puts itself between the program and these calls.
    unsafe=$(sed -n 's/^race //p' "$work/handler" | sort -u)
    [[ -z $unsafe || ${EXERCISE_UNDER-} ]] ||
        fail "the signal is blocked from a look at a variable to $unsafe()" \
            'it is not, so it may come in between: then nothing ends the wait'
}

check() {
    local unsafe offset lines='' handlers writer

    [[ -e $root/tests/helpers/handler.so ]] ||
        fail 'tests/helpers/handler.so is built' 'no such file: make'
    given 'seq 10000 | head -c 40000 >demo.txt'
    for ((offset = 0; offset < 36864; offset += 4096)); do
        lines+="at $offset: 4096 bytes"$'\n'
    done

    situation 'A file of 40000 bytes, in 10 blocks:'
    handled demo.txt
    expect_success
    expect_output "reading demo.txt
${lines}at 36864: 3136 bytes
end of file: 40000 bytes"
    expect_calls aio_read 11
    handlers=$(grep -cx handler "$work/handler")
    ((handlers >= 11)) ||
        fail 'a handler that runs for each of 11 reads' "it ran $handlers times"

    situation 'An empty file:'
    given ': >demo.txt'
    handled demo.txt
    expect_success
    expect_output $'reading demo.txt\nend of file: 0 bytes'

    situation 'A pipe, so that it has to wait:'
    mkfifo pipe
    (sleep 0.3 && echo 12345) >pipe &
    writer=$!
    given='mkfifo pipe; (sleep 1; echo 12345) >pipe &'
    handled pipe
    kill "$writer" 2>/dev/null
    expect_success
    expect_output $'reading pipe\nat 0: 6 bytes\nend of file: 6 bytes'

    situation 'The third read fails:'
    given 'seq 10000 | head -c 40000 >demo.txt'
    AIO_FAULT='aio_error@3+=ENOSPC' handled demo.txt
    expect_error 'aio_read demo.txt: No space left on device'

    situation 'The second read cannot be started:'
    AIO_FAULT='aio_read@2=EAGAIN' handled demo.txt
    expect_error 'aio_read demo.txt: Resource temporarily unavailable'
}

hints=(
    'man 7 signal-safety has the list. aio_error() and aio_return() are on it;
printf(), exit() and aio_read() are not.'
    'Let the handler set a variable, of type volatile sig_atomic_t, and nothing
else. main() waits in ppoll(), which ends with EINTR when the handler ran.'
    'Make a function of what the handler did. In the loop: if the variable is
set, clear it and call the function; if it is not, wait.'
)

wrong=(
    'it waits, and then looks whether the signal had come before|s/^        if (told) {/        n = ppoll(NULL, 0, \&limit, \&unblocked); if (n == 0) errno = ETIMEDOUT; if (n == 0 || errno != EINTR) die("ppoll");\n&/'
    'it is called by another name, in the handler still|s/told = 1;/next_block();/'
    'the handler only flushes|s/told = 1;/told = 1; fflush(stdout);/'
    'there is no signal, it asks again and again|s/SIGEV_SIGNAL/SIGEV_NONE/; s/if (told) {/if (aio_error(\&aiocb) != EINPROGRESS) {/; s/n = ppoll(.*/continue;/'
    'the signal is not blocked, so it may come just ahead of the wait|s/^    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)/    sigemptyset(\&unblocked); if (0)/'
    'no error is looked at|s/if (error != 0)/if (n == -1)/'
)
