# Many runs of programs at the same time. An AIO context takes some 30 ms to
# go, in which nobody has work: runs one after the other make a slow test.
#
#     load helpers/common
#     load helpers/abreast
#
#     for n in 1 2 3; do
#         AIO_FAULT="io_submit@$n=EINTR" begin NAME ARGUMENT...
#     done
#     while next; do
#         assert_status 0
#         ...
#     done

# shellcheck disable=SC2154 # a test file sets chapter, common.bash root

# begin NAME ARGUMENT...: starts a program of the chapter, in a folder of its
# own, and does not wait for it. AIO_FAULT is as ever; with LOG set, calls
# are counted; EXPECT is kept for later.
begin() {
    local folder=run.${#pids[@]} faulty=()

    # Folders are made a few at a time, for a mkdir costs as much as a run.
    ((${#pids[@]} % 16 != 0)) ||
        eval "mkdir run.{${#pids[@]}..$((${#pids[@]} + 15))}"
    [[ -z ${AIO_FAULT-}${LOG-} ]] ||
        faulty=(LD_PRELOAD="$root/tests/helpers/fault.so"
            ${LOG:+AIO_FAULT_LOG=log})
    (
        cd "$folder" || exit 1
        exec "$root/tests/helpers/within" 60 "${faulty[@]}" \
            "$root/$chapter/$1" "${@:2}" >stdout 2>stderr
    ) 3>&- &
    pids+=("$!")
    names+=("$1")
    faults+=("${AIO_FAULT-}")
    expected+=("${EXPECT-}")
}

# next: the next of those begun, when it has ended; false if there is none.
# Sets output, lines, stderr and status as `run` does; name, fault and
# expect as they were; and at, the folder where it ran.
# shellcheck disable=SC2034 # for the tests
next() {
    local i=$nr_seen

    ((i < ${#pids[@]})) || return 1
    nr_seen=$((i + 1))
    status=0
    wait "${pids[i]}" || status=$?
    at=run.$i
    name=${names[i]}
    fault=${faults[i]}
    expect=${expected[i]}
    mapfile -t lines <"$at/stdout"
    IFS= read -r -d '' output <"$at/stdout" || output=${output%$'\n'}
    IFS= read -r -d '' stderr <"$at/stderr" || stderr=${stderr%$'\n'}
}
pids=() names=() faults=() expected=() nr_seen=0

assert_status() {
    same "status of $name${fault:+ under $fault}" "$status" "$1"
}

# calls CALL: how many of them are in the log.
calls() {
    local call count sum=0

    while read -r call count; do
        [[ $call != "$1" ]] || sum=$((sum + count))
    done <"$at/log"
    echo "$sum"
}
