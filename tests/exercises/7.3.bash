# shellcheck shell=bash disable=SC2034,SC2154
name=3-handler
chapter=07-posix-aio
kind='find the bug'
title='a signal handler that does too much'
reason='*expected: no call in the handler*got: *aio_read*printf*'

# handled ARGUMENT...: run, and what handlers did is in $work/handler.
handled() {
    local try

    # What the handlers call is seen with the helper only: show it, too.
    try=${given:+$given$'\n    '}${AIO_FAULT:+AIO_FAULT=\'$AIO_FAULT\' }
    try+=$'HANDLER_LOG=/dev/stderr \\\n        '
    try+=$'LD_PRELOAD=tests/helpers/fault.so \\\n        '
    try+="$chapter/exercises/$name $*"
    : >"$work/handler"
    HANDLER_LOG=$work/handler run "$@"
    unsafe=$(sed -n 's/^unsafe //p' "$work/handler" | sort -u)
    [[ -z $unsafe ]] ||
        fail 'no call in the handler that is not async-signal-safe' \
            "${unsafe//$'\n'/, }"
    hint 2
    # A sanitizer puts itself between the program and these calls.
    unsafe=$(sed -n 's/^race //p' "$work/handler" | sort -u)
    [[ -z $unsafe || ${EXERCISE_UNDER-} ]] ||
        fail "the signal is blocked from a look at a variable to $unsafe()" \
            'it is not, so it may come in between: then nothing ends the wait'
    hint 3
}

# write_when_asleep: writes to the pipe when the program has been asleep for a
# while, or some seconds later; in the first case it makes $work/asleep.
write_when_asleep() {
    local end process state asleep=0

    exec 9>pipe
    end=$((SECONDS + ${EXERCISE_LIMIT:-5} * 3 / 5))
    while ((SECONDS < end && asleep < 5)); do
        sleep 0.02
        for process in /proc/[0-9]*; do
            # Under valgrind it is valgrind that runs.
            if [[ $process/exe -ef $work/$name ]] ||
                { [[ ${EXERCISE_UNDER-} ]] &&
                    grep -qasF "$work/$name" "$process/cmdline"; }; then
                read -r _ _ state _ <"$process/stat"
            fi
        done 2>/dev/null
        [[ ${state-} == S ]] && asleep=$((asleep + 1)) || asleep=0
    done
    ((asleep < 5)) || : >"$work/asleep"
    echo 12345 >&9
}

check() {
    local unsafe offset lines='' handlers writer

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
    write_when_asleep &
    writer=$!
    given='mkfifo pipe; (sleep 1; echo 12345) >pipe &'
    handled pipe
    kill "$writer" 2>/dev/null
    expect_success
    expect_output $'reading pipe\nat 0: 6 bytes\nend of file: 6 bytes'
    [[ -e $work/asleep || ${EXERCISE_UNDER-} ]] ||
        fail 'main() sleeps until the signal comes' \
            'it was running all the time'
    expect_calls nanosleep 0
    expect_calls clock_nanosleep 0

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
notice='A signal that comes too early is noted, and main() looks before it
waits. That is enough only because the signal is blocked in between, and none
but ppoll() lets it in.'

wrong=(
    'it waits, and then looks whether the signal had come before|s/^        if (told) {/        if (ppoll(NULL, 0, \&left, \&unblocked) == 0) errx(1, "ppoll: late");\n&/'
    'it is called by another name, in the handler still|s/told = 1;/next_block();/'
    'the handler only flushes|s/told = 1;/told = 1; fflush(stdout);/'
    'the handler warns|s/told = 1;/told = 1; warnx("a block");/'
    'there is no signal, it asks again and again|s/SIGEV_SIGNAL/SIGEV_NONE/; s/if (told) {/if (aio_error(\&aiocb) != EINPROGRESS) {/; s/ppoll(NULL, 0, &left, &unblocked) == -1/0/'
    'main() spins until the handler has run|s/^        if (told) {/        sigprocmask(SIG_SETMASK, \&unblocked, NULL); while (!told) ;\n&/'
    'main() looks again each millisecond|s/^        if (told) {/        sigprocmask(SIG_SETMASK, \&unblocked, NULL); while (!told) nanosleep(\&(struct timespec){ 0, 1000000 }, NULL);\n&/'
    'the signal is not blocked, so it may come just ahead of the wait|s/^    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)/    sigemptyset(\&unblocked); if (0)/'
    'no error is looked at|s/if (error != 0)/if (n == -1)/'
)
right=(
    'the handler writes to a pipe|s/^static volatile sig_atomic_t told;.*/static int ends[2];/; s/^    action.sa_sigaction = on_signal;/    if (pipe(ends) == -1)\n        err(1, "pipe");\n&/; s/^        told = 1;/        if (write(ends[1], "", 1) == -1)\n            _exit(1);/; s/^        if (told) {/        char byte;\n        struct timespec wait = left; fd_set in; FD_ZERO(\&in); FD_SET(ends[0], \&in);\n        if (pselect(ends[0] + 1, \&in, NULL, NULL, \&wait, \&unblocked) == 1) {/; s/^            told = 0;.*/            if (read(ends[0], \&byte, 1) != 1)\n                err(1, "read pipe");/; s/ppoll(NULL, 0, &left, &unblocked) == -1 && errno != EINTR/0/'
    'sigsuspend()|s/ppoll(NULL, 0, &left, &unblocked) == -1/sigsuspend(\&unblocked) == -1/'
    'it is counted, not only noted|s/told = 1;/told++;/; s/told = 0;.*/told--;/'
)
