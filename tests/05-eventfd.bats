# Completions in an event loop: told by an eventfd beside other descriptors,
# or the other way round, with everything else told by AIO; and signals.
# seconds: 4

# shellcheck disable=SC2154 # what helpers and bats set
load helpers/common
load helpers/abreast
chapter=05-eventfd

setup_file() {
    export probe=$BATS_FILE_TMPDIR/probe eio enospc efbig

    cp "$root/tests/helpers/probe-eventfd" "$probe"
    eio=$("$probe" reason EIO)
    enospc=$("$probe" reason ENOSPC)
    efbig=$("$probe" reason EFBIG)

    # What eventfd writes, made in another way.
    awk 'BEGIN {
        for (block = 0; block < 18; block++) {
            text = sprintf("%c", 97 + block)
            while (length(text) < 65536)
                text = text text
            label = "block " block "\n"
            printf "%s%s", label, substr(text, length(label) + 1)
        }
    }' >"$BATS_FILE_TMPDIR/blocks"
}

# assert_written FILE SIZE: eventfd said so, and the file is right.
assert_written() {
    local requests=$((($2 + 65535) / 65536))

    assert_stderr ""
    assert_line 'O_DIRECT: *'
    assert_line "requests: $requests, in flight at most: [0-8]"
    assert_line 'eventfd wake-ups: *'
    assert_line 'timer ticks: *, missed: *'
    same "size of $1" "$(stat -c %s "$1")" "$2"
    cmp -n "$2" "$1" "$BATS_FILE_TMPDIR/blocks"
}

# value NAME: what stands behind "NAME: " in the output, up to a comma.
value() {
    local it=${output#*"$1: "}

    it=${it%%$'\n'*}
    echo "${it%%,*}"
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

# ---- All programs ----

@test "the programs of chapter 5 say that there is no AIO here" {
    local it demo

    for it in eventfd poll-requests poll-and-close wait-signal; do
        [[ $it == eventfd ]] && demo=demo || demo=
        fails "$it" "$demo" \
            'io_setup@*=ENOSYS' 'io_setup: Function not implemented' \
            'io_setup@*=EPERM' 'io_setup: Operation not permitted'
    done
    failed
}

@test "in chapter 5 output that does not arrive is an error" {
    local it

    for it in 'eventfd demo' poll-requests poll-and-close wait-signal; do
        # shellcheck disable=SC2016 # the inner shell splits it
        run -1 --separate-stderr bash -c 'exec $1 >/dev/full' - \
            "$root/$chapter/$it"
        assert_error "${it% *}: standard output: $enospc"

        # What was printed stands ahead of an error.
        # shellcheck disable=SC2086 # a name and its argument
        AIO_FAULT='io_destroy@1=EIO' run -1 env \
            LD_PRELOAD="$root/tests/helpers/fault.so" "$root/$chapter/"$it
        same "the last line" "${lines[-1]}" "${it% *}: io_destroy: $eio"
    done
    [[ ${#lines[@]} -gt 2 ]]
}

@test "in chapter 5 only eventfd takes arguments" {
    begin poll-requests demo
    begin poll-and-close demo
    begin wait-signal demo
    begin eventfd
    begin eventfd demo 1 2
    while next; do
        assert_status 2
    done
}

# ---- eventfd ----

@test "eventfd writes a file of any size from one epoll loop" {
    local size

    for size in 0 1 511 65535 65536 65537 524288 1000000; do
        EXPECT=$size begin eventfd demo "$size"
    done
    while next; do
        assert_status 0
        assert_written "$at/demo" "$expect"
    done
    assert_line 'requests: 16, in flight at most: 8'

    # A longer file becomes shorter.
    head -c 2000000 /dev/zero >demo
    program -0 eventfd demo
    assert_written demo 1000000
}

@test "eventfd refuses a SIZE that is no number, and makes no file" {
    local size

    for size in x -1 1x 2147418113 99999999999999999999; do
        EXPECT=$size begin eventfd demo "$size"
    done
    while next; do
        assert_status 2
        [[ $stderr == "eventfd: '$expect' is not a number from 0 to "* ]]
        [[ ! -e $at/demo ]]
    done
}

@test "each request of eventfd tells the eventfd, and only then it reaps" {
    local i requests=

    traced eventfd demo 524288
    assert_written demo 524288
    for i in {0..7}; do
        requests+="${requests:+,} pwrite demo 65536@$((i * 65536))\
 data=pointer flags=1 resfd=eventfd"
    done
    same calls "$(uniq <<<"$trace" | sed 's/ = [0-9]*$//' | uniq)" "\
signal SIGXFSZ ignored
io_setup 8
create demo 666
io_submit 8 = 8:$requests
io_getevents 0 64 -
io_destroy"

    # No more wake-ups than completions, and one more look than events.
    i=$(value 'eventfd wake-ups')
    ((i >= 1 && i <= 8))
    ((i < $(value 'io_getevents calls')))
}

@test "eventfd opens, aligns and pads as odirect does" {
    local size said

    for size in 524288 1000000; do
        AIO_FAULT='' begin eventfd demo $size
        AIO_FAULT='open:direct@1=EINVAL' begin eventfd demo $size
    done
    for size in 524288 1000000; do
        for said in '' 'open:direct@1=EINVAL'; do
            next
            assert_written "$at/demo" $size
            same "the first lines" "$(sed '/^requests:/,$d' <<<"$output")" "$(
                AIO_FAULT=$said LD_PRELOAD="$root/tests/helpers/fault.so" \
                    "$root/04-odirect/odirect" demo $size |
                    sed '/^requests:/,$d; /^io_submit returned/d')"
        done
    done
}

@test "eventfd has its space before it submits, where the filesystem can" {
    AIO_FAULT='io_submit@1=EIO' EXPECT=EIO begin eventfd demo 524288
    AIO_FAULT='fallocate@1=EOPNOTSUPP' begin eventfd demo 524288
    fails eventfd demo fallocate@1=ENOSPC "fallocate demo: $enospc"
    next
    assert_error "eventfd: io_submit: $eio"
    [[ $output == *'space ahead: not on this'* ]] ||
        same size "$(stat -c %s "$at/demo")" 524288
    next
    assert_status 0
    assert_line 'space ahead: not on this filesystem'
    assert_written "$at/demo" 524288
    failed
}

@test "partial counts and EINTR do not show in what eventfd writes" {
    local n

    # io_submit may take any number of the requests, and so may io_getevents
    # of the events: the ring is drained.
    for n in 1 2 3 4 5 6 7; do
        AIO_FAULT="io_submit@*=short=$n" LOG=yes EXPECT=$(((7 + n) / n)) \
            begin eventfd demo 524288
    done
    for n in 1 2 3 7; do
        AIO_FAULT="io_getevents@*=short=$n" begin eventfd demo 524288
    done
    for n in 1 2 3; do
        AIO_FAULT="epoll_wait@$n=EINTR" begin eventfd demo 524288
        AIO_FAULT="io_getevents@$n=EINTR" begin eventfd demo 524288
        AIO_FAULT="io_submit@$n=EINTR io_submit@*=short=3" \
            begin eventfd demo 524288
    done
    AIO_FAULT='io_submit@1=short=3 io_submit@2=EAGAIN' begin eventfd demo 524288
    AIO_FAULT='fallocate@1=EINTR' begin eventfd demo 524288
    while next; do
        assert_status 0
        assert_written "$at/demo" 524288
        [[ ! $expect ]] ||
            same "calls of io_submit" "$(calls io_submit)" "$expect"
    done
}

@test "eventfd goes on after a short write" {
    local n align

    : >new
    align=$("$root/tests/helpers/probe-vectored" align new)
    for n in 4096 16384 61440; do
        ((n % align == 0)) || continue      # the disk would not take it
        AIO_FAULT="io_submit@1=bytes=$n" begin eventfd demo
        AIO_FAULT="io_submit@*=bytes=$n" begin eventfd demo
    done
    while next; do
        assert_status 0
        assert_written "$at/demo" 1000000
    done
}

@test "eventfd names a write that failed" {
    fails eventfd demo io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        'io_getevents@*=short=1 io_submit@1=EIO' "io_submit: $eio"
    failed

    run -1 --separate-stderr bash -c 'ulimit -f 128 && exec "$@"' - \
        "$root/$chapter/eventfd" demo
    [[ $stderr == 'eventfd: '*" demo: $efbig" ]]
}

@test "the timer ends a loop in which nothing completes any more" {
    sed 's|10000 / TICK|50 / TICK|' "$root/$chapter/eventfd.c" >eventfd.c
    # shellcheck disable=SC2086 # several words each
    ${CC:-cc} ${CPPFLAGS-} ${CFLAGS-} -o eventfd eventfd.c
    AIO_FAULT='io_getevents@*=short=0' run -1 --separate-stderr env \
        LD_PRELOAD="$root/tests/helpers/fault.so" ./eventfd demo
    assert_error "eventfd: epoll_wait: $("$probe" reason ETIMEDOUT)"

    # Ticks that are missed do not count: whoever was stopped goes on.
    AIO_WATCH_AT='1 sleep 0.1' run -0 --separate-stderr env \
        LD_PRELOAD="$root/tests/helpers/fault.so" ./eventfd demo
    assert_written demo 1000000
    (($(value missed) > 50))
}

@test "a loop whose timer has told of silence does not wait for ever, either" {
    sed 's|10000 /. ms|50 /* ms|' \
        "$root/$chapter/solutions/3-timer.c" >3-timer.c
    # shellcheck disable=SC2086 # several words each
    ${CC:-cc} ${CPPFLAGS-} ${CFLAGS-} -o 3-timer 3-timer.c
    AIO_FAULT='io_getevents@*=short=0' run -1 --separate-stderr timeout 10 env \
        LD_PRELOAD="$root/tests/helpers/fault.so" ./3-timer demo
    assert_error "3-timer: epoll_wait: $("$probe" reason ETIMEDOUT)"
}

@test "the timer counts the ticks that a loop missed while it was held up" {
    AIO_WATCH_AT='1 sleep 0.1' ended 60 \
        LD_PRELOAD="$root/tests/helpers/fault.so" \
        "$root/$chapter/eventfd" demo
    same status "$status" 0
    assert_written demo 1000000
    (($(value missed) >= 50))
    (($(value 'timer ticks') > $(value missed)))
}

@test "late completions, in other orders, do not show in eventfd" {
    local late

    for late in newest oldest idle; do
        AIO_LATE=$late ended 60 LD_PRELOAD="$root/tests/helpers/fault.so" \
            "$root/$chapter/eventfd" demo
        same status "$status" 0
        assert_written demo 1000000
    done
}

@test "eventfd refuses what is no regular file, and what it must not write" {
    : >mine
    chmod 444 mine
    mkfifo fifo
    fails eventfd nowhere/demo '' \
        'open nowhere/demo: No such file or directory'
    fails eventfd . '' 'open .: Is a directory'
    fails eventfd "$PWD/fifo" '' "open $PWD/fifo: not a regular file"
    fails eventfd /dev/zero '' 'open /dev/zero: not a regular file'
    failed
    run -1 --separate-stderr without_override "$root/$chapter/eventfd" mine
    assert_error "eventfd: open mine: Permission denied"
}

@test "at a size limit that is not aligned eventfd says File too large" {
    local limit

    command -v prlimit >/dev/null || skip "no prlimit"
    for limit in 99999 65537; do
        ended 60 prlimit --fsize="$limit" "$root/$chapter/eventfd" demo 200000
        [[ $output != *'space ahead: not on this'* ]] ||
            skip "no space ahead on this filesystem"
        same status "$status" 1
        assert_error "eventfd: fallocate demo: $efbig"
    done
}

@test "a size limit with room for the file, and none for padding: eventfd writes it" {
    command -v prlimit >/dev/null || skip "no prlimit"
    ended 60 prlimit --fsize=200001 "$root/$chapter/eventfd" demo 200001
    [[ $output != *'space ahead: not on this'* ]] ||
        skip "no space ahead on this filesystem"
    same status "$status" 0
    assert_written demo 200001
}

@test "with descriptors 0 to 2 closed eventfd writes its blocks and no more" {
    "$root/$chapter/eventfd" demo 70000 0<&- 2>&- >/dev/null
    cmp -n 70000 demo "$BATS_FILE_TMPDIR/blocks"
    same size "$(stat -c %s demo)" 70000
    run -1 --separate-stderr bash -c 'exec "$@" >&-' - \
        "$root/$chapter/eventfd" demo 70000
    cmp -n 70000 demo "$BATS_FILE_TMPDIR/blocks"
    same size "$(stat -c %s demo)" 70000
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

@test "an eventfd at its maximum is POLLERR; completions are lost to it alone" {
    run -0 timeout 10 "$probe" full
    assert_output "io_submit: 1, POLLERR: yes
io_submit: 1, POLLERR: yes
read: 18446744073709551615, then EAGAIN
events: 2"
}

@test "a request has a hold on its eventfd: closed, it still counts" {
    run -0 timeout 20 "$probe" closed-eventfd
    assert_output 'read: 8, count: 1'
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
signal SIGXFSZ ignored
io_setup 2 = 0
io_submit 1 = 1: pread pipe:r 1@0
io_getevents 1 2 - = 1
io_submit 1 = 1: $pipe
io_getevents 0 2 - = 0
io_getevents 1 2 - = 1
io_getevents 0 2 - = 0
io_submit 1 = 1: $pipe
io_getevents 1 2 - = 1
io_submit 2 = 2: $pipe, $socket
io_getevents 1 2 - = 1
io_submit 1 = 1: $pipe
io_getevents 1 2 - = 1
io_submit 1 = 1: $socket
io_getevents 2 2 - = 2
io_submit 2 = 2: $pipe, $socket
io_getevents 1 2 - = 1
io_getevents 1 2 - = 1
io_destroy = 0"
}

@test "partial counts and EINTR do not show in poll-requests and wait-signal" {
    local n

    for n in 1 2 3 4 5 6 7 8 9 10; do
        AIO_FAULT="io_getevents@$n=EINTR" begin poll-requests
        AIO_FAULT="io_submit@$n=EINTR" begin poll-requests
    done
    AIO_FAULT='io_submit@*=short=1' begin poll-requests
    AIO_FAULT='io_getevents@*=short=1' begin poll-requests

    # Another signal than the one waited for: wait again.
    for n in 1 2 3; do
        AIO_FAULT="io_pgetevents@$n=EINTR" begin wait-signal
    done
    AIO_FAULT='io_getevents@1=EINTR' begin wait-signal
    AIO_FAULT='io_submit@1=EINTR' begin wait-signal
    while next; do
        assert_status 0
        if [[ $name == poll-requests ]]; then
            assert_output "$poll_output"
        else
            assert_output "$signal_output"
        fi
    done
}

@test "after a false alarm poll-requests asks again" {
    AIO_FAULT='read@2=EAGAIN' program -0 poll-requests
    same "from turn 1 on" "$(grep -A 6 '^turn 1' <<<"$output")" "\
turn 1: requests 2, events 1
  pipe: a false alarm
turn 2: requests 1, events 2
  pipe: POLLIN, first
  socket: POLLIN, second
turn 3: requests 2, events 2
  pipe: POLLIN, third"
}

@test "poll-requests and wait-signal name what failed" {
    local n

    fails poll-requests '' \
        io_getevents@5=res=-EIO "IOCB_CMD_POLL pipe: $eio" \
        io_getevents@7=res=-EIO "IOCB_CMD_POLL socket: $eio" \
        read@1=EIO "read pipe: $eio" read@3=EIO "read socket: $eio" \
        write@1=EIO "write pipe: $eio" write@4=EIO "write socket: $eio" \
        close@1=EIO "close pipe: $eio" close@4=EIO "close socket: $eio" \
        io_submit@1=EIO "io_submit: $eio" io_getevents@1=EIO \
        "io_getevents: $eio"
    fails wait-signal '' \
        io_pgetevents@1=ENOSYS 'io_pgetevents: Function not implemented' \
        io_getevents@1=EIO "io_getevents: $eio" \
        io_submit@1=EIO "io_submit: $eio" sigaction@1=EIO "sigaction: $eio" \
        pipe@1=EIO "pipe: $eio" write@1=EIO "write: $eio" \
        close@1=EIO "close: $eio" close@2=EIO "close: $eio" \
        io_destroy@1=EIO "io_destroy: $eio"
    for n in 1 2 3; do
        fails wait-signal '' "raise@$n=EIO" "raise: $eio"
    done
    for n in 1 2 3 4; do
        fails wait-signal '' "sigprocmask@$n=EIO" "sigprocmask: $eio"
    done
    failed
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

@test "a POLL is answered when data comes by splice" {
    run -0 timeout 20 "$probe" spliced
    assert_output "an empty pipe: 0 events
a byte is spliced: POLLIN 1"
}

@test "POLL waits for what has one queue, no terminal; signalfd never answers" {
    needs_terminals
    run -0 timeout 60 "$probe" descriptors
    # No loopback network in a sandbox, no pidfd in old headers.
    same answers "$(grep -v 'UDP\|TCP\|pidfd' <<<"$output")" "\
eventfd: taken, answered
timerfd: taken, answered
inotify: taken, answered
epoll: taken, answered
FIFO open for both: EINVAL
terminal: EINVAL
terminal's other side: EINVAL
signalfd: taken, not answered
signalfd, the signal is pending: taken, answered at once"
    run ! grep -v 'taken, answered$' \
        <(grep 'UDP\|TCP\|pidfd' <<<"$output")
}

@test "reads and writes that a pipe or socket cannot make end in these ways" {
    run -0 timeout 20 "$probe" ends
    assert_output "\
PWRITE, nobody reads the pipe: io_submit 1, a signal, event EPIPE
PWRITE, the socket is dead: io_submit 1, a signal, event EPIPE
PREAD of a pipe, offset 7: io_submit 1, event 1
PREAD of a pipe, offset -1: io_submit EINVAL
PREAD of a pipe: io_submit 1, event 1
PREAD of a pipe at its end: io_submit 1, event 0
PREAD of a socket, offset 7: io_submit 1, event ESPIPE
PWRITE to a socket, offset -1: io_submit EINVAL
PREAD of a socket: io_submit 1, event 1"
}

# ---- poll-and-close ----

close_output='closed, with a POLL in flight
  the other side reads: nothing yet
  the other side writes: done
  the POLL is answered: POLLIN
closed, with epoll watching
  the other side reads: end of file
  the other side writes: Broken pipe
closed, after io_cancel and its event
  the other side reads: end of file
  the other side writes: Broken pipe'

@test "a POLL keeps its file open, epoll does not; canceled first, it closes" {
    traced poll-and-close
    assert_output "$close_output"
    same calls "$trace" "\
signal SIGXFSZ ignored
io_setup 1 = 0
io_submit 1 = 1: poll socket 1
io_getevents 1 1 - = 1
io_submit 1 = 1: poll socket 1
io_cancel = -115
io_getevents 1 1 - = 1
io_destroy = 0"
}

@test "EINTR does not show in poll-and-close, and what fails is named" {
    local n

    for n in 1 2; do
        AIO_FAULT="io_submit@$n=EINTR" begin poll-and-close
        AIO_FAULT="io_getevents@$n=EINTR" begin poll-and-close
        AIO_FAULT="poll@$n=EINTR" begin poll-and-close
    done
    while next; do
        assert_status 0
        assert_output "$close_output"
    done
    fails poll-and-close '' io_cancel@1=EINVAL \
        "io_cancel: $("$probe" reason EINVAL)" close@1=EIO "close: $eio" \
        io_getevents@2=EIO "io_getevents: $eio" poll@3=EIO "poll: $eio"
    failed
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
signal SIGXFSZ ignored
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

@test "io_pgetevents refuses bad numbers and places, and loses no event" {
    run -0 timeout 20 "$probe" pgetevents
    assert_output "min_nr -1, nr 1: EINVAL
min_nr 0, nr -1: EINVAL
min_nr 2, nr 1: EINVAL
min_nr 1, nr 1, nowhere to put it: EFAULT
min_nr 1, nr 1: 1"
}
