# Contexts: setup-destroy, context-limits, and what io_setup and io_destroy
# do in each case.

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/probe
chapter=01-setup-destroy

# A number that no context can have, though its kind is right: one more than
# the limit. Where the limit is very high, the kernel says EINVAL first.
one_too_many() {
    max=$(</proc/sys/fs/aio-max-nr)
    ((max < 4000000)) || skip "aio-max-nr $max is beyond any one context"
    too_many=$((max + 1))
}

# The output with all numbers that depend on others, or on the CPUs, as N.
without_numbers() {
    sed -E 's/^(aio-[^:]*|ring|requests taken|reaped [^:]*): -?[0-9]+/\1: N/' \
        <<<"$output"
}

# ---- setup-destroy and context-limits ----

@test "setup-destroy shows a context's life, and three mistakes" {
    traced setup-destroy
    same calls "$trace" "\
io_setup 128 = 0
io_destroy = 0
io_destroy = -22
io_setup 128 = -22
io_setup 128 = -14"
    same output "$(without_numbers)" "\
aio-max-nr: N
aio-nr before io_setup: N
io_setup(128): done
aio-nr with the context: N
io_destroy: done
aio-nr after io_destroy: N
io_destroy a second time: Invalid argument
io_setup into a context that is not 0: Invalid argument
io_setup into a bad address: Bad address"
    assert_line "aio-max-nr: $(</proc/sys/fs/aio-max-nr)"
}

@test "context-limits shows ring, child and two contexts" {
    traced context-limits
    same calls "$(sed '/64/s/ = [1-9].*//' <<<"$trace" | uniq)" "\
io_setup 32 = 0
signal 17
io_submit 0 = -22
io_getevents 0 0 - = -22
io_destroy = -22
io_submit 0 = 0
io_submit 1 = 1: poll pipe:r 1
io_submit 1 = -11: poll pipe:r 1
io_getevents 0 64 - = 0
io_setup 1 = 0
io_submit 1 = 1: poll pipe:r 1
io_getevents 1 64 -
io_getevents 0 64 - = 0
io_getevents 1 64 -
io_getevents 0 64 - = 0
io_destroy = 0"
    same output "$(without_numbers)" "\
asked for: 32 events
aio-nr: N more than before
ring: N places
child: $("$BATS_FILE_TMPDIR/probe" ring_in_child)
child: io_submit of nothing: Invalid argument
child: io_getevents: Invalid argument
child: io_destroy: Invalid argument
parent: io_submit of nothing: done
requests taken: N, then: Resource temporarily unavailable
done while the pipe is empty: 0
second context: 1 request taken
reaped from the second: N
reaped from the first: N
aio-nr: N more than before"
}

@test "NR_EVENTS is a floor, the ring is larger; a second context has its own" {
    local nr ring taken

    for nr in 1 8 32 500; do
        start "$nr" context-limits "$nr"
    done
    for nr in 1 8 32 500; do
        finish "$nr" 0
        assert_line "asked for: $nr events"
        ring=$(value ring)
        taken=$(value "requests taken")
        compare "$taken" '>=' "$nr"
        compare "$ring" '>=' "2 * $nr + 2"
        compare "$ring" '>' "$taken"

        # Two contexts at once: each has places and events of its own.
        assert_line "second context: 1 request taken"
        assert_line "reaped from the second: 1"
        assert_line "reaped from the first: $taken"
    done
}

@test "aio-nr counts events, not contexts; falls at io_destroy and at exit" {
    local before with after new=() left=()

    fact aio_nr_counts "three contexts for 777: 2331
one destroyed: -777
a process ended: -777"

    # The programs show it.
    until enough 1234 "${new[@]}" && enough 0 "${left[@]}"; do
        program -0 setup-destroy 1234
        assert_line "io_setup(1234): done"
        before=$(value "aio-nr before io_setup")
        with=$(value "aio-nr with the context")
        after=$(value "aio-nr after io_destroy")
        new+=($((with - before))) left+=($((after - before)))
    done
    middle 1234 "${new[@]}"
    middle 0 "${left[@]}"

    new=() left=()
    until enough 777 "${new[@]}" && enough 0 "${left[@]}"; do
        program -0 context-limits 777
        mapfile -t counts < <(
            sed -n 's/^aio-nr: \(.*\) more than before$/\1/p' <<<"$output")
        same "counts" "${#counts[@]}" 2
        new+=("${counts[0]}") left+=("${counts[1]}")
    done
    middle 777 "${new[@]}"
    middle 0 "${left[@]}"
}

# Others use AIO, too: one may at times, a class does all the time. Numbers
# that they may have changed are ENOUGH if the one expected is among them, or
# if there are 80; then the MIDDLE one is it, or not far from it.
enough() {
    [[ $# -gt 80 || " ${*:2} " == *" $1 "* ]]
}

middle() {
    local sorted

    [[ " ${*:2} " != *" $1 "* ]] || return 0
    mapfile -t sorted < <(printf '%s\n' "${@:2}" | sort -n)
    echo "expected: about $1, got: ${sorted[*]}"
    compare "$1 - 600" '<' "${sorted[${#sorted[@]} / 2]}"
    compare "$1 + 600" '>' "${sorted[${#sorted[@]} / 2]}"
}

@test "no events, or far too many, are EINVAL for both programs: no advice" {
    local error="setup-destroy: io_setup: Invalid argument"

    # What was printed stands ahead of the error.
    program -1 setup-destroy 0
    same output "$(without_numbers)" "\
aio-max-nr: N
aio-nr before io_setup: N"
    assert_stderr "$error"
    run -1 "$root/$chapter/setup-destroy" 0
    same "last line" "${lines[2]}" "$error"

    program -1 setup-destroy 5000000
    assert_stderr "$error"
    program -1 setup-destroy 2147483647

    program -1 context-limits 0
    assert_output ""
    assert_error "context-limits: io_setup: Invalid argument"
    program -1 context-limits 2147483647
    assert_error "context-limits: io_setup: Invalid argument"
}

@test "aio-nr + nr_events over aio-max-nr: EAGAIN, numbers and the way out" {
    local lines_of_stderr max nr too_many

    one_too_many
    fact setup_over_limit EAGAIN

    program -1 setup-destroy "$too_many"
    mapfile -t lines_of_stderr <<<"$stderr"
    same "number of lines" "${#lines_of_stderr[@]}" 2
    same "first line" "${lines_of_stderr[0]}" \
        "setup-destroy: io_setup: Resource temporarily unavailable"
    [[ ${lines_of_stderr[1]} =~ ^aio-nr\ ([0-9]+)\  ]]
    nr=${BASH_REMATCH[1]}
    same "second line" "${lines_of_stderr[1]}" \
        "aio-nr $nr and $too_many more are over aio-max-nr $max:\
 sudo sysctl -w fs.aio-max-nr=$((nr + too_many))"

    program -1 context-limits "$too_many"
    assert_error "context-limits: io_setup: Resource temporarily unavailable"
}

@test "no AIO (ENOSYS), or forbidden (EPERM): setup-destroy says what to do" {
    local why="\
AIO is not in this kernel, or the container or sandbox forbids it: run this\
 on a plain Linux"

    in_sandbox ENOSYS setup-destroy
    same status "$status" 1
    assert_stderr "setup-destroy: io_setup: Function not implemented
$why"
    AIO_FAULT='io_setup@1=ENOSYS' program -1 setup-destroy
    assert_stderr "setup-destroy: io_setup: Function not implemented
$why"
    in_sandbox EPERM setup-destroy
    same status "$status" 1
    assert_stderr "setup-destroy: io_setup: Operation not permitted
$why"

    # context-limits keeps to one line.
    in_sandbox ENOSYS context-limits
    same status "$status" 1
    assert_error "context-limits: io_setup: Function not implemented"
}

@test "any other error is one line with the call's name, after the output" {
    local nospc="No space left on device"

    each_call_fails ENOSPC "$nospc" setup-destroy io_setup@1 io_destroy@1
    each_call_fails ENOSPC "$nospc" context-limits io_setup@2 \
        fork@1 mincore@1 waitpid@1 io_submit@3 pipe@1 io_getevents@2 write@1 \
        io_getevents@3 io_destroy@1 io_destroy@2 close@1 close@2
}

@test "context-limits: EINTR and early EAGAIN are no errors, a short write is" {
    AIO_FAULT='io_getevents@2=EINTR io_getevents@4=EINTR' \
        start eintr context-limits
    AIO_FAULT='io_submit@5=EAGAIN' AIO_FAULT_LOG=log start eagain context-limits
    AIO_FAULT='write@1=short=0' start short context-limits
    AIO_FAULT='mincore@1=kill=9' start killed context-limits

    finish eintr 0
    assert_line "reaped from the first: $(value "requests taken")"

    # What it submitted it reaps.
    finish eagain 0
    assert_line "requests taken: 3, then: Resource temporarily unavailable"
    assert_line "reaped from the first: 3"
    # And it closes what it opens: two files before the fork, and a third.
    same opened "$(grep '^fopen' log)" "fopen 2
fopen 3"
    same closed "$(grep '^fclose' log)" "fclose 2
fclose 3"

    finish short 1
    assert_error "context-limits: write: *"

    # The child's status is asked for, and there even if we ignore SIGCHLD.
    finish killed 1
    assert_error "context-limits: child: Killed"
    run -0 --separate-stderr env --ignore-signal=CHLD \
        "$root/$chapter/context-limits"
    assert_stderr ""
}

@test "numbers of /proc: each file is closed, and -1 stands for one not there" {
    AIO_FAULT_LOG=log AIO_FAULT='io_submit@1=EIO' program -0 setup-destroy
    same opened "$(grep fopen log)" "fopen 4"
    same closed "$(grep fclose log)" "fclose 4"

    AIO_FAULT='fopen@*=ENOENT' program -0 setup-destroy
    assert_stderr ""
    same lines "$(grep aio- <<<"$output")" "\
aio-max-nr: -1
aio-nr before io_setup: -1
aio-nr with the context: -1
aio-nr after io_destroy: -1"

    AIO_FAULT='fopen@1=ENOENT' program -0 context-limits 1
    compare "$(value aio-nr)" '>=' 2
}

@test "setup-destroy, context-limits and its child fail without their output" {
    output_must_arrive setup-destroy context-limits
    # Before the fork it must be written already.
    AIO_FAULT='fflush@1=ENOSPC' program -1 context-limits
    assert_error "context-limits: standard output: No space left on device"

    # All but the end fits into the file.
    program -0 context-limits
    printf "%$((1024 - ${#output} + 20))s" '' >output
    # shellcheck disable=SC2016 # for the inner shell
    run -1 --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 1
        exec "$1" >>output' bash "$root/$chapter/context-limits"
    assert_error "context-limits: standard output: File too large"
    run -0 grep -a parent output

    # The parent's first lines fit into the file, the child's do not: the
    # child says why, and the parent goes no further.
    printf '%950s' '' >output
    # shellcheck disable=SC2016 # for the inner shell
    run -1 --separate-stderr bash -c 'trap "" XFSZ; ulimit -f 1
        exec "$1" >>output' bash "$root/$chapter/context-limits"
    assert_error "context-limits: standard output: File too large"
    run ! grep -a parent output
}

@test "the programs of chapter 1 explain themselves, and name wrong numbers" {
    local it number

    for it in setup-destroy context-limits; do
        assert_help "$it"
        assert_usage "$it" 1 2
        assert_usage "$it" -1
        same "first line" "${stderr%%$'\n'*}" "Usage: $it [NR_EVENTS]"
    done
    assert_help_fails setup-destroy context-limits
    assert_usage setup-destroy ''
    for number in x 1x ' ' 1.5 2147483648 99999999999999999999; do
        assert_usage setup-destroy "$number"
        same "first line" "${stderr%%$'\n'*}" \
            "setup-destroy: '$number' is not a number from 0 to 2147483647"
    done
    assert_usage context-limits x
    same "first line" "${stderr%%$'\n'*}" \
        "context-limits: 'x' is not a number from 0 to 2147483647"
}

# ---- Facts: io_setup ----

@test "io_setup: an unreadable ctxp is EFAULT, before all else" {
    fact setup_bad_address "EFAULT
EFAULT"
}

@test "io_setup: a ctxp that is only readable is EFAULT, and charges nothing" {
    fact setup_read_only "EFAULT, aio-nr 0 more"
}

@test "io_setup: context not 0, nr 0 or far above 4194304: EINVAL, not EAGAIN" {
    fact setup_not_zero "EINVAL
EINVAL"
    fact setup_nothing EINVAL
    fact setup_too_many EINVAL
}

@test "the ring has max(nr, 4 x CPUs) x 2 + 2 places, and whole pages" {
    fact ring_size "1: as computed
8: as computed
32: as computed
128: as computed
512: as computed
2048: as computed"
}

@test "a context is the address of its ring, mapped as /[aio]" {
    fact ring_header "mapped as /[aio]: yes
head 0, tail 0
magic a10a10a1
compat 1, incompat 0
header 32
done: head 0, tail 1, res 4
res 4
reaped: head 1, tail 1"
}

# ---- Facts: io_destroy ----

@test "io_destroy: 0, garbage or a destroyed context is EINVAL, not EFAULT" {
    fact destroy_bad "EINVAL
EINVAL
EINVAL
EINVAL
EINVAL
0
EINVAL"
}

@test "io_destroy waits for reads in flight: all data has arrived" {
    fact destroy_waits "16
0
missing: 0"
}

@test "io_destroy cancels pending POLLs; whoever waits for events gets EINVAL" {
    fact destroy_pending 0
    fact destroy_wakes EINVAL
}
