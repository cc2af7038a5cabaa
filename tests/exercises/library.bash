# What the checks of exercises use. tests/tools/exercise reads this; each
# N.K.bash beside it then says:
#
#     name=1-first-context            the file's name, without .c
#     chapter=01-setup-destroy
#     kind='fill in'                  or 'find the bug', 'extend'
#     title='...'                     the task, a few words for the score board
#     reason='*glob*'                 what the starter's report looks like
#     check() { ... }                 runs the program and looks at what it did
#     hints=( '...' '...' )           shown one by one
#     notice='...'                    what to see in the solution, once solved
#     wrong=( 'WHAT|SED' ... )        wrong answers that the tests try: a sed
#                                     script that makes them of the solution;
#                                     WHAT @TORMENT: tools/torture finds it
#     right=( 'WHAT|SED' ... )        the same for other right answers
#
# A check runs in an empty folder of its own. The first expectation that is
# not met ends it, with a report of what was expected and what came. Nobody
# must pass by printing the right text: each check also looks at files, at
# the calls made or at how faults are taken.
#
# shellcheck shell=bash
# shellcheck disable=SC2030,SC2031 # AIO_FAULT, in a run
# shellcheck disable=SC2034,SC2154 # variables of the exercises and the tool

# examine N.K: compiles the answer and checks it. Status 0: solved. 1: not. 2:
# does not compile. 3: there is no such file. 77: cannot be checked here.
examine() {
    local id=$1 work=$scratch/$1

    set +m
    trap 'echo $? >"$work/status"' EXIT
    situation ''
    # shellcheck source=/dev/null
    source "$root/tests/exercises/$id.bash"
    compile || exit
    [[ ! -s $scratch/$id/report ]] || echo      # warnings
    [[ -z ${EXERCISE_RECORD-} ]] || mkdir -p "$EXERCISE_RECORD/$id"/{1..30}
    cd "$work/here" || exit 1
    check || fail 'the check passes' "status $?"
    exit 0
}

# The compiler's messages are the learner's to read: they are not touched.
compile() {
    local source=$chapter/exercises/$name.c libraries=${LDLIBS-}

    if [[ ! -e $from/$source ]]; then
        echo "there is no $source"
        return 3
    fi
    [[ $chapter != 0[17]-* ]] || libraries+=" -pthread -lrt"
    # shellcheck disable=SC2086 # several words each
    (cd "$from" && ${CC:-cc} ${CPPFLAGS-} ${CFLAGS--O2 -g} \
        -Wall -Wextra -Wpedantic ${LDFLAGS-} \
        -o "$work/$name" "$source" $libraries) || return 2
}

# situation TEXT [N]: what the runs that follow are about, for the report. Who
# fails here has come so far that it is hint N that helps; 0: none of them does.
situation() {
    situation=$1
    hint "${2-1}"
}

hint() { echo "$1" >"$work/hint"; }
situation=''

# skip REASON: this cannot be checked on this machine or filesystem.
skip() {
    echo "$1"
    exit 77
}

# pages_are_aligned: skips where O_DIRECT is there, but wants more than pages of
# 4096 bytes.
pages_are_aligned() {
    try_direct 4096 || ! try_direct 1M ||
        skip 'O_DIRECT on this disk wants multiples of more than 4096 bytes'
    rm -f "$work/try"
}

try_direct() {
    dd if=/dev/zero of="$work/try" bs="$1" count=1 oflag=direct 2>/dev/null
}

# fail EXPECTED [GOT]: the report. GOT is what the last run did, if not given;
# if it is, and the program had something to say itself, that comes as well.
# Where calls or requests are the matter, the command shows them.
fail() {
    [[ -z $situation ]] || printf '%s\n' "$situation"
    [[ "$*" != *'calls of '* && -z $watched ]] || (($# < 2)) ||
        command=${traced:-$command}
    [[ -z $command ]] || printf '\n    %s\n\n' "$command"
    printf 'expected: %s\n' "$1"
    if (($# > 1)); then
        local got=" $2"
        printf 'got:%s\n' "${got/# $'\n'/$'\n'}"
        if [[ -n $status && $status != 0 && $status -lt 128 ]]; then
            printf 'and: %s\n' "$(ended)"
            block stderr "$work/err"
        fi
    else
        printf 'got: %s\n' "$(ended)"
        block stdout "$work/out"
        block stderr "$work/err"
    fi
    exit 1
}
command='' traced='' watched='' status=''

# stopped GOT: the report on a program that did not end by itself: what it
# had said by then, and how to see where it was.
stopped() {
    local file=$chapter/exercises/$name.c

    [[ -z $situation ]] || printf '%s\n' "$situation"
    printf '\n    %s\n\n' "$command"
    printf 'expected: it ends by itself\ngot: %s\n' "$1"
    block 'stdout so far' "$work/out"
    block 'stderr so far' "$work/err"
    echo
    if [[ $1 == killed* ]]; then
        echo 'To see where: compile it with what finds wrong uses of memory,'
        printf '    cc -g -fsanitize=address,undefined %s\n' "$file"
        echo 'and run ./a.out with the same arguments; or gdb, run, bt.'
    else
        echo 'To see where it is: start it as above and type, elsewhere,'
        printf '    strace -f -p $(pgrep -n %.15s)\n' "$name"
        echo 'The last line is the call it waits in. If lines fly by, it spins.'
    fi
    exit 1
}

# How the last run ended.
ended() {
    if ((status > 128)); then
        echo "killed by SIG$(kill -l $((status - 128)))"
    elif [[ -s $work/out || -s $work/err ]]; then
        echo "status $status"
    else
        echo "status $status, and no output"
    fi
}

# block NAME FILE: its first lines, indented; nothing if it is empty.
block() {
    [[ -s $2 ]] || return 0
    echo "  on $1:"
    awk '
    NR == 13 { print "    ..."; exit }
    { gsub(/[^\t -~]/, "?"); print "    " substr($0, 1, 100) }' "$2"
}

# given COMMAND: what a learner has to do first, and the check as well.
given() {
    eval "$1"
    given=$1
}
given=''

# run [ARGUMENT...]: runs the program. Ahead of it, as needed:
#     AIO_FAULT='SPEC...'   calls fail; see tests/helpers/fault.c
#     late=newest           requests are done late, and the newest first; see
#                           tests/helpers/late.c for late=oldest|idle|stall
#     watch=yes             notes requests in $work/watch; see trace.c there,
#                           also for watch=all
#     file_limit=KIB        no file may get longer
#     input=FILE            its standard input
#     try='COMMAND'         what the report tells the learner to run instead
# Afterwards: $status, $output, $errors (texts), $work/out, $work/err (the
# same as files), and the calls made for `calls`. A program that runs too
# long, or is killed, has failed. A fault of io_getevents is one of
# io_pgetevents, too: answers may wait with either.
run() {
    local preload=tests/helpers/fault.so limit=${EXERCISE_LIMIT:-5}
    local out=$work/out err=$work/err readers='' pipe='' child tries=0 alive=''
    local said='' fault faults=()

    read -r -d '' -a faults <<<"${AIO_FAULT-}"
    for fault in "${faults[@]}"; do
        [[ $fault != io_getevents@* ]] || faults+=("${fault/get/pget}")
    done
    runs=$((runs + 1)) status='' watched=${watch-}
    tracing=yes explain "$@"
    traced=$command
    explain "$@"
    : >"$work/calls"
    [[ -z ${watch-} ]] || : >"$work/watch"
    if [[ ${file_limit-} ]]; then       # that would hold for $work/out, too
        # valgrind has files of its own: the check ends here.
        [[ ${EXERCISE_UNDER-} != valgrind* ]] || exit 0
        mkfifo "$work/out-pipe" "$work/err-pipe" 2>/dev/null
        out=$work/out-pipe err=$work/err-pipe
        cat <"$out" >"$work/out" &
        readers=$!
        cat <"$err" >"$work/err" &
        readers+=" $!"
    fi

    # A wait with a limit of time, and cheaper than timeout(1): the program has
    # the pipe open as long as it runs. (Most do; those that close what they
    # have not opened are waited for by looking, now and then.) It is no
    # <(process substitution): of one that ends at once, on a busy machine,
    # bash does not always know the status.
    [[ -p $work/alive ]] || mkfifo "$work/alive"
    (
        exec 55>"$work/alive" <"${input:-/dev/null}" >"$out" 2>"$err"
        ulimit -f "${file_limit:-65536}" -c 0
        export AIO_FAULT=${faults[*]} AIO_FAULT_LOG=$work/calls
        [[ -z ${watch-} ]] || export AIO_WATCH=$work/watch
        [[ ${watch-} != all ]] || export AIO_WATCH_MORE=1
        [[ -z ${late-} ]] || export AIO_LATE=$late
        # shellcheck disable=SC2086 # several words
        LD_PRELOAD="${EXERCISE_PRELOAD-} ${preload//tests\//$root/tests/}" \
            exec ${EXERCISE_UNDER-} "$work/$name" "$@"
    ) &
    child=$!
    exec {said}>&2 2>/dev/null  # bash names the signal that kills it
    exec {pipe}<"$work/alive"
    read -r -t "$limit" -u "$pipe" _
    (($? <= 128)) || alive=yes
    exec {pipe}<&-
    while [[ -z $alive ]] && kill -0 "$child" 2>/dev/null; do
        sleep 0.05
        ((tries++ < limit * 20)) || alive=yes
    done
    # shellcheck disable=SC2086 # none or two
    [[ -z $alive ]] || kill -KILL "$child" $readers 2>/dev/null
    wait "$child"
    status=$?
    # shellcheck disable=SC2086
    [[ -z $readers ]] || wait $readers
    exec 2>&"$said" {said}>&-
    [[ $(<"$work/calls") != *io_pgetevents* ]] ||
        command=${command//io_getevents@/io_pgetevents@} \
            traced=${traced//io_getevents@/io_pgetevents@}
    if [[ $alive ]]; then
        stopped "stopped: it was still running after $limit seconds"
    elif ((status == 128 + 25)) && [[ -z ${file_limit-} ]]; then
        stopped 'stopped: it had written 64 MiB'
    elif ((status >= 128)); then
        stopped "$(ended)"
    fi
    { output=$(<"$work/out") errors=$(<"$work/err"); } 2>/dev/null
    ((${#output} > 9999)) || ! IFS= read -r -d '' _ <"$work/out" ||
        output+=' (with NUL bytes)'
    if [[ ${EXERCISE_RECORD-} ]]; then
        cp "$work/out" "$work/err" "$EXERCISE_RECORD/$id/$runs"
        echo "$status" >"$EXERCISE_RECORD/$id/$runs/status"
    fi
}
runs=0

# explain [ARGUMENT...]: puts into $command what a learner types to see the
# same as the run that follows; with tracing=yes, each call of it as well.
explain() {
    local first='' last word faults words=()

    [[ -z ${file_limit-} ]] || words+=("ulimit -f $file_limit;")
    if [[ ${AIO_FAULT-} ]]; then
        read -r -d '' -a faults <<<"$AIO_FAULT"
        last=$(fold -s -w 60 <<<"${faults[*]}")
        words+=("AIO_FAULT='${last// $'\n'/$'\n        '}'")
    fi
    [[ -z ${late-} ]] || words+=("AIO_LATE=$late")
    [[ -z ${tracing-} ]] || words+=(AIO_TRACE=/dev/stderr)
    [[ -z ${AIO_FAULT-}${late-}${tracing-} ]] ||
        words+=(LD_PRELOAD=tests/helpers/fault.so)
    for word in "${words[@]}"; do
        last=${first##*$'\n'}
        ((${#last} == 0 || ${#last} + ${#word} <= 74)) || first+=$'\\\n    '
        first+="$word "
    done
    command=$chapter/exercises/$name${*:+ $*}${input:+ <$input}
    if ((${#first} + ${#command} > 70)); then
        first+=$'\\\n        '
    fi
    command=$first$command
    [[ -z ${file_limit-} ]] || command="($command)"
    [[ -z $given ]] || command=$given$'\n    '$command
    command=${try:-$command}
}

# expect_status N
expect_status() {
    ((status == $1)) || fail "status $1"
}

# expect_success: status 0, and nothing on stderr.
expect_success() {
    [[ $status == 0 && -z $errors ]] || fail 'status 0, nothing on stderr'
}

# expect_error GLOB [TEXT]: status 1, and one line on stderr, "PROGRAM: GLOB".
# TEXT says the same to people; without it, "*" at the end is any reason.
expect_error() {
    local text=${2-${1/%'*'/(any reason)}}

    # shellcheck disable=SC2053 # a pattern on purpose
    [[ $status == 1 && $errors == "$name: "$1 && $errors != *$'\n'* ]] ||
        fail "status 1, and one line on stderr"$'\n'"    $name: $text"
}

# expect_output TEXT: the whole of stdout. Of a long text the report has only
# the first line that is not right.
expect_output() {
    local lines got n=0

    [[ $output != "$1" ]] || return 0
    [[ -n $1 ]] || fail 'nothing on stdout'
    mapfile -t lines <<<"$1"
    mapfile -t got <<<"$output"
    ((${#lines[@]} > 8)) || fail "on stdout"$'\n'"    ${1//$'\n'/$'\n'    }"
    while ((n < ${#lines[@]})) && [[ ${lines[n]} == "${got[n]-}" ]]; do
        n=$((n + 1))
    done
    watched=''
    fail "line $((n + 1)) of ${#lines[@]} on stdout
    ${lines[n]-(none)}" \
        $'\n'"    ${got[n]-(none)}"
}

# expect_line GLOB [TEXT]: one of stdout's lines. TEXT says it to people.
expect_line() {
    local line

    while IFS= read -r line; do
        # shellcheck disable=SC2053 # a pattern on purpose
        [[ $line != $1 ]] || return 0
    done <<<"$output"
    fail "a line on stdout"$'\n'"    ${2-$1}"
}

# expect_file FILE TEXT: what it holds, to the byte.
expect_file() {
    printf %s "$2" >"$work/expected"
    expect_same "$1" "$work/expected"
}

# expect_same FILE EXPECTED [SIZE]: both files hold the same. They are made of
# blocks of SIZE bytes, if that is given.
expect_same() {
    local size got differ block where

    [[ -e $1 ]] || fail "it makes $1" 'there is no such file'
    cmp -s "$1" "$2" && return
    size=$(stat -c %s "$2") got=$(stat -c %s "$1")
    if ((size <= 200)); then
        fail "$1 holds $size bytes"$'\n'"$(sed 's/^/    /' "$2")" \
            "$got bytes"$'\n'"$(head -c 200 "$1" | tr -c '\n\t -~' '?' |
                cut -c 1-70 | sed 's/^/    /')"
    fi
    differ=$(cmp "$1" "$2" 2>&1 |
        sed -nE 's/.* differ: (byte|char) ([0-9]+).*/\2/p')
    [[ -n $differ ]] || fail "$1 holds $size bytes" "$got bytes"
    differ=$((differ - 1)) where="from byte $differ on"
    if [[ ${3-} ]]; then
        block=$((differ / $3)) differ=$((differ / $3 * $3))
        where="in block $block, from byte $differ on"
    fi
    fail "$1 holds $size bytes; $where: $(bytes "$2" "$differ")" \
        "$got bytes; there: $(bytes "$1" "$differ")"
}

# bytes FILE OFFSET: what is there, in a few words.
bytes() {
    local text

    text=$(tail -c "+$(($2 + 1))" "$1" | head -c 16 | tr '\0' '@' |
        tr -c '\n -~' '?')
    case ${text//@/} in
    '') [[ $text ]] && echo zeros || echo 'the end' ;;
    *) echo "\"${text%%$'\n'*}\"" ;;
    esac
}

# calls CALL: how often the last run made it, as fault.so has counted.
calls() {
    local call count n=0

    while read -r call count; do
        [[ ${call/pget/get} != "$1" ]] || n=$((n + count))
    done <"$work/calls"
    echo "$n"
}

# expect_calls CALL N: exactly N of them. N+: at least N. A-B: from A to B.
expect_calls() {
    local n

    n=$(calls "$1")
    case $2 in
    *+)
        ((n >= ${2%+})) || fail "calls of $1: ${2%+} or more" "$n"
        ;;
    *-*)
        ((n >= ${2%-*} && n <= ${2#*-})) ||
            fail "calls of $1: ${2%-*} to ${2#*-}" "$n"
        ;;
    *) ((n == $2)) || fail "calls of $1: $2" "$n" ;;
    esac
}

# blocks NR SIZE: what the programs' fill() writes: NR blocks of SIZE bytes.
blocks() {
    awk -v nr="$1" -v size="$2" 'BEGIN {
        for (block = 0; block < nr; block++) {
            label = "block " block "\n"
            letters = sprintf("%c", 97 + block % 26)
            while (length(letters) < size)
                letters = letters letters
            printf "%s%s", label, substr(letters, 1, size - length(label))
        }
    }'
}

# requests: what the last run with watch=yes did, in words.
requests() {
    sed 's/ 0:/ PREAD:/g; s/ 1:/ PWRITE:/g; s/ 2:/ FSYNC:/g; s/ 3:/ FDSYNC:/g
        s/ 5:/ POLL:/g; s/ 7:/ PREADV:/g; s/ 8:/ PWRITEV:/g
        '"s|$work/here|.|" "$work/watch"
}

# trace: the same to show, a request a line.
trace() {
    local address=''

    ! grep -q '@' "$work/watch" || address='@address modulo 4096'
    requests | awk -v address="$address" -v calls="$(calls io_submit)" '
    function show(text) {
        if (++lines <= 10)
            print "    " text
    }
    $1 == "submit" {
        for (i = 2; i <= NF; i++)
            show((i == 2 ? "submit " : "       ") $i)
        next
    }
    { show($0) }
    BEGIN { print "" }
    END {
        if (lines > 10)
            print "    ..."
        if (lines)
            print "    (requests are opcode:offset:bytes" address ")"
        else if (calls)
            print "    no request that was taken; calls of io_submit: " calls
        else
            print "    no request at all"
    }'
}

# most_in_flight: after the last run with watch=yes.
most_in_flight() {
    awk '
    $1 == "submit" { n += NF - 1 }
    $1 == "reap" { n -= $2 }
    n > most { most = n }
    END { print most + 0 }' "$work/watch"
}

# expect_window DEPTH NR: the last run with late=newest watch=yes did never wait
# for more than one of DEPTH requests, as long as some of NR were left.
expect_window() {
    local least

    # How many are in flight, at least, until the last one is submitted?
    least=$(awk -v depth="$1" -v nr="$2" '
    $1 == "submit" {
        n += NF - 1
        all += NF - 1
        if (all > depth && all <= nr && before < least)
            least = before
    }
    $1 == "reap" { n -= $2 }
    BEGIN { least = depth }
    { before = n }
    END { print least }' "$work/watch")
    ((least >= $1 - 1)) ||
        fail "one event is waited for, not more, and its place is taken again
    at once: so $(($1 - 1)) or $1 are in flight" \
            "only $least were in flight when more were submitted"
}

# expect_aligned: all requests of the last run with watch=all are.
expect_aligned() {
    ! grep -Eo '[0-9]+:[0-9]+:[0-9]+@[0-9]+(/[0-9]+@[0-9]+)*' "$work/watch" |
        awk -F '[:@/]' '$2 % 4096 { odd++ }
        { for (i = 3; i < NF; i += 2) odd += $i % 4096 || $(i + 1) }
        END { exit !odd }' ||
        fail 'offsets, lengths and addresses that are multiples of 4096' \
            "$(trace)"
}

# expect_direct: all transfers of the last run with watch=... were asked for by
# descriptors with O_DIRECT, whichever way they got it; or, on a filesystem
# without, that was tried.
expect_direct() {
    local cached

    (($(calls open:direct) + $(calls fcntl) > 0)) ||
        fail 'FILE is opened with O_DIRECT' 'no such call of open'
    cached=$(calls io_submit:cached)
    ((cached == 0)) || [[ $(: >"$work/try" &&
        "$root/tests/helpers/probe-vectored" direct "$work/try") == no ]] ||
        fail 'O_DIRECT is on, and stays on' \
            "it was off when $cached reads and writes were submitted"
}
