# The sandbox answers, not the kernel: filters for system calls (seccomp), as
# containers have them, put on by helpers/sandbox.c.

# shellcheck disable=SC2034,SC2154 # for common.bash, and from there
load helpers/common
chapter=03-batch-submit

# filtered CALL=ERROR PROGRAM: runs it so, with a file to write.
filtered() {
    ended 20 "$root/tests/helpers/sandbox" "$1" -- "$root/$chapter/$2" demo.dat
}

libaio() {
    [[ -x $root/$chapter/batch-submit-libaio ]] || skip "there is no libaio"
}

@test "each call can be forbidden by itself, and the program names that one" {
    local call

    for call in io_setup io_submit io_getevents io_destroy; do
        filtered "$call=EPERM" batch-submit
        same "status of $call" "$status" 1
        assert_stderr "batch-submit: $call: Operation not permitted"
        filtered "$call=ENOSYS" batch-submit
        assert_stderr "batch-submit: $call: Function not implemented"
    done
}

@test "where no context can be had an old FILE keeps what is in it" {
    local it

    echo old >demo
    echo new >src
    for it in 02-single-write/{single-write,durable-write,rw-flags} \
        03-batch-submit/{batch-submit,batch-submit-libaio,partial-submit} \
        04-odirect/{odirect,misaligned,is-it-async,would-it-wait,torn-write} \
        04-odirect/beside-the-cache 05-eventfd/eventfd 06-vectored/ring-reap \
        06-vectored/vectored '06-vectored/aio-copy src'; do
        [[ -x $root/${it% *} ]] || continue     # there is no libaio
        # shellcheck disable=SC2086 # two words
        ended 20 "$root/tests/helpers/sandbox" io_setup=ENOSYS -- \
            "$root/"$it demo
        same "status of $it" "$status" 1
        same "demo after $it" "$(<demo)" old
    done
    ended 20 "$root/tests/helpers/sandbox" io_uring_setup=ENOSYS -- \
        "$root/$chapter/batch-submit-io_uring" demo
    same "status of batch-submit-io_uring" "$status" 1
    same demo "$(<demo)" old
}

@test "through libaio, a forbidden call looks the same" {
    local call

    libaio
    for call in io_setup io_submit io_getevents io_destroy; do
        # Since its version for 64-bit time, libaio asks io_pgetevents first.
        [[ $call != io_getevents ]] || call='io_getevents=EPERM io_pgetevents'
        # shellcheck disable=SC2086 # two words
        ended 20 "$root/tests/helpers/sandbox" $call=EPERM -- \
            "$root/$chapter/batch-submit-libaio" demo.dat
        same "status of $call" "$status" 1
        assert_stderr \
            "batch-submit-libaio: ${call%%=*}: Operation not permitted"
    done
}

@test "a filter that kills ends the program with SIGSYS, at the first such call" {
    filtered io_submit=kill batch-submit
    same status "$status" $((128 + $(kill -l SYS)))
    assert_output ""
    [[ -e demo.dat && ! -s demo.dat ]]
}

@test "a program that makes only calls that pass does not notice the filter" {
    filtered io_pgetevents=EPERM batch-submit
    same status "$status" 0
    filtered io_cancel=kill batch-submit
    same status "$status" 0
    same size "$(stat -c %s demo.dat)" 262144
}

@test "aio-nr and aio-max-nr are the machine's, in a namespace of one's own too" {
    local own=(unshare --user --map-root-user --mount --pid --fork --uts --ipc)

    "${own[@]}" true 2>/dev/null || skip "no namespaces"
    same "aio-max-nr" "$("${own[@]}" cat /proc/sys/fs/aio-max-nr)" \
        "$(cat /proc/sys/fs/aio-max-nr)"
}
