# make doctor in situations that are staged: the sound ones it calls sound, of
# the broken ones it names the cause and what to do.
# seconds: 8

# shellcheck disable=SC2016,SC2154 # $ of another script; common.bash sets root
load ../helpers/common

# doctor STATUS [COMMAND...]: its verdict, run by that command. The compiler
# hands out what make has built already.
doctor() {
    printf '%s\n' '#!/usr/bin/env bash' \
        "[[ \"\$*\" != *--version* ]] || exec echo quick" \
        'while (($#)); do' \
        '    [[ $1 != -o ]] || output=$2' \
        '    [[ $1 != *.c ]] || source=$1' \
        '    shift' \
        'done' \
        '[[ -n ${output-} ]] || exit 0' \
        "case \$source in
        tests/*) cp \"$root/\${source%.c}\" \"\$output\" ;;
        *) printf '#!/bin/sh\\n' >\"\$output\" ;;
        esac" 'chmod +x "$output"' >"$BATS_TEST_TMPDIR/quick-cc"
    chmod +x "$BATS_TEST_TMPDIR/quick-cc"
    CC=${CC_OF_DOCTOR:-$BATS_TEST_TMPDIR/quick-cc} \
        run --separate-stderr "${@:2}" "${course:-$root}/tests/tools/doctor"
    same "what it says on stderr" "$stderr" ""
    if [[ $1 == 0 ]]; then
        [[ ${lines[-1]} == 'The course runs here.' ]]
    else
        [[ ${lines[-1]} == 'The course cannot run here until '* ]]
    fi
    same status "$status" "$1"
}

# filtered CALL=ERROR: under a filter for system calls.
filtered() {
    doctor "$1" "$root/tests/helpers/sandbox" "$2" --
}

# elsewhere STATUS MOUNT-COMMANDS: with other mounts than the others see.
elsewhere() {
    local private=(unshare --mount)

    [[ $EUID == 0 ]] || private+=(--map-root-user)
    "${private[@]}" true 2>/dev/null || skip "no namespace to mount in"
    doctor "$1" "${private[@]}" bash -c "$2"' && exec "$@"' mounts
}

@test "a machine where everything is there is sound" {
    doctor 0
    [[ $output != *$'\n--  AIO'* && $output != *$'\nNO '* ]]
    assert_line 'ok  AIO: each of its six calls answers'
}

@test "a call that the course needs is forbidden: named, with the way out" {
    for call in io_setup io_submit io_getevents io_destroy; do
        filtered 1 "$call=EPERM"
        assert_line "NO  AIO: $call is forbidden here (Operation not permitted)"
        assert_line '      *seccomp=unconfined'
    done
}

@test "a call ends the program with SIGSYS: named, as a sandbox's work" {
    for call in io_setup io_submit io_getevents io_destroy; do
        filtered 1 "$call=kill"
        assert_line "NO  AIO: $call is forbidden here (*SIGSYS*)"
        assert_line '      *seccomp=unconfined'
    done
}

@test "a call is not there: a kernel without AIO, or an emulator with a part" {
    filtered 1 io_setup=ENOSYS
    assert_line 'NO  AIO: not in this kernel (io_setup: Function not *)'
    assert_line '      WSL 1*'
    for call in io_submit io_getevents io_destroy; do
        filtered 1 "$call=ENOSYS"
        assert_line "NO  AIO: $call is missing (Function not implemented)"
        assert_line '      *gVisor*'
    done
}

@test "a call that one experiment needs is missing: the rest runs" {
    for call in io_cancel io_pgetevents; do
        for error in EPERM ENOSYS kill; do
            filtered 0 "$call=$error"
            assert_line "--  AIO: $call is *"
        done
    done
}

@test "aio-max-nr is used up: the numbers, and the command that raises it" {
    filtered 1 io_setup=EAGAIN
    assert_line 'NO  AIO: aio-max-nr is used up: * of * events'
    assert_line '      *sysctl -w fs.aio-max-nr=[0-9]*'
}

@test "aio-max-nr is nearly used up, in a container: it is the host's" {
    echo 65000 >nr
    elsewhere 0 'mount --bind /proc/sys /proc/sys &&
        mount -o remount,bind,ro /proc/sys &&
        mount --bind nr /proc/sys/fs/aio-nr'
    assert_line '--  aio-max-nr: 65000 of * events are in use'
    assert_line '      *on the host of this container*fs.aio-max-nr=130536'
}

@test "a limit hidden with /proc/sys is no number and no verdict" {
    elsewhere 0 'mount -t tmpfs none /proc/sys'
    assert_line '--  /proc/sys/fs/aio-nr: not there'
}

@test "without /proc the tour runs; what else needs it says so in a line" {
    elsewhere 0 'mount -t tmpfs none /proc'
    assert_line '--  /proc: not there; *'
    assert_line '      *mount -t proc proc /proc'
    cd "$root"
    for tool in 'tools/exercise 1.1' 'tools/torture -- true' run; do
        # shellcheck disable=SC2016,SC2086 # for the inner shell; words
        run ! unshare --map-root-user --mount bash -c '
            mount -t tmpfs none /proc && exec "$@"' bash tests/$tool
        [[ $output == *'/proc is not there: mount -t proc proc /proc' ]]
        same lines "${#lines[@]}" 1
    done
    # shellcheck disable=SC2016
    run -0 unshare --map-root-user --mount bash -c '
        mount -t tmpfs none /proc && exec tests/tools/tour'
    [[ $output == *'byte for byte'* && $output != *'No such file'* ]]
}

@test "a checkout that cannot be written to is told, and why that matters" {
    elsewhere 1 "mount --bind $root $root && mount -o remount,bind,ro $root"
    assert_line 'NO  the course: no files can be made in *'
    assert_line '      *copy the course*'
}

@test "a checkout from which nothing can be run is told" {
    elsewhere 1 "mount --bind $root $root &&
        mount -o remount,bind,noexec $root &&
        set -- bash \"\$@\""
    assert_line 'NO  the course: programs in * cannot be run'
}

@test "a disk with no room is told, with how much is free" {
    mkdir small
    AIO_TEST_DIR=$PWD/small elsewhere 0 'mount -t tmpfs -o size=3m none small'
    assert_line '--  AIO_TEST_DIR=*: 3 MiB are free in *, the tests need *'
}

@test "a folder where nothing is asynchronous is told, whatever it is called" {
    mkdir small
    AIO_TEST_DIR=$PWD/small elsewhere 0 'mount -t tmpfs -o size=1g none small'
    assert_line '--  AIO_TEST_DIR=*: tmpfs, no request is asynchronous there'
    assert_line '      AIO_TEST_DIR=dir, *'
}

@test "a folder for test files that is not there is told" {
    AIO_TEST_DIR=/nosuch doctor 0
    assert_line '--  AIO_TEST_DIR=/nosuch: no files can be made in /nosuch'
}

@test "a folder for temporary files that is not there is told" {
    TMPDIR=/nosuch doctor 1
    assert_line 'NO  temporary files: none can be made in /nosuch'
    assert_line '      *TMPDIR=dir*'
}

@test "few open files, small files or little memory: each limit is told" {
    doctor 0 bash -c 'ulimit -n 64 && exec "$@"' limits
    assert_line '--  limits: 64 open files at once (ulimit -n)'
    doctor 0 bash -c 'ulimit -f 1024 && exec "$@"' limits
    assert_line '--  limits: no file over 1024 KiB (ulimit -f)'
    doctor 0 bash -c 'ulimit -v 500000 && exec "$@"' limits
    assert_line '--  limits: 500000 KiB of address space (ulimit -v)'
}

@test "what the user's shell exports does no harm" {
    CDPATH=/:/tmp POSIXLY_CORRECT=1 LANG=de_DE.UTF-8 GREP_OPTIONS=-v doctor 0
    [[ $output != *'--  AIO'* ]]
}

@test "no compiler, or one that builds nothing: what to install" {
    CC_OF_DOCTOR=no-such-compiler doctor 1
    assert_line "NO  compiler: there is no 'no-such-compiler'"
    assert_line '      *gcc*'
    CC_OF_DOCTOR=false doctor 1
    assert_line "NO  compiler: 'false' cannot build a plain program"
}

@test "no bats, or an old one: how to get it, and all the rest is sound" {
    local name

    mkdir bin
    for name in awk bash cat chmod cp df diff dirname findmnt grep head make \
        mktemp rm sed sh stat tail timeout uname env; do
        ln -s "$(command -v "$name")" bin
    done
    PATH=$PWD/bin doctor 0
    assert_line '--  bats: not there; only "make test" needs it'
    assert_line '      *bats*'

    printf '#!/bin/sh\necho Bats 1.2.1\n' >bin/bats
    chmod +x bin/bats
    PATH=$PWD/bin doctor 0
    assert_line '--  bats: 1.2.1 is too old, 1.7 is needed'
    assert_line '      *npm*'
}

@test "nothing is left behind" {
    doctor 0
    run ! ls -d "$root"/tests/.scratch.doctor.* "$root"/.scratch.doctor.*
}
