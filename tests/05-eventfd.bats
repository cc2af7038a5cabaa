# Completions in an event loop: told by an eventfd beside other descriptors,
# or the other way round, with everything else told by AIO; and signals.

# shellcheck disable=SC2154 # what helpers and bats set
load helpers/common
load helpers/abreast
chapter=05-eventfd

setup_file() {
    export probe=$BATS_FILE_TMPDIR/probe eio

    cp "$root/tests/helpers/probe-35" "$probe"
    eio=$("$probe" reason EIO)

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

@test "the programs of chapter 5 explain themselves on request" {
    local it

    for it in eventfd poll-requests wait-signal; do
        begin "$it" -h
        begin "$it" --help
    done
    while next; do
        assert_status 0
        assert_line "Usage: $name*"
        assert_stderr ""
    done
}

@test "the programs of chapter 5: wrong arguments are answered with the usage" {
    begin eventfd
    begin eventfd demo 1
    begin eventfd -x
    begin poll-requests demo
    begin poll-requests -x
    begin wait-signal demo
    while next; do
        assert_status 2
        assert_output ""
        [[ $stderr == "Usage: $name"* && ! -e $at/demo ]]
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

@test "eventfd: io_submit may take any number of the requests" {
    local n

    for n in 1 2 3 4 5 6 7; do
        AIO_FAULT="io_submit@*=short=$n" LOG=yes EXPECT=$(((7 + n) / n)) \
            begin eventfd demo
    done
    while next; do
        assert_status 0
        assert_written "$at"
        same "calls of io_submit" "$(calls io_submit)" "$expect"
    done
}

@test "eventfd drains the ring, whatever one io_getevents returns" {
    local n

    for n in 1 2 3 7; do
        AIO_FAULT="io_getevents@*=short=$n" begin eventfd demo
    done
    while next; do
        assert_status 0
        assert_written "$at"
    done
}

@test "EINTR in epoll_wait, io_submit or io_getevents: again" {
    local n

    for n in 1 2 3; do
        AIO_FAULT="epoll_wait@$n=EINTR" begin eventfd demo
        AIO_FAULT="io_getevents@$n=EINTR" begin eventfd demo
        AIO_FAULT="io_submit@$n=EINTR io_submit@*=short=3" begin eventfd demo
    done
    while next; do
        assert_status 0
        assert_written "$at"
    done
}

@test "eventfd: a write that is short or fails is an error" {
    fails eventfd demo io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=65535 "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        'io_getevents@*=short=1 io_submit@1=EIO' "io_submit: $eio"
    failed
    run -1 --separate-stderr bash -c 'ulimit -f 128 && exec "$@"' - \
        "$root/$chapter/eventfd" demo
    assert_error "eventfd: IOCB_CMD_PWRITE demo: $("$probe" reason EFBIG)"
    same bytes "$(stat -c %s demo)" 131072
    head -c 131072 "$BATS_FILE_TMPDIR/blocks" | cmp - demo
}

@test "eventfd: a loop in which nothing happens any more ends" {
    fails eventfd demo epoll_wait@1=short=0 \
        "epoll_wait: $("$probe" reason ETIMEDOUT)"
    failed
}

@test "eventfd: reading back finds what was not written" {
    fails eventfd /dev/zero '' "read back block 0 of /dev/zero: $eio"
    failed
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

@test "no AIO in this kernel, or not in this sandbox: chapter 5" {
    local it

    for it in eventfd poll-requests wait-signal; do
        [[ $it == eventfd ]] && demo=demo || demo=
        fails "$it" "$demo" \
            'io_setup@*=ENOSYS' 'io_setup: Function not implemented' \
            'io_setup@*=EPERM' 'io_setup: Operation not permitted'
    done
    failed
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

@test "chapter 5: what was printed stands ahead of the error" {
    local it

    for it in 'eventfd demo' poll-requests wait-signal; do
        # shellcheck disable=SC2086 # a name and its argument
        AIO_FAULT='io_destroy@1=EIO' run -1 env \
            LD_PRELOAD="$root/tests/helpers/fault.so" "$root/$chapter/"$it
        [[ ${#lines[@]} -gt 2 ]]
        same "the last line" "${lines[-1]}" "${it% *}: io_destroy: $eio"
    done
}

@test "chapter 5: output that can't be written is an error" {
    local it

    for it in 'eventfd demo' poll-requests wait-signal; do
        # shellcheck disable=SC2016 # the inner shell splits it
        run -1 --separate-stderr bash -c 'exec $1 >/dev/full' - \
            "$root/$chapter/$it"
        assert_error "${it% *}: standard output: $("$probe" reason ENOSPC)"
        # All is written but the last.
        # shellcheck disable=SC2086 # a name and its argument
        AIO_FAULT='fflush@*=ENOSPC' program -1 $it
        assert_error "${it% *}: standard output: $("$probe" reason ENOSPC)"
    done
}

@test "the eventfd counts completions: 8 of them, one read, 8, then nothing" {
    run -0 "$probe" counter sum
    assert_line "read: 8"
    same "the second read" "${lines[1]}" "read: EAGAIN"
}

@test "reading the eventfd takes no event out of the ring" {
    run -0 "$probe" counter sum
    assert_output "read: 8
read: EAGAIN
events: 8
events left: 0"
}

@test "reaping events does not touch the eventfd's counter" {
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

# ---- poll-requests ----

@test "an eventfd can count for two contexts, a context for two eventfds" {
    run -0 "$probe" shared-eventfd
    assert_output "of both contexts: 2, the other eventfd: 1"
}

@test "a pipe and a socket are served by one io_submit and one io_getevents" {
    LOG=yes begin poll-requests
    next
    assert_status 0
    assert_stderr ""
    assert_output "$poll_output"

    # A turn in which all requests still wait needs no io_submit.
    same "io_submit, io_getevents" "$(calls io_submit) $(calls io_getevents)" \
        "7 10"
    same "io_setup, io_destroy, close" "$(calls io_setup) $(
        calls io_destroy) $(calls close)" "1 1 4"
}

@test "a POLL request is answered once: it must be submitted again" {
    local pipe='poll pipe:r 1 data=pointer'
    local socket='poll socket 1 data=pointer'

    traced poll-requests
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
    assert_line "POLL on an empty pipe: 0 events"
    assert_line "two messages: 1 event"
    assert_line "asked again: 1 event"
    assert_line "  pipe: POLLIN, one, two"
}

@test "poll-requests: EINTR and partial counts change nothing" {
    local n

    for n in 1 2 3 4 5 6 7 8 9 10; do
        AIO_FAULT="io_getevents@$n=EINTR" LOG=yes EXPECT=11 begin poll-requests
        AIO_FAULT="io_submit@$n=EINTR" begin poll-requests
    done
    AIO_FAULT='io_submit@*=short=1' begin poll-requests
    AIO_FAULT='io_getevents@*=short=1' begin poll-requests
    while next; do
        assert_status 0
        assert_output "$poll_output"
        [[ ! $expect ]] || same io_getevents "$(calls io_getevents)" "$expect"
    done
}

@test "each call of poll-requests that fails is named" {
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
    failed
}

@test "poll-requests: an answer that does not come is told, not waited for" {
    fails poll-requests '' io_getevents@5=short=0 \
        "io_getevents: $("$probe" reason ETIMEDOUT)"
    failed
}

@test "PREAD on an empty O_NONBLOCK pipe or socket: the event says EAGAIN" {
    run -0 "$probe" "done"
    assert_line "pipe, empty: EAGAIN"
    assert_line "socket, empty: EAGAIN"
}

@test "PREAD from a pipe or socket is done when io_submit returns" {
    run -0 "$probe" "done"
    assert_line "pipe, with data: 4"
    assert_line "socket, with data: 4"
}

@test "PREAD on an empty pipe that may wait: io_submit itself waits" {
    run -0 timeout 10 "$probe" blocked read
    assert_output "io_submit: 1, after an alarm: yes
event: EINTR"
}

@test "PWRITE to a full pipe that may wait: io_submit itself waits" {
    run -0 timeout 10 "$probe" blocked write
    assert_output "io_submit: 1, after an alarm: yes
event: EINTR"
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

@test "io_pgetevents: a signal that came just before the wait ends it" {
    local mask

    traced wait-signal
    assert_output "$signal_output"
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

@test "io_getevents: a signal that came just before the wait is missed" {
    program -0 wait-signal
    assert_line "unblock, then io_getevents: 0 events, time-out, handled: 1"
}

@test "wait-signal does not depend on what it is started with" {
    local run

    for run in "trap '' USR1" 'ulimit -s 256'; do
        run -0 --separate-stderr bash -c "$run"' && exec "$@"' - \
            "$root/$chapter/wait-signal"
        assert_output "$signal_output"
    done
}

@test "another signal than the one waited for: wait again" {
    local n

    for n in 1 2 3; do
        AIO_FAULT="io_pgetevents@$n=EINTR" begin wait-signal
    done
    AIO_FAULT='io_getevents@1=EINTR' begin wait-signal
    while next; do
        assert_status 0
        assert_output "$signal_output"
    done
}

@test "each call of wait-signal that fails is named" {
    local n

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
    LOG=yes begin wait-signal
    next
    same "io_destroy, close" "$(calls io_destroy) $(calls close)" "1 2"
}
