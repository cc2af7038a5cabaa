# POSIX AIO: posix-aio, suspend, signal, callback, listio, cancel, fsync,
# one-queue-per-descriptor, and what the C library does in each case. Where
# glibc and musl differ, what is expected is that of the one that the programs
# were built with.
# seconds: 11
# halves: [a-e]

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/abreast
chapter=07-posix-aio

# Some things take their seconds: they are begun now, and what came of them is
# looked at in the last tests.
setup_file() {
    build=$(cat "$BATS_TEST_DIRNAME/.built-with" 2>/dev/null) ||
        build="${CC:-cc} ${CPPFLAGS-} ${CFLAGS-}"
    cd "$BATS_FILE_TMPDIR" || return 1
    cp "$root/tests/helpers/posix-probe" probe
    cp "$root/tests/helpers/posix-signals" signals
    library=$(./probe library)
    # EIO, EMFILE and others as the library puts it.
    eio=$(on 'Input/output error' 'I/O error')
    emfile=$(on 'Too many open files' 'No file descriptors available')
    etimedout=$(on 'Connection timed out' 'Operation timed out')
    einprogress=$(on 'Operation now in progress' 'Operation in progress')
    export build library eio emfile etimedout einprogress
    in_background idle ./probe idle
    # shellcheck disable=SC2016 # for the inner shells
    in_background few "${few_threads[@]}" bash -c 'ulimit -u 2; exec "$1" few' \
        bash "$root/$chapter/suspend"
    # shellcheck disable=SC2016
    in_background lost env --block-signal="$(on 34 35)" bash -c 'ulimit -i 0
        "$1" lost & while kill "-$2" $!; do sleep 0.3; done; wait $!' \
        bash "$root/$chapter/signal" "$(on 34 35)"
    # shellcheck disable=SC2016
    in_background list env --block-signal="$(on 34 35)" bash -c 'ulimit -i 0
        "$1" list & while kill "-$2" $!; do sleep 0.3; done; wait $!' \
        bash "$root/$chapter/listio" "$(on 34 35)"
}

# As a user who is nobody else, so that only this program's threads count.
few_threads=(unshare --user)
none=-all,+dac_override,+dac_read_search
[[ $EUID != 0 ]] || few_threads=(setpriv --reuid=$((60000 + $$ % 5000))
    --regid=64999 --clear-groups --inh-caps="$none" --ambient-caps="$none")

# in_background NAME COMMAND...: begins it, for ended_in_background.
in_background() {
    {
        status=0
        "${@:2}" >"$1.out" 2>&1 || status=$?
        echo "$status" >"$1.status"
    } 3>&- &
}

# ended_in_background NAME: waits until it has; $status and $output.
ended_in_background() {
    local naps

    for ((naps = 0; naps < 200; naps++)); do
        [[ ! -s $BATS_FILE_TMPDIR/$1.status ]] || break
        sleep 0.1
    done
    status=$(<"$BATS_FILE_TMPDIR/$1.status")
    output=$(<"$BATS_FILE_TMPDIR/$1.out")
}

# probe QUESTION: what the C library does; see helpers/posix-probe.c.
probe() {
    ended 60 "$BATS_FILE_TMPDIR/probe" "$1"
    assert_stderr ""
    same "status of the probe" "$status" 0
}

# signals QUESTION: how it tells of an end; see helpers/posix-signals.c.
signals() {
    ended 60 "$BATS_FILE_TMPDIR/signals" "$1"
    assert_stderr ""
    same "status of the probe" "$status" 0
}

# on GLIBC MUSL: prints what holds for this library.
on() {
    if [[ $library == glibc ]]; then
        printf '%s' "$1"
    else
        printf '%s' "$2"
    fi
}

# The whole of stdout is a line that names the library, and TEXT.
assert_output_after_library() {
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ ${lines[0]} == $(on 'C library: glibc 2.[0-9]*' \
        'C library: musl, or another') ]] ||
        same "first line" "${lines[0]}" "C library: ..."
    same "stdout after its first line" "${output#*$'\n'}" "$1"
}

# blocks LETTERS: prints 4096 times the first letter, then the second ...
blocks() {
    local i

    for ((i = 0; i < ${#1}; i++)); do
        printf "${1:i:1}%.0s" {1..4096}
    done
}

# limited BLOCKS NAME: the program may write a file of so many blocks of 1024
# bytes. All that it says goes through a pipe, which has no size.
limited() {
    status=0
    output=$(ulimit -f "$1" && exec "$root/tests/helpers/within" 60 \
        "$root/$chapter/$2" demo.txt 2>&1 3>&-) || status=$?
    same "status of $2" "$status" 1
}

# faults PROGRAM: standard input has lines SPEC: ERROR. With that fault the
# program must end with status 1 and the line `PROGRAM: ERROR`.
faults() {
    local line

    # All at a time: some of them take a second each, for a time-out.
    while read -r line; do
        AIO_FAULT=${line%%: *} EXPECT="$1: ${line#*: }" begin "$1" demo.txt
    done
    while next; do
        same "with $fault" "status $status, $stderr" "status 1, $expect"
    done
}

# requests EXPECTED: what is in $trace, but for aio_suspend: how often that is
# called depends on how quick the requests are.
requests() {
    same calls "$(sed '/^aio_suspend/d' <<<"$trace")" "$1"
}

# ---- All programs ----

writers=(posix-aio suspend signal callback listio cancel fsync fork-and-exit)
programs=("${writers[@]}" one-queue-per-descriptor)

@test "each program has a usage text, for help and for wrong arguments" {
    local name help arguments

    for name in "${programs[@]}"; do
        program -0 "$name" -h
        same "$name -h" "${lines[0]}" "Usage: $name FILE"
        assert_stderr ""
        help=$output
        program -0 "$name" --help
        assert_output "$help"
        assert_stderr ""
        for arguments in "" "demo.txt more"; do
            # shellcheck disable=SC2086 # none, or several
            program -2 "$name" $arguments
            assert_output ""
            assert_stderr "$help"
            [[ ! -e demo.txt ]]
        done
    done
    assert_help_fails "${programs[@]}"
}

@test "each program names a FILE it cannot make or open, and leaves it alone" {
    local name

    for name in "${writers[@]}"; do
        program -1 "$name" no/demo.txt
        assert_error "$name: open no/demo.txt: No such file or directory"
    done
    program -1 one-queue-per-descriptor no/demo.txt
    assert_error "one-queue-per-descriptor: mkfifo no/demo.txt: No such file *"

    # Read-only.
    echo precious >demo.txt
    chmod 444 demo.txt
    for name in "${writers[@]}"; do
        run -1 --separate-stderr without_override "$root/$chapter/$name" \
            demo.txt
        assert_error "$name: open demo.txt: Permission denied"
    done

    # A FIFO must be new.
    program -1 one-queue-per-descriptor demo.txt
    assert_error "one-queue-per-descriptor: mkfifo demo.txt: File exists"
    same demo.txt "$(<demo.txt)" precious
}

@test "each program leaves a FILE alone that is no regular file" {
    local name

    mkfifo demo.fifo
    for name in "${writers[@]}"; do
        program -1 "$name" /dev/full
        assert_error "$name: open /dev/full: not a regular file"
        program -1 "$name" demo.fifo
        assert_error "$name: open demo.fifo: not a regular file"
    done
}

@test "a size limit fails a request, or cuts it short, and kills no program" {
    local name line

    for name in "${writers[@]}"; do
        limited 0 "$name"
        line=${output##*$'\n'}
        [[ $line == "$name: "*"WRITE demo.txt: File too large" ||
            $line == "$name: aio_write demo.txt: File too large" ]] ||
            same "last line" "$line" "$name: ... File too large"
    done

    # A write that ends early is reported with its count.
    for name in signal callback listio; do
        limited 1 "$name"
        line=${output##*$'\n'}
        [[ $line == "$name: "*" demo.txt: only 1024 of 4096 bytes:\
 $eio" ]] || same "last line" "$line" "$name: ... only ..."
    done
}

@test "output that does not arrive is a failure" {
    local name

    for name in "${programs[@]}"; do
        # All is written but the last.
        AIO_FAULT='fflush@*=ENOSPC' begin "$name" "$name.txt"
        status=0
        stderr=$("$root/tests/helpers/within" 60 "$root/$chapter/$name" \
            "$name.txt" 2>&1 >/dev/full 3>&-) || status=$?
        same "status of $name" "$status" 1
        assert_error "$name: standard output: No space left on device"
    done
    while next; do
        assert_status 1
        assert_error "$name: standard output: No space left on device"
    done
}

@test "posix-aio names each call that fails" {
    faults posix-aio <<END
aio_write@1=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_error@*=EBADF: aio_write demo.txt: Bad file descriptor
aio_error@*=ENOSPC: aio_write demo.txt: No space left on device
aio_return@1=EINVAL: aio_return: Invalid argument
aio_return@1=short=5: aio_write demo.txt: only 5 of 27 bytes: $eio
aio_read@1=EAGAIN: aio_read demo.txt: Resource temporarily unavailable
aio_return@2=EINVAL: aio_return: Invalid argument
END
}

@test "suspend names each call that fails" {
    faults suspend <<END
pipe@1=EMFILE: pipe: $emfile
aio_read@1=EAGAIN: aio_read pipe: Resource temporarily unavailable
aio_write@1=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_suspend@1=EINVAL: aio_suspend: Invalid argument
aio_suspend@1=EAGAIN: aio_suspend: Resource temporarily unavailable
aio_return@1=EINVAL: aio_return: Invalid argument
sigaction@1=EINVAL: sigaction: Invalid argument
setitimer@1=EINVAL: setitimer: Invalid argument
write@1=EPIPE: write pipe: Broken pipe
aio_return@2=EINVAL: aio_return: Invalid argument
END
}

@test "suspend is woken by its timer also if it was started with it blocked" {
    ended 60 env --block-signal=ALRM "$root/$chapter/suspend" demo.txt
    assert_line "only the pipe, and a signal: -1 EINTR"
}

@test "suspend takes no failed request for one that is done" {
    AIO_FAULT='aio_error@2=ENOSPC' program -0 suspend demo.txt
    assert_line "  FILE: No space left on device"
}

@test "signal names each call that fails" {
    faults signal <<END
sigprocmask@1=EINVAL: sigprocmask: Invalid argument
sigaction@1=EINVAL: sigaction: Invalid argument
aio_write@2=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
ppoll@1=EINVAL: ppoll: Invalid argument
aio_return@1=short=5: aio_write demo.txt: only 5 of 4096 bytes: $eio
aio_write@5=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
sigtimedwait@2=EINVAL: sigtimedwait: Invalid argument
signalfd@1=EMFILE: signalfd: $emfile
ppoll@4=EINVAL: ppoll: Invalid argument
read@1=EIO: read signalfd: $eio
END
}

@test "callback names each failing call, in callbacks too" {
    faults callback <<END
sigprocmask@1=EINVAL: sigprocmask: Invalid argument
sem_init@1=ENOSYS: sem_init: Function not implemented
opendir@1=EMFILE: opendir /proc/self/task: $emfile
aio_write@1=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_write@3=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_error@2=EIO: aio_write demo.txt: only 0 of 4096 bytes: $eio
aio_return@1=EINVAL: aio_return: Invalid argument
clock_gettime@1=EINVAL: clock_gettime: Invalid argument
sem_timedwait@1=ETIMEDOUT: sem_timedwait: $etimedout
sem_post@1=EINVAL: sem_post: Invalid argument
aio_write@6=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
sem_destroy@1=EINVAL: sem_destroy: Invalid argument
END
}

@test "listio names each call that fails" {
    faults listio <<END
pthread_sigmask@1=EINVAL: pthread_sigmask: Invalid argument
lio_listio@1=EAGAIN: lio_listio: Resource temporarily unavailable
lio_listio@1=after=EIO: lio_listio: $eio
pthread_sigmask@2=EINVAL: pthread_sigmask: Invalid argument
aio_error@*=ENOSPC: LIO_WRITE demo.txt: No space left on device
sigprocmask@1=EINVAL: sigprocmask: Invalid argument
lio_listio@2=EAGAIN: lio_listio: Resource temporarily unavailable
sigtimedwait@1=EAGAIN: sigtimedwait: Resource temporarily unavailable
lio_listio@3=EBADF: lio_listio: Bad file descriptor
aio_error@14=ENOSPC: LIO_WRITE demo.txt: No space left on device
END
}

@test "cancel names each call that fails" {
    faults cancel <<END
pipe@1=EMFILE: pipe: $emfile
aio_read@2=EAGAIN: aio_read pipe: Resource temporarily unavailable
aio_cancel@1=EBADF: aio_cancel: Bad file descriptor
aio_cancel@3=EBADF: aio_cancel: Bad file descriptor
write@1=EPIPE: write pipe: Broken pipe
aio_write@1=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_cancel@5=EBADF: aio_cancel: Bad file descriptor
END
}

@test "fsync names each call that fails" {
    faults fsync <<END
aio_write@1=EAGAIN: aio_write demo.txt: Resource temporarily unavailable
aio_fsync@1=EAGAIN: aio_fsync demo.txt: Resource temporarily unavailable
aio_fsync@2=EINVAL: aio_fsync demo.txt: Invalid argument
pipe@1=EMFILE: pipe: $emfile
dup@1=EMFILE: dup: $emfile
write@1=EIO: write pipe: $eio
aio_write@3=EAGAIN: aio_write pipe: Resource temporarily unavailable
aio_fsync@3=EAGAIN: aio_fsync pipe: Resource temporarily unavailable
aio_fsync@4=EAGAIN: aio_fsync pipe: Resource temporarily unavailable
read@1=EIO: read pipe: $eio
END
}

@test "one-queue-per-descriptor names each call that fails, and removes the FIFO" {
    faults one-queue-per-descriptor <<END
open@1=EACCES: open demo.txt: Permission denied
open@2=EACCES: open demo.txt: Permission denied
dup@1=EACCES: dup: Permission denied
opendir@1=EACCES: opendir /proc/self/task: Permission denied
aio_read@1=EAGAIN: aio_read: Resource temporarily unavailable
write@1=EIO: write FIFO: $eio
$(on 'write@2=EIO: write FIFO: '"$eio"'
read@1=EIO: read FIFO: '"$eio" 'write@1=EIO: write FIFO: '"$eio")
aio_error@*=EIO: aio_read: $eio
aio_return@1=EIO: aio_read: $eio
aio_return@1=short=0: aio_read: $eio
aio_error@1=EINPROGRESS aio_suspend@1=EBADF: aio_suspend: Bad file descriptor
aio_read@5=EAGAIN: aio_read: Resource temporarily unavailable
aio_write@1=EAGAIN: aio_write: Resource temporarily unavailable
END
    [[ ! -e demo.txt ]]
    AIO_FAULT=unlink@1=EACCES program -1 one-queue-per-descriptor demo.txt
    assert_error "one-queue-per-descriptor: unlink demo.txt: Permission denied"
}

@test "each program closes what it has opened, and checks that" {
    local name call count opened closed

    for name in "${programs[@]}"; do
        AIO_FAULT=' ' AIO_FAULT_LOG=$name.log program -0 "$name" "$name.txt"
        opened=0 closed=0
        while read -r call count; do
            case $call in
            open | dup | signalfd) opened=$((opened + count)) ;;
            pipe) opened=$((opened + 2 * count)) ;;
            close) closed=$((closed + count)) ;;
            esac
        done <"$name.log"
        same "$name: descriptors closed" "$closed" "$opened"
        for ((call = 1; call <= closed; call++)); do
            AIO_FAULT="close@$call=EIO" begin "$name" "$name.txt"
        done
    done
    while next; do
        assert_status 1
        assert_error "$name: close *: $eio"
    done
}

@test "a wait in aio_suspend goes on when a signal interrupts it" {
    local name

    for name in posix-aio listio cancel fsync; do
        AIO_FAULT="aio_error@1=EINPROGRESS aio_suspend@1=EINTR" \
            program -0 "$name" "$name.txt"
        AIO_FAULT="aio_error@1+=EINPROGRESS aio_suspend@1+=EBADF" \
            program -1 "$name" "$name.txt"
        assert_error "$name: aio_suspend: Bad file descriptor"
    done
    AIO_FAULT="aio_suspend@1=EINTR" program -0 suspend suspend.txt
    assert_line "pipe, NULL or FILE: 0"
}

# For these the time begins in 1970: ten seconds are over long since.
@test "a wait in aio_suspend ends, however many signals interrupt it" {
    local name solution
    local again='aio_error@1+=EINPROGRESS aio_suspend@1+=EINTR'

    for name in posix-aio suspend listio cancel fsync \
        one-queue-per-descriptor; do
        AIO_FAULT="time@1=EINVAL $again" begin "$name" "$name.txt"
    done
    while next; do
        assert_status 1
        assert_error "$name: aio_suspend: Interrupted system call"
    done
    # Its child may be forked while a worker holds a lock: then it is ended.
    AIO_FAULT="time@1=EINVAL time@3=EINVAL time@5=EINVAL $again" ended 60 \
        LD_PRELOAD="$root/tests/helpers/fault.so" \
        "$root/$chapter/fork-and-exit" demo.txt
    assert_line "POSIX, a read in flight, in the parent: not done"

    for solution in '2-perror demo.txt' '5-fork demo.txt copy.txt'; do
        name=${solution%% *}
        # shellcheck disable=SC2086 # several words
        $build "$root/$chapter/solutions/$name.c" -o "$name" -pthread -lrt
        # shellcheck disable=SC2086 # several words
        AIO_FAULT="time@1=EINVAL $again" ended 30 \
            LD_PRELOAD="$root/tests/helpers/fault.so" ./$solution
        same "status of $name" "$status" 1
        assert_error "$name: aio_suspend: Interrupted system call"
    done
}

@test "a wait for a notification goes on when a signal interrupts it" {
    AIO_FAULT="ppoll@1=EINTR ppoll@4=EINTR sigtimedwait@1=EINTR" \
        program -0 signal demo.txt
    assert_line "signalfd: 3 signals for 3 requests"
    AIO_FAULT="sem_timedwait@1=EINTR" program -0 callback demo.txt
    assert_line "all at once: 4 callbacks, *"
}

@test "signal takes its signals though whoever started it has blocked them" {
    run -0 env --block-signal=RTMIN,RTMIN+1 "$root/$chapter/signal" demo.txt
    assert_line "handler: 3 signals for 3 requests"
}

@test "a program of this chapter needs no flags to be built" {
    local cc

    read -r cc _ <<<"$build"
    "$cc" "$root/$chapter/posix-aio.c" -o alone
    run -0 ./alone demo.txt
}

# ---- posix-aio ----

@test "posix-aio writes a line, and reads it" {
    echo "a longer text, to be emptied by the program" >demo.txt
    traced posix-aio demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
aio_write demo.txt 27@0
aio_read demo.txt 27@0"
    assert_output "\
aio_write: 1 request taken
aio_suspend: it is done
aio_error: 0, aio_return: 27
aio_read: 1 request taken
read: Hello, asynchronous world!"
    same demo.txt "$(<demo.txt)" "Hello, asynchronous world!"
}

# ---- suspend ----

@test "suspend shows all that aio_suspend can say" {
    traced suspend demo.txt
    same calls "$trace" "\
signal SIGXFSZ ignored
create demo.txt 666
aio_read pipe:r 1@0
aio_write demo.txt 27@0
aio_suspend 3 10.000000000
aio_suspend 3 10.000000000
aio_suspend 3 0.010000000
aio_suspend 3 0.000000000
sigaction 14 0:
aio_suspend 3 10.000000000
aio_suspend 3 0.010000000
aio_suspend 3 10.000000000"
    assert_output "\
pipe, NULL or FILE: 0
  pipe: EINPROGRESS
  FILE: 0
again: 0
only the pipe, 10 ms: -1 EAGAIN
only the pipe, 0 ms: -1 EAGAIN
only the pipe, and a signal: -1 EINTR
only NULL, 10 ms: $(on 0 '-1 EAGAIN')
pipe: EINPROGRESS
pipe with a byte in it: 0"
    same demo.txt "$(<demo.txt)" "Hello, asynchronous world!"
}

@test "aio_suspend with fewer than no requests is EINVAL" {
    signals suspend_nr
    assert_output "nent -1: -1 EINVAL"
}

@test "a time-out of aio_suspend never ends early" {
    signals suspend_early
    assert_output "early: 0 of 20"
}

@test "nanoseconds over a second in a time-out: glibc aborts, musl spins" {
    ulimit -c 0
    if [[ $library == glibc ]]; then
        run -134 "$BATS_FILE_TMPDIR/signals" suspend_odd_time
    else
        run -137 timeout -s KILL 0.3 "$BATS_FILE_TMPDIR/signals" \
            suspend_odd_time
    fi
}

@test "a handler interrupts aio_suspend, but not always with SA_RESTART" {
    signals suspend_interrupted
    assert_output "\
SA_RESTART, no time-out: goes on
SA_RESTART, a time-out: $(on EINTR 'goes on')
no SA_RESTART, no time-out: EINTR
no SA_RESTART, a time-out: EINTR"
}

@test "with a time-out SA_RESTART is no help once a handler was without it" {
    signals suspend_restarted
    assert_output "\
SA_RESTART, no time-out: goes on
SA_RESTART, a time-out: EINTR"
}

@test "aio_suspend may return before a callback has run" {
    signals suspend_before_callback
    assert_output "\
aio_write: 0
callback is over: no
callback: 0"
}

# ---- signal ----

@test "signal takes every signal, by a handler, sigtimedwait and a signalfd" {
    traced signal demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
SIG_BLOCK: SIGRTMIN
sigaction SIGRTMIN 0x4:
$(for i in {0..8}; do
        value=$((i % 3))
        echo "aio_write demo.txt 4096@$((i * 4096)) SIGRTMIN$(
            ((value == 0)) || echo " value=$value")"
    done)"
    assert_output "\
handler: 3 signals for 3 requests
sigtimedwait: 3 signals for 3 requests
signalfd: 3 signals for 3 requests"
    cmp demo.txt <(blocks abcdefghi)
}

@test "signal passes over a signal that somebody else has sent" {
    # It is there first.
    # shellcheck disable=SC2016 # for the inner shell
    run -0 env --block-signal="$(on 34 35)" bash -c 'kill "-$1" $$
        exec "$2" demo.txt' bash "$(on 34 35)" "$root/$chapter/signal"
    assert_output "\
handler: 3 signals for 3 requests
sigtimedwait: 3 signals for 3 requests
signalfd: 3 signals for 3 requests"
}

@test "signals queue if real-time; one that cannot is lost, on glibc EAGAIN" {
    signals signals_queue
    assert_output "\
SIGRTMIN: 3 of 3
SIGUSR1: 1 of 3"
    signals signal_lost
    assert_output "\
aio_write: 0
aio_error: $(on EAGAIN 0)
signal: -1 EAGAIN
bytes in the file: 5"
}

@test "an ordinary signal that cannot be queued comes without its value" {
    signals ordinary_signal
    assert_output "\
aio_write: 0
aio_error: 0
SIGUSR1 comes: yes
its value: 0
its code: SI_USER"
}

@test "a zeroed sigevent is SIGEV_SIGNAL with signal 0" {
    signals zeroed_sigevent
    assert_output "\
sigev_notify: SIGEV_SIGNAL, signal 0
aio_write: 0
aio_return: 5"
}

@test "a signal blocked in main only goes to another thread" {
    signals signal_elsewhere
    assert_output "\
aio_write: 0
the handler ran in another thread"
}

@test "aio_error in a handler that interrupts aio_error hangs on glibc" {
    signals handler_asks
    assert_output "$(on 'hangs' 'does not hang')"
}

# ---- callback ----

@test "callback runs each callback in a thread of its own or in the worker" {
    traced callback demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
SIG_BLOCK: 10
$(for i in {0..7}; do
        echo "aio_write demo.txt 4096@$((i * 4096)) thread value=pointer"
    done)"
    assert_output "\
chain: 4 callbacks, 0 in main's thread
threads in the first callback: $(on 2 1) more
SIGUSR1, which main has blocked, in a callback: $(on 'not blocked' blocked)
all at once: 4 callbacks, 0 in main's thread"
    cmp demo.txt <(blocks abcdefgh)
}

# ---- listio ----

@test "listio takes requests by the list, and finds the one that failed" {
    local one="write demo.txt 4096@0, NULL, write demo.txt" three expected
    three="5: $one 4096@4096, nop 0@0, write demo.txt 4096@8192"

    traced listio demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
lio_listio LIO_WAIT $three
SIG_BLOCK: SIGRTMIN
lio_listio LIO_NOWAIT ${three/:/ SIGRTMIN value=42:}
lio_listio LIO_WAIT ${three/@4096/@-1}
lio_listio LIO_WAIT ${three/demo.txt 4096@4096/-1 4096@4096}"
    assert_output "\
LIO_WAIT: all are done
  request 0: 4096 bytes
  request 1: 4096 bytes
  request 2: 4096 bytes
told by one signal: si_value 42
LIO_NOWAIT: all are done
  request 0: 4096 bytes
  request 1: 4096 bytes
  request 2: 4096 bytes
one has a bad offset: $eio
  request 0: 4096 bytes
  request 1: Invalid argument
  request 2: 4096 bytes
one has no descriptor: $(on "$eio" 'Resource temporarily unavailable')
  request 0: 4096 bytes
  request 1: Bad file descriptor
  request 2: $(on 4096 0) bytes"
    cmp demo.txt <(blocks "$(on dbd dbc)")
    # And before the last list there was the one with c.
    expected=$output
    AIO_FAULT='lio_listio@4=EBADF' program -1 listio demo.txt
    cmp demo.txt <(blocks cbc)
    same stdout "$output" "${expected%$'\n'one has no *}"

    # Somebody else's SIGRTMIN tells of nothing, though it is there first.
    # shellcheck disable=SC2016 # for the inner shell
    run -0 env --block-signal="$(on 34 35)" bash -c 'kill "-$1" $$
        exec "$2" demo.txt' bash "$(on 34 35)" "$root/$chapter/listio"
    assert_output "$expected"
}

@test "listio waits with all signals blocked, only then: none interrupts it" {
    AIO_WATCH=log AIO_WATCH_MORE=1 program -0 listio demo.txt
    assert_stderr ""
    same "whether SIGINT and SIGALRM are blocked" \
        "$(grep 'LIO_WAIT\|another' log)" "\
LIO_WAIT: 11
another: 00
LIO_WAIT: 11
LIO_WAIT: 11"
    probe listio_blocked
    assert_output "\
lio_listio: 0
aio_return: 1"
}

@test "exercise 7.4 and its solution wait with all signals blocked, too" {
    local source

    for source in exercises solutions; do
        # shellcheck disable=SC2086 # the compiler and its flags
        $build "$root/$chapter/$source/4-which-failed.c" -o "$source" \
            -pthread -lrt
        echo 12345 >six.txt
        run -0 env LD_PRELOAD="$root/tests/helpers/fault.so" \
            AIO_WATCH="log.$source" AIO_WATCH_MORE=1 "./$source" six.txt
        same "log of $source" "$(grep -m 1 LIO_WAIT "log.$source")" \
            "LIO_WAIT: 11"
    done
}

@test "lio_listio(LIO_WAIT) that is interrupted crashes on glibc, later" {
    ulimit -c 0
    ended 60 "$BATS_FILE_TMPDIR/probe" listio_crash
    if [[ $library == glibc ]]; then
        assert_output "lio_listio: -1 EINTR"
        ((status > 128)) || same status "$status" "death by a signal"
    else
        assert_output "\
lio_listio: -1 EINTR
aio_return: 1"
    fi
}

@test "a handler with SA_RESTART does not interrupt lio_listio(LIO_WAIT)" {
    signals listio_restarted
    assert_output "\
lio_listio: 0
handlers: 20 or more"
}

@test "lio_listio copies its sigevent on glibc, and not on musl" {
    probe listio_event
    assert_output "\
lio_listio: 0
signal: value $(on 1 2)"
}

@test "a list reads each request's data from its own offset" {
    probe lists
    assert_line 'LIO_READ at 8, 0, 4: 0'
    assert_line 'data: cccc aaaa bbbb'
}

@test "LIO_WAIT ignores its sigevent" {
    probe lists
    assert_line 'LIO_WAIT with a sigevent: 0 signals'
}

@test "a list with an opcode that is none: glibc fails it, musl passes over it" {
    probe lists
    assert_line "opcode -1 and a read: $(on '-1 EIO' 0)"
    assert_line "opcode -1: aio_error $(on EINVAL 0)"
    assert_line 'the read: aio_error 0'
}

@test "lio_listio with a bad mode is EINVAL on glibc, with -1 entries on musl" {
    probe lists
    assert_line "mode 77: $(on '-1 EINVAL' 0)"
    assert_line "-1 entries: $(on 0 '-1 EINVAL')"
    assert_line 'no entries: 0'
}

@test "lio_listio with a bad aio_reqprio is EINVAL on glibc, or EIO" {
    probe lists
    assert_line "alone, aio_reqprio 21: $(on '-1 EINVAL' 0)"
    assert_line "with another, LIO_WAIT: $(on '-1 EIO' 0)"
    assert_line "with another, LIO_NOWAIT: $(on '-1 EINVAL' 0)"
}

@test "a LIO_NOP whose block has failed before makes LIO_WAIT fail on musl" {
    probe lists
    assert_line "LIO_NOP that failed before: $(on 0 '-1 EIO')"
}

@test "LIO_NOWAIT with one failing of five: 0, all six signals come" {
    probe lists
    assert_line 'LIO_NOWAIT, one of five fails: 0'
    assert_line 'its signals: 5 of requests, 1 of the list'
    assert_line 'the one that failed: EBADF'
}

@test "LIO_NOWAIT and a request without a descriptor: musl stops there" {
    probe lists
    assert_line "LIO_NOWAIT, one has no descriptor: $(on 0 '-1 EAGAIN')"
    assert_line "of the list: $(on 1 0) signals"
    assert_line "the one behind it: $(on 4 0) bytes"
}

@test "where no thread can be made each call that starts a request says EAGAIN" {
    needs_users # as root, the probe becomes another one
    probe no_threads
    assert_output "\
aio_read: -1 EAGAIN
aio_fsync: -1 EAGAIN
LIO_WAIT: -1 EAGAIN
LIO_NOWAIT: -1 EAGAIN"
}

@test "a list with a sigevent costs one more thread on musl" {
    probe listio_threads_event
    assert_output "\
lio_listio: 0
3 requests, $(on 3 4) threads"
}

@test "LIO_WAIT may return before a callback of its requests has ended" {
    probe list_callbacks
    assert_line 'LIO_WAIT: 0'
    assert_line 'a callback of its requests: not over'
    assert_line 'then: 0'
}

@test "a whole list can have one callback" {
    probe list_callbacks
    assert_line 'LIO_NOWAIT, SIGEV_THREAD: 0'
    assert_line 'callback of the list: 0'
}

@test "when the signal of a list is lost nobody is told, not even by EAGAIN" {
    probe list_lost
    assert_line 'LIO_NOWAIT: 0'
    assert_line 'its requests: 0 0 0'
    assert_line 'its signal: lost'
}

# ---- cancel ----

@test "aio_cancel where there is nothing to cancel says AIO_ALLDONE" {
    probe cancels
    assert_line 'a descriptor without requests: AIO_ALLDONE'
    assert_line 'a request never submitted: AIO_ALLDONE'
}

@test "aio_cancel with another descriptor than the request's is EINVAL" {
    probe cancels
    assert_line 'not its descriptor: EINVAL'
}

@test "aio_cancel of a copy of a request is EINVAL, on musl AIO_ALLDONE" {
    probe cancels
    assert_line "a copy of a request: $(on EINVAL AIO_ALLDONE)"
}

@test "dup2 over the descriptor of a request does not disturb it" {
    probe cancels
    assert_line 'dup2() over its descriptor: EINPROGRESS'
    assert_line 'the pipe is read: 0'
}

@test "a write to a pipe that is partly done: cut short on musl, goes on on glibc" {
    probe cancels
    assert_line "running: $(on AIO_NOTCANCELED AIO_ALLDONE)"
    assert_line "it wrote: $(on 'it goes on' 'a part')"
}

@test "aio_cancel changes no field of a request" {
    probe cancels
    assert_line 'its fields: the same'
}

@test "on glibc a queue whose first request is taken back may never go on" {
    probe orphans
    assert_output "\
the first of two: $(on AIO_CANCELED AIO_ALLDONE)
all threads are idle, the second: $(on EINPROGRESS 0)"
}

@test "cancel takes back what is queued; what is running, only on musl" {
    traced cancel demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
aio_read pipe:r 1@0
aio_read pipe:r 1@0
aio_read pipe:r 1@0
aio_cancel pipe:r one
aio_cancel pipe:r one
aio_cancel pipe:r all
aio_write demo.txt 27@0
aio_cancel demo.txt one
aio_cancel demo.txt all"
    assert_stderr ""
    if [[ $library == glibc ]]; then
        assert_output "\
running: AIO_NOTCANCELED
  request 0: aio_error EINPROGRESS
queued: AIO_CANCELED
  request 1: aio_error ECANCELED, aio_return -1
all of the pipe: AIO_NOTCANCELED
  request 0: aio_error EINPROGRESS
  request 2: aio_error ECANCELED, aio_return -1
three bytes into the pipe
  request 0: aio_error 0, aio_return 1
done: AIO_ALLDONE
  aio_error 0, aio_return 27
all of FILE: AIO_ALLDONE"
    else
        assert_output "\
running: AIO_CANCELED
  request 0: aio_error ECANCELED, aio_return -1
queued: AIO_CANCELED
  request 1: aio_error ECANCELED, aio_return -1
all of the pipe: AIO_CANCELED
  request 0: aio_error ECANCELED, aio_return -1
  request 2: aio_error ECANCELED, aio_return -1
three bytes into the pipe
  request 0: aio_error ECANCELED, aio_return -1
done: AIO_ALLDONE
  aio_error 0, aio_return 27
all of FILE: AIO_ALLDONE"
    fi
    same demo.txt "$(<demo.txt)" "Hello, asynchronous world!"
    # An answer that comes before the request is done: it waits for that.
    expected=$output
    AIO_FAULT="aio_error@$(on 2 1)=EINPROGRESS" program -0 cancel demo.txt
    assert_output "$expected"
}

@test "a request that is cancelled notifies, like any that is done" {
    probe cancel_notifies
    assert_output "\
aio_read: 0
aio_cancel: 0
signal: value 2, ECANCELED"
}

@test "close takes requests back on musl; on glibc they hit another file" {
    if [[ $library == glibc ]]; then
        probe close_queued
        assert_output "\
the first: 2097152
the second: 1
in the other pipe: 'w'"
    else
        probe close_read
        assert_output "\
close: 0
aio_error: ECANCELED"
    fi
}

@test "aio_cancel of a request behind a write to a pipe hangs on musl, and close" {
    local question

    for question in cancel_behind_write cancel_fsync close_behind_write \
        close_fsync; do
        if [[ $library == glibc ]]; then
            probe "$question"
            assert_line "both are in flight"
            assert_line "@(aio_cancel|close): 0"
        else
            # It has blocked all signals that it could.
            run -137 timeout -s KILL 0.3 "$BATS_FILE_TMPDIR/probe" "$question"
            assert_line "both are in flight"
        fi
    done
}

# ---- fsync ----

@test "a sync waits for writes through its descriptor, not through a copy" {
    traced fsync demo.txt
    requests "\
signal SIGXFSZ ignored
create demo.txt 666
aio_write demo.txt 20@0
aio_fsync demo.txt 0@0 O_DSYNC
aio_write demo.txt 16@20
aio_fsync demo.txt 0@0 O_SYNC
aio_write pipe:w 1@0
aio_fsync pipe:w 0@0 O_DSYNC
aio_fsync pipe:w 0@0 O_DSYNC"
    assert_output "\
O_DSYNC: 20 bytes are on the disk
O_SYNC: 16 bytes are on the disk
pipe is full, write: $einprogress
  sync of a copy of the descriptor: Invalid argument
  sync of the descriptor: $einprogress
pipe is read, write: done
  sync of the descriptor: Invalid argument"
    same demo.txt "$(<demo.txt)" "\
as fdatasync() does
as fsync() does"
}

@test "fsync ends, and says why, when a write fails inside the C library" {
    strace -qq -o /dev/null -e trace=none true 2>/dev/null ||
        skip "strace cannot be used"
    # Its thread makes the calls: the third is the write to the full pipe.
    ended 30 strace -f -qq -o /dev/null -e trace=pwrite64 \
        -e inject=pwrite64:error=EIO:when="$(on 3 1)" \
        "$root/$chapter/fsync" demo.txt
    same status "$status" 1
    assert_error "fsync: aio_write $(on pipe demo.txt): $eio"
}

@test "aio_fsync ignores buffer, length, offset and priority" {
    probe syncs
    assert_line 'buffer, length, offset and priority of 12345: aio_error 0, *'
}

@test "aio_fsync works on a file open for reading, and on a folder" {
    probe syncs
    assert_line 'a file open for reading: aio_error 0, aio_return 0'
    assert_line 'a folder: aio_error 0, aio_return 0'
}

@test "aio_fsync of what cannot be synced fails, with EINVAL in the request" {
    probe syncs
    assert_line '/dev/null: aio_error EINVAL, aio_return -1'
}

@test "aio_fsync with neither O_DSYNC nor O_SYNC is refused with EINVAL" {
    probe syncs
    assert_line 'O_DSYNC: aio_error 0, aio_return 0'
    assert_line 'O_SYNC: aio_error 0, aio_return 0'
    assert_line 'neither O_DSYNC nor O_SYNC: -1 EINVAL'
}

@test "on glibc a sync goes ahead of queued writes with aio_reqprio above 0" {
    probe sync_order
    assert_output "write: EINPROGRESS, sync: waits"
    probe sync_overtakes
    assert_output "write: EINPROGRESS, sync: $(on 'done' waits)"
}

@test "aio_cancel of a closed descriptor: EBADF, on musl AIO_ALLDONE" {
    probe cancel_bad_fd
    assert_output "\
EBADF
$(on EBADF AIO_ALLDONE)"
}

@test "no such descriptor: EBADF at once, but on glibc late from aio_read" {
    probe fsync_bad_fd
    assert_output "aio_fsync: -1 EBADF"
    probe bad_fd
    assert_output "\
aio_read: $(on 0 '-1 EBADF')
aio_error: EBADF
aio_return: 0"
}

# ---- one-queue-per-descriptor, and requests in general ----

@test "glibc runs one request of a descriptor at a time, musl all" {
    local read='aio_read demo.fifo 1@0' write='aio_write demo.fifo 1@0'

    traced one-queue-per-descriptor demo.fifo
    requests "\
signal SIGXFSZ ignored
$read
$read
$read
$read
$read
$write
$read
$write
$read
$write"
    [[ $trace != *suspend* ]] ||
        same "waits" "$(grep suspend <<<"$trace" | sort -u)" \
            "aio_suspend 1 10.000000000"
    assert_output "\
two reads, one descriptor: $(on 1 2) at a time
two reads, two descriptors: 2 at a time
read, then write, one descriptor: the read got $(on "'m', main 'w'" "'w'")
read, then write, a copy by dup(): the read got 'w'
read, then write, a second open(): the read got 'w'"
    [[ ! -e demo.fifo ]]
}

@test "glibc has at most 20 threads for requests, musl one for each" {
    probe pool
    assert_output "25 requests, $(on 20 25) threads"
}

@test "on glibc 20 requests that wait stop all POSIX AIO of the process" {
    probe full_pool
    assert_output "\
behind 20 reads of pipes, a write to a file: $(on EINPROGRESS 0)
one of the reads is over: 0"
}

@test "on glibc a longer queue costs more for each request that joins it" {
    probe long_queue
    assert_output "$(on 'four times as many: more than eight times the work' \
        'a thread for each')"
}

@test "a copy of a request in flight never hears that it is done" {
    probe copied
    assert_output "\
the request: 0
a copy made before: EINPROGRESS
aio_suspend of the copy: $(on 0 '-1 EAGAIN')"
}

@test "sysconf knows no limit for lists and requests; priorities: 20, musl 0" {
    probe limits
    assert_output "\
_SC_AIO_MAX: -1
_SC_AIO_LISTIO_MAX: -1
_SC_AIO_PRIO_DELTA_MAX: $(on 20 0)
_SC_ASYNCHRONOUS_IO: above 0"
}

@test "aio_init sets glibc's number of threads, before the first request" {
    probe pool_of_two
    assert_output "$(on $'5 requests, 2 threads\n5 requests, 0 threads' \
        '5 requests, 5 threads')"
}

@test "aio_reqprio is from 0 to 20 on glibc, and ignored by musl" {
    signals reqprio
    assert_output "\
aio_write, -1: $(on '-1 EINVAL' 0)
aio_read, -1: $(on '-1 EINVAL' 0)
aio_write, 0: 0
aio_read, 0: 0
aio_write, 20: 0
aio_read, 20: 0
aio_write, 21: $(on '-1 EINVAL' 0)
aio_read, 21: $(on '-1 EINVAL' 0)"
}

@test "aio_error and aio_return leave errno alone; aio_return answers again" {
    signals error_is_returned
    assert_output "aio_error: EBADF, errno as before"
    signals return_errno
    assert_output "aio_return: -1, errno as before"
    signals return_twice
    assert_output "\
aio_return: 5
aio_return again: 5"
}

@test "a block that is all zeros is a request that is over" {
    signals zeroed
    assert_output "\
aio_error: 0
aio_return: 0
aio_suspend: 0"
}

@test "aio_error says why a request failed, and no signal comes" {
    signals errors
    assert_output "\
an offset below 0: EINVAL
a bad buffer: EFAULT
a folder: EISDIR
only for reading: EBADF
a pipe without a reader: EPIPE
O_NONBLOCK, and nothing there: EAGAIN
a full disk: ENOSPC
over the size limit: EFBIG"
}

@test "aio_read and aio_write ignore aio_lio_opcode; glibc overwrites it" {
    signals opcode
    assert_output "\
aio_write: 0
aio_lio_opcode: $(on another 'as before')
aio_read: 0
got: hello"
}

@test "writes to a file opened with O_APPEND land in the order of the calls" {
    signals append_order
    assert_output abcdefghijklmnopqrstuvwxyz
}

@test "a program ends at once though a read is pending" {
    ended 2 "$BATS_FILE_TMPDIR/signals" exit_pending
    same status "$status" 0
    assert_output "aio_error: EINPROGRESS"
}

@test "a file opened with O_APPEND is written at its end, not at aio_offset" {
    signals append
    assert_output "12hello"
}

@test "POSIX AIO makes no AIO context; a list is a thread for each request" {
    probe maps
    assert_output "contexts: 0"
    probe listio_threads
    assert_output "\
lio_listio: 0
3 requests, 3 threads"
}

@test "a signal that main has blocked kills a callback on glibc" {
    ended 60 "$BATS_FILE_TMPDIR/signals" callback_kills
    assert_output "aio_write: 0$(on '' $'\nstill there')"
    same status "$status" "$(on 143 0)"
}

@test "a callback without room for its thread is lost on glibc" {
    signals callback_lost
    assert_output "\
aio_read: 0
aio_error: 0
callback: $(on none came)"
}

@test "in a callback no signal is blocked on glibc, and all are on musl" {
    signals callback_mask
    assert_output "blocked of 31 signals: $(on 0 29)"
}

@test "callbacks with joinable attributes each leave a stack behind on glibc" {
    signals callback_attributes
    assert_output "\
detached: a few at most
joinable: $(on 'a stack each' 'a few at most')"
}

@test "fork-and-exit shows what a child has, and what is lost at exit" {
    local bytes

    traced fork-and-exit demo.txt
    assert_output "\
${lines[0]}
POSIX, a read in flight, in the child: not done
POSIX, a read in flight, in the parent: done
POSIX, a write of the parent: done
POSIX, a write of the child: $(on 'not done' 'done')
kernel, at exit: 2097152 of 2097152 bytes are in the file"
    [[ ${lines[0]} =~ ^'POSIX, at exit: '([0-9]+)' of 4194304 bytes have'\
' arrived'$ ]]
    # What a pipe holds.
    bytes=${BASH_REMATCH[1]}
    ((bytes >= 4096 && bytes < 2097152))
    same "letters in the file" "$(tr -d k <demo.txt | wc -c)" 0
    same "its length" "$(wc -c <demo.txt)" 2097152
}

@test "fork-and-exit knows how its children end even if SIGCHLD is ignored" {
    run -0 --separate-stderr env --ignore-signal=CHLD \
        "$root/$chapter/fork-and-exit" demo.txt
    assert_stderr ""
}

@test "a forked child cannot use a descriptor with a request in flight on glibc" {
    signals forked_queue
    assert_output "\
in the child, the same descriptor: $(on EINPROGRESS 0)
in the child, another one: 0"
}

@test "fork-and-exit names each call that fails, in the children too" {
    faults fork-and-exit <<END
pipe@1=EMFILE: pipe: $emfile
fork@1=EAGAIN: fork: Resource temporarily unavailable
aio_write@1=EAGAIN: aio_write pipe: Resource temporarily unavailable
poll@1=short=0: poll: $etimedout
ioctl@1=EINVAL: ioctl: Invalid argument
pipe@2=EMFILE: pipe: $emfile
aio_read@1=EAGAIN: aio_read pipe: Resource temporarily unavailable
write@1=EPIPE: write pipe: Broken pipe
aio_error@*=EIO: aio_read pipe: $eio
pwrite@1=ENOSPC: pwrite demo.txt: No space left on device
pwrite@1=short=5 pwrite@2=EIO: pwrite demo.txt: $eio
fsync@1=EIO: fsync demo.txt: $eio
io_setup@1=EAGAIN: io_setup: Resource temporarily unavailable
io_submit@1=EINVAL: io_submit: Invalid argument
pread@1=EIO: pread demo.txt: $eio
END
}

@test "a thread without work leaves, on glibc after a second" {
    ended_in_background idle
    same status "$status" 0
    # On musl it may have left before it is counted for the first time.
    [[ $library == glibc ]] || output=${output##*$'\n'}
    assert_output "threads in the end: 1"
}

# Its write is queued behind the read that never ends.
@test "suspend ends though its second thread cannot be made" {
    unshare --user true || [[ $EUID == 0 ]] || skip "no user of its own"
    needs_users
    ended_in_background few
    same status "$status" 1
    assert_output "suspend: $(on aio_suspend 'aio_write few'): Resource \
temporarily unavailable"
    # shellcheck disable=SC2016 # for the inner shell
    run "${few_threads[@]}" bash -c 'ulimit -u 2; exec "$1" queue' \
        bash "$root/$chapter/one-queue-per-descriptor"
    same "last line" "${lines[-1]}" "one-queue-per-descriptor: aio_read: \
$(on 'no second thread can be made' 'Resource temporarily unavailable')"
}

@test "listio ends though its signal is lost, and others keep coming" {
    ended_in_background list
    same status "$status" 1
    assert_line "listio: sigtimedwait: other signals only"
}

@test "signal ends though its signals are lost, and others keep coming" {
    ended_in_background lost
    same status "$status" 1
    assert_line "signal: handler: $etimedout"
}
