# Completions in an event loop: told by an eventfd beside other descriptors,
# or the other way round, with everything else told by AIO; and signals.
# seconds: 4

# shellcheck disable=SC2154 # what helpers and bats set
load helpers/common
load helpers/abreast
chapter=05-eventfd

setup_file() {
    export probe=$BATS_FILE_TMPDIR/probe eio enospc

    cp "$root/tests/helpers/probe-eventfd" "$probe"
    eio=$("$probe" reason EIO)
    enospc=$("$probe" reason ENOSPC)

    # What eventfd writes, made in another way.
    awk 'BEGIN {
        for (block = 0; block < 8; block++) {
            text = sprintf("%c", 97 + block)
            while (length(text) < 65536)
                text = text text
            label = "block " block "\n"
            printf "%s%s", label, substr(text, length(label) + 1)
        }
    }' >"$BATS_FILE_TMPDIR/blocks"
}

# assert_written FOLDER: eventfd said so, and the file demo in it is right.
assert_written() {
    assert_line 'O_DIRECT: *'
    same "stdout but for the first line" "${output#*$'\n'}" \
        'timer: 1 expiration
io_submit: 8 requests
eventfd: counted 8, events reaped: 8
pipe: all are written
read back: 8 blocks, each where it belongs'
    cmp "$BATS_FILE_TMPDIR/blocks" "$1/demo"
}

# fails NAME ARGUMENT FAULT TEXT [FAULT TEXT]...: begins NAME under each
# fault. It must say TEXT: see failed. No ARGUMENT if it is empty.
fails() {
    local of=$1 argument=$2

    shift 2
    while (($#)); do
        AIO_FAULT=$1 EXPECT=$2 begin "$of" ${argument:+"$argument"}
        shift 2
    done
}

# All that were begun by fails have status 1 and say so, in one line.
failed() {
    while next; do
        assert_status 1
        assert_error "$name: $expect"
    done
}

poll_output='PREAD on an empty pipe: Resource temporarily unavailable
POLL on an empty pipe: 0 events
two messages: 1 event
asked again: 1 event
  pipe: POLLIN, one, two
turn 1: requests 2, events 1
  pipe: POLLIN, first
turn 2: requests 1, events 1
  socket: POLLIN, second
turn 3: requests 1, events 2
  pipe: POLLIN, third
  socket: POLLIN, fourth
turn 4: requests 2, events 1
  pipe: POLLHUP, end of file
turn 5: requests 0, events 1
  socket: POLLIN POLLHUP, end of file'

signal_output='unblock, then io_getevents: 0 events, time-out, handled: 1
io_pgetevents: 0 events, interrupted, handled: 2
signal after the wait, handled: 2
io_pgetevents with an event: 1 event, handled: 3
io_pgetevents with neither: 0 events, time-out, handled: 3'

# ---- All three programs ----

@test "the programs of chapter 5 explain themselves, and refuse bad arguments" {
    local it

    for it in eventfd poll-requests wait-signal; do
        EXPECT=0 begin "$it" -h
        EXPECT=0 begin "$it" --help
        EXPECT=2 begin "$it" -x
    done
    assert_help_fails eventfd poll-requests wait-signal
    EXPECT=2 begin eventfd
    EXPECT=2 begin eventfd demo 1
    EXPECT=2 begin poll-requests demo
    EXPECT=2 begin wait-signal demo
    while next; do
        assert_status "$expect"
        if [[ $expect == 0 ]]; then
            assert_line "Usage: $name*"
            assert_stderr ""
        else
            assert_output ""
            [[ $stderr == "Usage: $name"* && ! -e $at/demo ]]
        fi
    done
}

@test "chapter 5: no AIO, or output that does not arrive, is an error" {
    local it demo

    for it in eventfd poll-requests wait-signal; do
        [[ $it == eventfd ]] && demo=demo || demo=
        fails "$it" "$demo" \
            'io_setup@*=ENOSYS' 'io_setup: Function not implemented' \
            'io_setup@*=EPERM' 'io_setup: Operation not permitted'
        # All is written but the last.
        fails "$it" "$demo" 'fflush@*=ENOSPC' "standard output: $enospc"
    done
    failed

    for it in 'eventfd demo' poll-requests wait-signal; do
        # shellcheck disable=SC2016 # the inner shell splits it
        run -1 --separate-stderr bash -c 'exec $1 >/dev/full' - \
            "$root/$chapter/$it"
        assert_error "${it% *}: standard output: $enospc"

        # What was printed stands ahead of an error.
        # shellcheck disable=SC2086 # a name and its argument
        AIO_FAULT='io_destroy@1=EIO' run -1 env \
            LD_PRELOAD="$root/tests/helpers/fault.so" "$root/$chapter/"$it
        [[ ${#lines[@]} -gt 2 ]]
        same "the last line" "${lines[-1]}" "${it% *}: io_destroy: $eio"
    done
}

# ---- eventfd ----

@test "one epoll loop serves a timer, completions and a pipe" {
    local i requests=

    head -c 600000 /dev/zero >demo
    traced eventfd demo
    assert_written .
    for i in {0..7}; do
        requests+="${requests:+,} pwrite demo 65536@$((i * 65536))\
 flags=1 resfd=eventfd"
    done
    same calls "$(uniq <<<"$trace" | sed 's/ = [0-9]*$//' | uniq)" "\
signal SIGXFSZ ignored
create demo 666
io_setup 8
io_submit 8 = 8:$requests
io_getevents 0 8 -
io_destroy"
}

@test "eventfd goes past the page cache where it can, else through it" {
    local how=yes buffered='not here, going on through the page cache'

    [[ $("$probe" direct try) == yes ]] || how=$buffered
    EXPECT=$how begin eventfd demo
    AIO_FAULT='open:direct@1=EINVAL' EXPECT=$buffered begin eventfd demo
    while next; do
        assert_status 0
        same "the first line" "${lines[0]}" "O_DIRECT: $expect"
        assert_written "$at"
    done
}

@test "eventfd: partial io_submit or io_getevents and EINTR change nothing" {
    local n

    # io_submit may take any number of the requests, and so may io_getevents
    # of the events: the ring is drained.
    for n in 1 2 3 4 5 6 7; do
        AIO_FAULT="io_submit@*=short=$n" LOG=yes EXPECT=$(((7 + n) / n)) \
            begin eventfd demo
    done
    for n in 1 2 3 7; do
        AIO_FAULT="io_getevents@*=short=$n" begin eventfd demo
    done
    for n in 1 2 3; do
        AIO_FAULT="epoll_wait@$n=EINTR" begin eventfd demo
        AIO_FAULT="io_getevents@$n=EINTR" begin eventfd demo
        AIO_FAULT="io_submit@$n=EINTR io_submit@*=short=3" begin eventfd demo
    done
    while next; do
        assert_status 0
        assert_written "$at"
        [[ ! $expect ]] ||
            same "calls of io_submit" "$(calls io_submit)" "$expect"
    done
}

@test "eventfd: a short or failed write is an error; so are lost events, data" {
    fails eventfd demo io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=65535 "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        'io_getevents@*=short=1 io_submit@1=EIO' "io_submit: $eio"

    # A loop in which nothing happens any more ends, and reading back finds
    # what was not written.
    fails eventfd demo epoll_wait@1=short=0 \
        "epoll_wait: $("$probe" reason ETIMEDOUT)"
    fails eventfd /dev/zero '' "read back block 0 of /dev/zero: $eio"
    failed

    run -1 --separate-stderr bash -c 'ulimit -f 128 && exec "$@"' - \
        "$root/$chapter/eventfd" demo
    assert_error "eventfd: IOCB_CMD_PWRITE demo: $("$probe" reason EFBIG)"
    same bytes "$(stat -c %s demo)" 131072
    cmp -n 131072 "$BATS_FILE_TMPDIR/blocks" demo
}

@test "eventfd: a missing folder, a folder, a file that must not be written" {
    : >mine
    chmod 444 mine
    fails eventfd nowhere/demo '' \
        'open nowhere/demo: No such file or directory'
    fails eventfd . '' 'open .: Is a directory'
    failed
    run -1 --separate-stderr without_override "$root/$chapter/eventfd" mine
    assert_error "eventfd: open mine: Permission denied"
}

@test "each call of eventfd that fails is named" {
    local n buffered=open:direct@1=EINVAL

    fails eventfd demo open@1=EIO "open demo: $eio" \
        "$buffered open@2=EIO" "open demo: $eio" \
        posix_memalign@1=EIO "posix_memalign: $eio" \
        io_setup@1=EIO "io_setup: $eio" \
        timerfd_create@1=EIO "timerfd_create: $eio" \
        eventfd@1=EIO "eventfd: $eio" pipe2@1=EIO "pipe2: $eio" \
        epoll_create1@1=EIO "epoll_create1: $eio" \
        epoll_ctl@1=EIO "epoll_ctl: $eio" epoll_ctl@2=EIO "epoll_ctl: $eio" \
        epoll_ctl@3=EIO "epoll_ctl: $eio" \
        timerfd_settime@1=EIO "timerfd_settime: $eio" \
        epoll_wait@1=EIO "epoll_wait: $eio" \
        epoll_wait@2=EIO "epoll_wait: $eio" \
        read@1=EIO "read timerfd: $eio" read@2=EIO "read eventfd: $eio" \
        "$buffered read@3=EIO" "read pipe: $eio" \
        write@1=EIO "write pipe: $eio" io_submit@1=EIO "io_submit: $eio" \
        io_getevents@1=EIO "io_getevents: $eio" \
        io_getevents@2=EIO "io_getevents: $eio" \
        io_destroy@1=EIO "io_destroy: $eio" close@6=EIO "close demo: $eio" \
        fopen@1=EIO "open demo: $eio"
    for n in 1 2 3 4 5; do
        fails eventfd demo "close@$n=EIO" "close: $eio"
    done
    failed
    LOG=yes begin eventfd demo
    next
    same "io_destroy, close, fclose" "$(calls io_destroy) $(calls close) $(
        calls fclose)" "1 6 1"
}

# ---- The eventfd ----

@test "an eventfd counts completions; reading reaps none, reaping reads none" {
    run -0 "$probe" counter sum
    assert_output "read: 8
read: EAGAIN
events: 8
events left: 0"

    run -0 "$probe" counter reaped
    assert_output "events: 8
read: 8
read: EAGAIN
events left: 0"
}

@test "with EFD_SEMAPHORE a read returns 1, once for each completion" {
    run -0 "$probe" counter semaphore
    assert_output "$(printf 'read: 1\n%.0s' 1 2 3 4 5 6 7 8)
read: EAGAIN
events: 8
events left: 0"
}

@test "an eventfd can count for two contexts, a context for two eventfds" {
    run -0 "$probe" shared-eventfd
    assert_output "of both contexts: 2, the other eventfd: 1"
}

# ---- poll-requests ----

@test "a POLL is answered once; one io_submit asks again for pipe and socket" {
    local pipe='poll pipe:r 1 data=pointer'
    local socket='poll socket 1 data=pointer'

    traced poll-requests
    assert_output "$poll_output"

    # A turn in which all requests still wait needs no io_submit, and one
    # io_getevents waits for both.
    same calls "$trace" "\
io_setup 2 = 0
io_submit 1 = 1: pread pipe:r 1@0
io_getevents 1 2 10.000000000 = 1
io_submit 1 = 1: $pipe
io_getevents 0 2 10.000000000 = 0
io_getevents 1 2 10.000000000 = 1
io_getevents 0 2 10.000000000 = 0
io_submit 1 = 1: $pipe
io_getevents 1 2 10.000000000 = 1
io_submit 2 = 2: $pipe, $socket
io_getevents 1 2 10.000000000 = 1
io_submit 1 = 1: $pipe
io_getevents 1 2 10.000000000 = 1
io_submit 1 = 1: $socket
io_getevents 2 2 10.000000000 = 2
io_submit 2 = 2: $pipe, $socket
io_getevents 1 2 10.000000000 = 1
io_getevents 1 2 10.000000000 = 1
io_destroy = 0"
}

@test "poll-requests and wait-signal: EINTR and partial counts change nothing" {
    local n

    for n in 1 2 3 4 5 6 7 8 9 10; do
        AIO_FAULT="io_getevents@$n=EINTR" LOG=yes EXPECT=11 begin poll-requests
        AIO_FAULT="io_submit@$n=EINTR" begin poll-requests
    done
    AIO_FAULT='io_submit@*=short=1' begin poll-requests
    AIO_FAULT='io_getevents@*=short=1' begin poll-requests

    # Another signal than the one waited for: wait again.
    for n in 1 2 3; do
        AIO_FAULT="io_pgetevents@$n=EINTR" begin wait-signal
    done
    AIO_FAULT='io_getevents@1=EINTR' begin wait-signal

    # Nothing there in spite of the answer: the next turn asks again.
    AIO_FAULT='read@2=EAGAIN' program -0 poll-requests
    same "from turn 1 on" "$(grep -A 6 '^turn 1' <<<"$output")" "\
turn 1: requests 2, events 1
  pipe: a false alarm
turn 2: requests 1, events 2
  pipe: POLLIN, first
  socket: POLLIN, second
turn 3: requests 2, events 2
  pipe: POLLIN, third"

    while next; do
        assert_status 0
        if [[ $name == poll-requests ]]; then
            assert_output "$poll_output"
        else
            assert_output "$signal_output"
        fi
        [[ ! $expect ]] || same io_getevents "$(calls io_getevents)" "$expect"
    done
}

@test "each call of poll-requests or wait-signal that fails is named" {
    local n

    fails poll-requests '' io_setup@1=EIO "io_setup: $eio" \
        pipe2@1=EIO "pipe2: $eio" socketpair@1=EIO "socketpair: $eio" \
        io_destroy@1=EIO "io_destroy: $eio" \
        io_getevents@5=res=-EIO "IOCB_CMD_POLL pipe: $eio" \
        io_getevents@7=res=-EIO "IOCB_CMD_POLL socket: $eio" \
        read@1=EIO "read pipe: $eio" read@3=EIO "read socket: $eio" \
        write@1=EIO "write pipe: $eio" write@4=EIO "write socket: $eio" \
        close@1=EIO "close pipe: $eio" close@2=EIO "close pipe: $eio" \
        close@3=EIO "close socket: $eio" close@4=EIO "close socket: $eio"
    for n in 1 2 3 4 5 6 7; do
        fails poll-requests '' "io_submit@$n=EIO" "io_submit: $eio" \
            "io_getevents@$n=EIO" "io_getevents: $eio"
    done

    # An answer that does not come is told, not waited for.
    fails poll-requests '' io_getevents@5=short=0 \
        "io_getevents: $("$probe" reason ETIMEDOUT)"

    fails wait-signal '' sigaction@1=EIO "sigaction: $eio" \
        io_setup@1=EIO "io_setup: $eio" io_submit@1=EIO "io_submit: $eio" \
        io_getevents@1=EIO "io_getevents: $eio" pipe@1=EIO "pipe: $eio" \
        write@1=EIO "write: $eio" io_destroy@1=EIO "io_destroy: $eio" \
        close@1=EIO "close: $eio" close@2=EIO "close: $eio" \
        io_pgetevents@1=ENOSYS 'io_pgetevents: Function not implemented'
    for n in 1 2 3; do
        fails wait-signal '' "io_pgetevents@$n=EIO" "io_pgetevents: $eio" \
            "raise@$n=EIO" "raise: $eio"
    done
    for n in 1 2 3 4; do
        fails wait-signal '' "sigprocmask@$n=EIO" "sigprocmask: $eio"
    done
    failed

    LOG=yes begin poll-requests
    next
    same "io_setup, io_destroy, close" "$(calls io_setup) $(
        calls io_destroy) $(calls close)" "1 1 4"
    LOG=yes begin wait-signal
    next
    same "io_destroy, close" "$(calls io_destroy) $(calls close)" "1 2"
}

@test "PREAD, O_NONBLOCK pipe or socket: done by io_submit; empty: EAGAIN" {
    run -0 "$probe" "done"
    assert_line "pipe, with data: 4"
    assert_line "socket, with data: 4"
    assert_line "pipe, empty: EAGAIN"
    assert_line "socket, empty: EAGAIN"
}

@test "PREAD, PWRITE on a pipe that may wait: io_submit itself waits" {
    local what

    # An empty pipe to read, or a full one to write.
    for what in read write; do
        run -0 timeout 10 "$probe" blocked "$what"
        assert_output "io_submit: 1, after an alarm: yes
event: EINTR"
    done
}

@test "a POLL is answered when it comes true, with poll's mask in res" {
    run -0 timeout 20 "$probe" poll-masks
    assert_output "POLLIN|POLLOUT: POLLIN 0, POLLOUT 1
POLLIN, nothing there: 0 events
POLLIN, written to: POLLIN 1
no events asked for: 0 events
the other end closed: POLLHUP 1"
}

# ---- wait-signal ----

@test "a signal before the wait: missed by io_getevents, ends io_pgetevents" {
    local mask

    traced wait-signal
    assert_output "$signal_output"
    assert_line "unblock, then io_getevents: 0 events, time-out, handled: 1"
    # As the shell's, for SIGUSR1 is not blocked there.
    mask=mask=$(awk '/^SigBlk/ { print $2 }' /proc/self/status)
    same calls "$trace" "\
sigaction 10 0:
io_setup 1 = 0
io_getevents 1 1 0.020000000 = 0
io_pgetevents 1 1 10.000000000 $mask = -4
io_submit 1 = 1: poll pipe:r 1
io_pgetevents 1 1 10.000000000 $mask = 1
io_pgetevents 1 1 0.020000000 $mask = 0
io_destroy = 0"
}

@test "wait-signal does not depend on what it is started with" {
    local run

    for run in "trap '' USR1" 'ulimit -s 256'; do
        run -0 --separate-stderr bash -c "$run"' && exec "$@"' - \
            "$root/$chapter/wait-signal"
        assert_output "$signal_output"
    done
}
