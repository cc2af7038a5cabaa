# Contexts: setup-destroy, whose-context, and what io_setup and io_destroy do
# in each case.

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

# without_proc NAME [ARGUMENT...]: a program of the chapter where /proc is
# empty. Skips if we may not mount there.
without_proc() {
    local enter=(unshare --mount)

    [[ $EUID == 0 ]] || enter+=(--map-root-user)
    "${enter[@]}" mount -t tmpfs none /proc 2>/dev/null ||
        skip "no right to mount something over /proc"
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 "${enter[@]}" bash -c 'mount -t tmpfs none /proc && exec "$@"' \
        bash "$root/$chapter/$1" "${@:2}"
}

# The output with all numbers that depend on others as N.
without_numbers() {
    sed -E 's/^(aio-[^:]*): [0-9]+/\1: N/' <<<"$output"
}

# ---- setup-destroy and whose-context ----

@test "setup-destroy shows a context's life, and three mistakes" {
    traced setup-destroy
    same calls "$trace" "\
signal SIGXFSZ ignored
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

@test "aio-nr counts events, not contexts; falls at destroy, exit and exec" {
    fact aio_nr_counts "three contexts for 777: 2331
one destroyed: -777
a process ended: -777
a process called exec: -777"
}

@test "setup-destroy shows that aio-nr rises by NR_EVENTS, and falls again" {
    local before with after new=() left=()

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

@test "no events, or far too many, are EINVAL, and get no advice" {
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
    assert_stderr "$error"
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
 sudo sysctl -w fs.aio-max-nr=$((nr + too_many)) (in a container: on its host)"
}

@test "EAGAIN though the numbers leave room: setup-destroy wants no other limit" {
    AIO_FAULT='io_setup@1=EAGAIN' program -1 setup-destroy
    [[ $stderr =~ ^'setup-destroy: io_setup: Resource temporarily unavailable
aio-nr is '[0-9]+', and aio-max-nr '[0-9]+': there is room again, or AIO '\
'is forbidden here: try once more'$ ]] || same stderr "$stderr" "... once more"
}

@test "where /proc/sys/fs is hidden, setup-destroy makes up no numbers" {
    local hidden="\
setup-destroy: io_setup: Resource temporarily unavailable
probably all of fs.aio-max-nr is taken; its numbers are hidden here: look on\
 the host"

    without_proc setup-destroy
    same status "$status" 0
    assert_stderr ""
    same lines "$(grep aio- <<<"$output")" "\
aio-max-nr: hidden here
aio-nr before io_setup: hidden here
aio-nr with the context: hidden here
aio-nr after io_destroy: hidden here"

    AIO_FAULT='fopen@*=ENOENT io_setup@1=EAGAIN' program -1 setup-destroy
    assert_stderr "$hidden"
    # One of the two is not enough.
    AIO_FAULT='fopen@3=EACCES io_setup@1=EAGAIN' program -1 setup-destroy
    assert_stderr "$hidden"
    AIO_FAULT='fopen@4=EACCES io_setup@1=EAGAIN' program -1 setup-destroy
    assert_stderr "$hidden"
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

    # whose-context keeps to one line.
    in_sandbox ENOSYS whose-context
    same status "$status" 1
    assert_error "whose-context: io_setup: Function not implemented"
}

@test "any other error is one line with the call's name, after the output" {
    each_call_fails ENOSPC "No space left on device" setup-destroy \
        io_setup@1 io_destroy@1
}

@test "setup-destroy closes each file of /proc that it opens" {
    AIO_FAULT_LOG=log AIO_FAULT='io_submit@1=EIO' program -0 setup-destroy
    same opened "$(grep fopen log)" "fopen 4"
    same closed "$(grep fclose log)" "fclose 4"
}

# The first program stands for all: what every program has is broken in this
# one, when it is asked whether the tests notice.
@test "-h and --help are the usage on stdout, and fail if it does not arrive" {
    assert_help setup-destroy
    assert_help_fails setup-destroy
}

@test "too many arguments, or an option, are the usage on stderr, status 2" {
    assert_usage setup-destroy 1 2
    same "first line" "${stderr%%$'\n'*}" "Usage: setup-destroy [NR_EVENTS]"
    assert_usage setup-destroy -1
    same "first line" "${stderr%%$'\n'*}" "Usage: setup-destroy [NR_EVENTS]"
}

@test "standard input or error that is closed is opened, and no other" {
    local n

    for n in 0 2; do
        # shellcheck disable=SC2016 # for the inner shell
        AIO_FAULT='io_submit@1=EIO' AIO_FAULT_LOG=log.$n ended 60 \
            bash -c "exec $n>&-"'; exec env "LD_PRELOAD=$0" "$1"' \
            "$root/tests/helpers/fault.so" "$root/$chapter/setup-destroy"
        same "status without $n" "$status" 0
        same "opened without $n" "$(grep '^open ' "log.$n")" "open 1"
    done
    AIO_FAULT='io_submit@1=EIO' AIO_FAULT_LOG=log program -0 setup-destroy
    run ! grep '^open ' log
}

@test "setup-destroy names a number that is none, or out of range" {
    local number

    assert_usage setup-destroy ''
    for number in x 1x ' ' 1.5 2147483648 99999999999999999999; do
        assert_usage setup-destroy "$number"
        same "first line" "${stderr%%$'\n'*}" \
            "setup-destroy: '$number' is not a number from 0 to 2147483647"
    done
}

@test "threads and a vfork() child can use a context, fork() and exec end it" {
    traced whose-context
    same calls "$trace" "\
signal SIGXFSZ ignored
io_setup 8 = 0
io_setup 8 = 0
io_submit 0 = 0
io_submit 0 = 0
io_destroy = 0
io_submit 0 = -22
io_submit 0 = 0
signal 17
io_submit 0 = 0
io_submit 0 = -22
io_submit 0 = 0
signal SIGXFSZ ignored
io_submit 0 = -22"
    assert_output "\
main, its own context: can use it
main, one made by a thread that has ended: can use it
main, its own after io_destroy: Invalid argument
main, the other one: can use it
a vfork() child: can use it
a fork() child: Invalid argument
its parent: can use it
another program: Invalid argument"
}

@test "whose-context NUMBER tries that one, which is no context of its own" {
    local number

    program -0 whose-context 140187732541440
    assert_output "another program: Invalid argument"
    for number in '' x 1x; do
        assert_usage whose-context "$number"
        same "first line" "${stderr%%$'\n'*}" \
            "whose-context: '$number' is not the number of a context"
    done
}

@test "whose-context says which call failed, also that of its thread or child" {
    each_call_fails EAGAIN "Resource temporarily unavailable" whose-context \
        io_setup@1 io_setup@2 pthread_create@1 pthread_join@1 fork@1 \
        waitpid@1 waitpid@2 io_destroy@1

    AIO_FAULT='io_submit@6=kill=9' program -1 whose-context
    assert_error "whose-context: child: Killed"

    # The child's status is asked for, and is there even if we ignore SIGCHLD.
    run -0 --separate-stderr env --ignore-signal=CHLD \
        "$root/$chapter/whose-context"
    assert_stderr ""
}

@test "whose-context says so if it cannot start itself once more" {
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 bash -c 'exec -a nowhere "$1"' bash "$root/$chapter/whose-context"
    same status "$status" 1
    assert_error "nowhere: exec nowhere: No such file or directory"
    assert_line "its parent: can use it"
    [[ $output != *another* ]]
}

@test "setup-destroy and whose-context fail if their output does not arrive" {
    output_must_arrive setup-destroy whose-context
}

# ---- Facts: io_setup ----

@test "io_setup: an unreadable ctxp is EFAULT, before all else" {
    fact setup_bad_address "EFAULT
EFAULT"
}

@test "io_setup: a ctxp that is only readable is EFAULT, and charges nothing" {
    fact setup_read_only "EFAULT, aio-nr 0 more"
}

@test "io_setup: a context that is not 0 is EINVAL, whatever the number" {
    fact setup_not_zero "EINVAL
EINVAL"
}

@test "io_setup: for no events at all is EINVAL" {
    fact setup_nothing EINVAL
}

@test "io_setup: over 4194304 is EINVAL, and EAGAIN where 32 bits wrap" {
    fact setup_too_many "4194305: EINVAL
2147483647: EINVAL
2147483648: EAGAIN
2151677952: EAGAIN
2151677953: EINVAL
4294967295: EINVAL"
}

@test "io_setup: no address space for the ring is ENOMEM" {
    fact setup_no_memory ENOMEM
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

@test "a forked child has its parent's ring mapped up to Linux 6.18" {
    local answer="the ring is still mapped"

    # Some kernels since then leave it out, and older ones that were repaired.
    output=$(<"$BATS_FILE_TMPDIR/ring_in_child")
    [[ $output != *"not mapped" ]] || answer="the ring is not mapped"
    fact ring_in_child "$answer"
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

@test "io_destroy unmaps the ring first; another gets EINVAL while it waits" {
    fact destroy_unmaps \
        "unmapped, and unknown to another, before io_destroy returned: yes"
}

@test "io_destroy takes the context off aio-nr first, and only then waits" {
    fact destroy_uncharges "aio-nr fell before io_destroy returned: yes"
}

@test "io_destroy cancels POLL requests that are pending" {
    fact destroy_pending 0
}

@test "who waits for events of a context that is destroyed gets EINVAL" {
    fact destroy_wakes EINVAL
}
