# The questions of probe-call.c, for the tests of chapters 1 and 2. After
#
#     load helpers/common
#     load helpers/probe
#
# all that the file asks is asked at once, before its first test (each answer
# takes only waiting), and a test has
#
#     fact QUESTION ANSWER        the whole answer, lines and all

# shellcheck disable=SC2034,SC2154 # of common.bash and of the test files

setup_file() {
    local questions question folder

    cp "$root/tests/helpers/probe-call" "$BATS_FILE_TMPDIR/probe"

    # Each in an empty folder, on the filesystem that the tests are on.
    questions=$(sed -n 's/^ *fact \([a-z_0-9]*\).*/\1/p' \
        "$BATS_TEST_FILENAME" | sort -u)
    folder=$(mktemp -d "${AIO_TEST_DIR:-$root/tests}/.scratch.XXXXXX")
    for question in $questions; do
        mkdir "$folder/$question"
        (
            cd "$folder/$question" || exit
            exec "$root/tests/helpers/within" 60 \
                "$BATS_FILE_TMPDIR/probe" "$question"
        ) >"$BATS_FILE_TMPDIR/$question" 2>&1 3>&- &
    done
    wait
    rm -r "$folder"
}

fact() {
    output=$(<"$BATS_FILE_TMPDIR/$1")
    assert_output "$2"
}

# start ID NAME [ARGUMENT...]: like `program`, but only starts it: much of a
# run is waiting, and runs that do not disturb each other can wait together.
# finish ID STATUS: waits for it; checks the status, sets $output and $stderr.
# stdout=FILE start ...: standard output goes to that file.
declare -gA started=()

start() {
    "$root/tests/helpers/within" 60 \
        ${AIO_FAULT:+"LD_PRELOAD=$root/tests/helpers/fault.so"} \
        "$root/$chapter/$2" "${@:3}" >"${stdout:-$BATS_TEST_TMPDIR/$1.out}" \
        2>"$BATS_TEST_TMPDIR/$1.err" 3>&- &
    started[$1]=$!
}

finish() {
    status=0
    wait "${started[$1]}" || status=$?
    output=
    [[ ! -e $BATS_TEST_TMPDIR/$1.out ]] ||
        output=$(<"$BATS_TEST_TMPDIR/$1.out")
    stderr=$(<"$BATS_TEST_TMPDIR/$1.err")
    same "status of $1" "$status" "$2"
}

# each_call_fails ERRNO REASON COMMAND CALL...: runs COMMAND once for each
# CALL@N, which fails with ERRNO, and sees that it says "CALL: REASON". Where
# it should name a file too, that stands behind the call. The last one is one
# that fails after some output: that comes before the error.
each_call_fails() {
    local errno=$1 reason=$2 command call file

    read -ra command <<<"$3"
    shift 3
    for call; do
        AIO_FAULT="${call%% *}=$errno" start "$call" "${command[@]}"
    done
    AIO_FAULT="${call%% *}=$errno" run -1 "$root/tests/helpers/within" 60 \
        "LD_PRELOAD=$root/tests/helpers/fault.so" \
        "$root/$chapter/${command[0]}" "${command[@]:1}"
    compare "${#lines[@]}" '>' 1
    same "last line" "${lines[-1]%%:*}" "${command[0]}"
    for call; do
        finish "$call" 1
        file=${call#"${call%% *}"}
        assert_error "${command[0]}: ${call%%@*}$file: $reason"
    done
}

# output_must_arrive COMMAND...: to a full disk, each COMMAND is no success;
# nor is it if all could be written but the last.
output_must_arrive() {
    local command words fault stdout=/dev/full

    for fault in '' 'fflush@*=ENOSPC'; do
        for command; do
            read -ra words <<<"$command"
            AIO_FAULT=$fault start "${words[0]}" "${words[@]}"
        done
        for command; do
            finish "${command%% *}" 1
            assert_error "${command%% *}: standard output: No space left on\
 device"
        done
        stdout=/dev/null
    done
}

# value NAME: what stands behind "NAME: " in the output, up to a comma.
value() {
    local line

    while IFS= read -r line; do
        if [[ $line == "$1: "* ]]; then
            line=${line#"$1: "}
            echo "${line%%[, ]*}"
            return 0
        fi
    done <<<"$output"
    printf 'no line begins with: %s\nin:\n%s\n' "$1" "$output" >&2
    return 1
}

# compare A OPERATOR B, two numbers: fails and shows them if it is not so.
compare() {
    # shellcheck disable=SC1105,SC2086 # an expression, made of the three
    if (($1 $2 $3)); then
        return 0
    fi
    echo "expected: $1 $2 $3"
    return 1
}

# in_sandbox ERRNO NAME ARGUMENT...: a program of the chapter, run where
# io_setup is forbidden and fails so (ENOSYS or EPERM).
in_sandbox() {
    ended 60 "$root/tests/helpers/sandbox" "io_setup=$1" -- \
        "$root/$chapter/$2" "${@:3}"
}

# limited BLOCKS NAME ARGUMENT...: a program of the chapter, which may write
# files of so many blocks of 1024 bytes. What it prints goes through pipes, for
# it may go to such files.
limited() {
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 bash -o pipefail -c '
        { (ulimit -f "$1"; exec "${@:2}") 2>&1 >&3 | cat >&2; } 3>&1 | cat' \
        bash "$1" "$root/$chapter/$2" "${@:3}"
}

# on_small_disk SIZE COMMAND...: runs it in an empty folder on a filesystem
# of SIZE, which is gone afterwards. Skips if we may not mount one.
on_small_disk() {
    local size=$1 enter=(unshare --mount)

    shift
    [[ $EUID == 0 ]] || enter+=(--map-root-user)
    "${enter[@]}" mount -t tmpfs -o "size=$size" none . 2>/dev/null ||
        skip "no right to mount a filesystem that is soon full"
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 "${enter[@]}" bash -c '
        mount -t tmpfs -o "size=$1" none . && cd "$PWD" && "${@:2}"' \
        bash "$size" "$@"
}
