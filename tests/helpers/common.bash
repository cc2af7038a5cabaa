# What all tests share. A file begins with
#
#     load helpers/common
#     chapter=02-single-write
#
# Each test then runs in an empty folder of its own, on the filesystem of
# AIO_TEST_DIR if that is set, else where the repository is.

bats_require_minimum_version 1.7.0

# shellcheck disable=SC2154 # bats sets output, stderr, status and lines
root=${BATS_TEST_DIRNAME%/tests*}
export LC_ALL=C
unset CDPATH POSIXLY_CORRECT

setup() {
    scratch=${AIO_TEST_DIR:-$root/tests}/.scratch.$$.$RANDOM
    mkdir "$scratch"
    cd "$scratch" || return 1

    # So as to name the line where a test fails, bats looks at each command
    # before it is run: half of a test's time. Here is the same, for less. (At
    # exit the line is 1.)
    if declare -F bats_error_trap >/dev/null; then
        trap '_at=$LINENO; [[ $_at == 1 || $BASH_SOURCE == */bats-core/* ||
            "$BASH_COMMAND $FUNCNAME" == *failed_here* ]] ||
            here_line=("$_at" "${BASH_LINENO[@]}") \
            here_name=("${FUNCNAME[@]}") here_file=("${BASH_SOURCE[@]}")' DEBUG
        trap 'failed_here; bats_error_trap' ERR
    fi
}

# Where the last command stood, and who had called that: for bats.
failed_here() {
    local i

    # shellcheck disable=SC2034 # for bats
    BATS_DEBUG_LAST_STACK_TRACE=() BATS_DEBUG_LAST_STACK_TRACE_IS_VALID=1
    for i in "${!here_name[@]}"; do
        BATS_DEBUG_LAST_STACK_TRACE+=(
            "${here_line[i]} ${here_name[i]} ${here_file[i]}")
        [[ ${here_name[i]} != @("$BATS_TEST_NAME"|setup|teardown) ]] || break
    done
}

teardown() {
    # A `return 1` of the test itself is no ERR.
    [[ ${BATS_TEST_COMPLETED-}${BATS_DEBUG_LAST_STACK_TRACE_IS_VALID-} ||
        -z ${here_line-} ]] || failed_here
    cd "$root" || return 1
    rm -rf "$scratch"
}

# program [-N] NAME [ARGUMENT...]
#     Runs a program of the chapter, at most 60 s. Output is in $output and
#     $lines, errors in $stderr, the status in $status; it must be N if -N is
#     given. With AIO_FAULT set, or another variable of fault.so (preload.c),
#     it runs under that.
program() {
    local expected='' faulty=()

    if [[ $1 =~ ^-[0-9]+$ ]]; then
        expected=${1#-}
        shift
    fi
    [[ -z ${AIO_FAULT-}${AIO_TRACE-}${AIO_LATE-}${AIO_DIOALIGN-} &&
        -z ${AIO_WATCH-}${AIO_WATCH_AT-}${AIO_WATCH_RING-} ]] ||
        faulty=("LD_PRELOAD=$root/tests/helpers/fault.so")
    ended 60 "${faulty[@]}" "$root/$chapter/$1" "${@:2}"
    [[ $status == "${expected:-$status}" ]] || {
        echo "$1 ended with status $status, expected was $expected"
        printf '%s\n' "$output" "$stderr"
        return 1
    }
}

# traced NAME [ARGUMENT...]
#     A run of the program that succeeds, with AIO_TRACE. It leaves nothing
#     behind. All that it asked of the kernel before is in $trace.
traced() {
    rm -f "$BATS_TEST_TMPDIR/trace"
    AIO_TRACE=$BATS_TEST_TMPDIR/trace program -0 "$@"
    assert_stderr ""
    trace=$(<"$BATS_TEST_TMPDIR/trace")
    same "what $1 leaves" "${trace##*$'\n'}" \
        "left: 0 contexts, 0 descriptors, 0 blocks of memory"
    trace=${trace%$'\n'*}
}

# ended SECONDS [NAME=VALUE]... COMMAND...: like `run --separate-stderr timeout`
# with env, but at a third of the cost.
ended() {
    status=0
    "$root/tests/helpers/within" "$@" 3>&- >"$BATS_TEST_TMPDIR/stdout" \
        2>"$BATS_TEST_TMPDIR/stderr" || status=$?
    output=$(<"$BATS_TEST_TMPDIR/stdout")
    stderr=$(<"$BATS_TEST_TMPDIR/stderr")
    # shellcheck disable=SC2034 # for the tests
    mapfile -t lines <"$BATS_TEST_TMPDIR/stdout"
}

# A sandbox may have no pseudo-terminals.
needs_terminals() {
    (: <>/dev/ptmx) 2>/dev/null || skip "no terminals: devpts is not mounted"
}

# Root of a sandbox may be the only user there.
needs_users() {
    [[ $EUID != 0 ]] || setpriv --reuid=12345 --regid=23456 --clear-groups \
        true 2>/dev/null || skip "this root can be no other user"
}

# same WHAT GOT EXPECTED: fails and shows the difference if they differ.
same() {
    if [[ $2 != "$3" ]]; then
        echo "$1 is not as expected (- expected, + got):"
        diff -u <(printf '%s\n' "$3") <(printf '%s\n' "$2") | tail -n +3
        return 1
    fi
}

# The whole of stdout, or of stderr, is TEXT.
assert_output() { same stdout "$output" "$1"; }
assert_stderr() { same stderr "$stderr" "$1"; }

# Some line of stdout is TEXT, where TEXT is a glob pattern (quote its
# special characters): assert_line 'io_submit: * calls'
assert_line() {
    local line

    while IFS= read -r line; do
        # shellcheck disable=SC2053 # a pattern on purpose
        [[ $line == $1 ]] && return 0
    done <<<"$output"
    printf 'no line like: %s\nin:\n%s\nstderr:\n%s\n' "$1" "$output" "$stderr"
    return 1
}

# stderr is exactly one line, and like the glob pattern.
assert_error() {
    # shellcheck disable=SC2053 # a pattern on purpose
    if [[ $stderr != $1 || $stderr == *$'\n'* ]]; then
        printf 'expected one line like: %s\ngot: %s\n' "$1" "$stderr"
        return 1
    fi
}

# The programs' common ways: help, and usage for wrong arguments.
#     assert_help NAME            -h and --help: usage on stdout, status 0
#     assert_usage NAME ARG...    these arguments: usage on stderr, status 2
#     assert_help_fails NAME...   help that does not arrive is an error
assert_help() {
    local option

    for option in -h --help; do
        program -0 "$1" "$option"
        [[ $output == "Usage: $1"* ]] || same usage "$output" "Usage: $1..."
        assert_stderr ""
    done
}

assert_usage() {
    program -2 "$@"
    assert_output ""
    [[ $stderr == *"Usage: $1"* ]] || same usage "$stderr" "Usage: $1..."
}

assert_help_fails() {
    local name

    for name; do
        status=0
        stderr=$("$root/$chapter/$name" --help 2>&1 >/dev/full 3>&-) ||
            status=$?
        same "status of $name --help >/dev/full" "$status" 1
        assert_error "$name: standard output: No space left on device"
    done
}

# Prints the type of the filesystem the test runs on: ext4, xfs, tmpfs ...
filesystem() {
    case $(stat -f -c %T .) in
    ext2/ext3) echo ext4 ;;
    *) stat -f -c %T . ;;
    esac
}

# without_override COMMAND...: as root, but bound by file modes as others are.
without_override() {
    if [[ $EUID == 0 ]]; then
        setpriv --bounding-set=-dac_override,-dac_read_search \
            --inh-caps=-dac_override,-dac_read_search -- "$@"
    else
        "$@"
    fi
}
