# The torture bench on all that is here: it finds what is wrong in an exercise's
# answers with their handling of AIO, and accuses no solution and no program.
#
# The mark @TORMENT behind a wrong answer's name says what finds it. Those
# without one are not wrong in that: see tests/README.md.
# seconds: 230
#
# Each test has a process of its own, and variables of its own:
# shellcheck disable=SC2030,SC2031

load ../helpers/common
load ../helpers/answers
. "$root/tests/helpers/commands.bash"

# called N.K: how its answers are, in arguments; and what the bench is told.
called() {
    arguments=(file) options=(--file file) input=/dev/null
    case $1 in
    1.?) arguments=(6) ;;
    2.1) arguments=(old 10 20) options+=(--exact) ;;
    2.2) arguments=(file "$(printf '%0600d' 7)") ;;
    3.2)
        arguments=(old 4)
        options+=(--exact --ignore 'calls: [0-9]+|at most [0-9]+')
        ;;
    3.4) arguments=(old) options+=(--exact --ignore 'by (AIO|pread)') ;;
    4.3)
        arguments=(old 1 5)
        options+=(--exact --ignore 'would wait in part|does not wait')
        ;;
    4.4) input=old ;;
    4.5 | 5.3) options+=(--exact) ;;
    5.2 | 5.4) arguments=() options+=(--exact) ;;
    6.1) arguments=(old) options+=(--exact) ;;
    6.2) arguments=(file 300) ;;
    6.3) arguments=(file 20 4) ;;
    6.4) arguments=(write file) input=old ;;
    7.[12]) arguments=(old) ;;
    7.3) arguments=(old) options+=(--ignore 'at [0-9]+: [0-9]+ bytes') ;;
    7.4) arguments=(old old old) ;;
    7.5) # it copies what one read brings
        arguments=(old file)
        options+=(--exact --without posix-short)
        ;;
    esac
}

# on_the_bench FOLDER PROGRAM [OPTION]...: what the bench says of it goes to
# FOLDER.said.
on_the_bench() {
    mkdir -p "$1"
    (
        cd "$1" || exit
        old_file >old
        AIO_TEST_DIR='' "$root/tests/tools/torture" "${options[@]}" \
            --seconds "${EXERCISE_LIMIT:-60}" "${@:3}" -- \
            "$2" "${arguments[@]}" <"$input" >said 2>&1
    ) || true
    mv "$1/said" "$1.said"
}

# answer_on_the_bench N.K.bash WHICH: as above; WHICH is solution or a number.
answer_on_the_bench() {
    local script='' text which=$2 torment=() limit=60

    facts "$1"
    called "$id"
    if [[ $which != solution ]]; then
        script=${wrong[which]#*|} limit=3
        text=${wrong[which]%%|*}
        torment=(--only "${text##*@}")
    fi
    sed "$script" "$root/$chapter/solutions/$name.c" >"$id.$which.c"
    # shellcheck disable=SC2086 # several words
    ${CC:-cc} $CPPFLAGS -O0 -w -pthread -o "$id.$which" "$id.$which.c" -lrt ||
        return
    EXERCISE_LIMIT=$limit on_the_bench "$id.$which.here" "$PWD/$id.$which" \
        "${torment[@]}"
}
program_on_the_bench() {
    options=(--file file) input=/dev/null
    read -r -a arguments <<<"$(arguments "${1##*/}")"
    on_the_bench "${1##*/}.here" "$root/$1"
}
# side_by_side COMMAND: with the words of each line of input behind it.
side_by_side() {
    local words

    while read -r -a words; do
        (($(jobs -pr | wc -l) < $(nproc))) || wait -n || true
        "$1" "${words[@]}" 3>&- &
    done
    wait
}

# The chapter that the test is called after: what is wrong is found, and what
# is right is not. 2.4 makes no requests itself, 3.5 uses io_uring.
answers() {
    local file i number=${BATS_TEST_DESCRIPTION##* }

    for file in "$root/tests/exercises/$number".*.bash; do
        facts "$file"
        [[ $id != 2.4 && $id != 3.5 ]] || continue
        echo "$file solution"
        for i in "${!wrong[@]}"; do
            [[ ${wrong[i]%%|*} != *@* ]] || echo "$file $i"
        done
    done >all
    side_by_side answer_on_the_bench <all
    while read -r file i; do
        facts "$file"
        if [[ $i == solution ]]; then
            grep -Hq ', 0 with findings$' "$id.$i.here.said" ||
                grep -H '' "$id.$i.here.said"
        elif ! grep -qE '^FOUND |never the same' "$id.$i.here.said"; then
            echo "not found: ${wrong[i]%%|*}"
            grep -H '' "$id.$i.here.said"
        fi
    done <all >amiss
    cat amiss
    [[ -s all && ! -s amiss ]]
}

@test "wrong answers are found and solutions are not accused, chapter 1" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 2" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 3" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 4" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 5" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 6" {
    answers
}

@test "wrong answers are found and solutions are not accused, chapter 7" {
    answers
}

# Programs whose lesson is what calls say, or who was first, in words that are
# others under a torment: they are not compared with themselves.
lessons=' batch-submit-io_uring beside-the-cache context-limits is-it-async
    partial-submit rw-flags torn-write vectored wait-timeout whose-context
    would-it-wait '

# The programs of the chapter that the test is called after.
programs_are_right() {
    local program number=${BATS_TEST_DESCRIPTION##* }

    for program in "$root/0$number"-*/*.c; do
        program=${program%.c} program=${program#"$root/"}
        [[ ${lessons//$'\n'/ } == *" ${program##*/} "* ||
            ! -x $root/$program ]] || echo "$program"
    done >all
    side_by_side program_on_the_bench <all
    while read -r program; do
        program=${program##*/}.here.said
        grep -q ', 0 with findings$' "$program" || grep -H '' "$program"
    done <all >amiss
    cat amiss
    [[ -s all && ! -s amiss ]]
}

@test "no program is accused, chapter 1" {
    programs_are_right
}

@test "no program is accused, chapter 2" {
    programs_are_right
}

@test "no program is accused, chapter 3" {
    programs_are_right
}

@test "no program is accused, chapter 4" {
    programs_are_right
}

@test "no program is accused, chapter 5" {
    programs_are_right
}

@test "no program is accused, chapter 6" {
    programs_are_right
}

@test "no program is accused, chapter 7" {
    programs_are_right
}
