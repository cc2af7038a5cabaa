# The exercises and their checker, in short. That starters fail and solutions
# pass, that wrong answers do not, and what else the tool has to do, is in
# course/exercises.bats.

load helpers/common
load helpers/answers

@test "each chapter has two exercises or more, with all that is due" {
    local -A of=()
    local file starter solution number section

    # bats looks at each command of a loop: long ones are for awk.
    awk '
    /^#+ / { name = "" }
    /^# Chapter/ { page = substr($3, 1, 1) }
    /^## Exercises/ { name = "section." page }
    /^## For teachers/, /^## Appendix/ { name = "section.teachers" }
    name { print >name }' "$root"/0*/README.md "$root/TUTORIAL.md"

    for file in "${exercises[@]}"; do
        facts "$file"
        of[$chapter]+=.
        [[ $chapter == 0${id%.*}-* && $name == "${id#*.}"-* ]] ||
            echo "$id: $name"
        starter=$(<"$root/$chapter/exercises/$name.c") || continue
        solution=$(<"$root/$chapter/solutions/$name.c") || continue
        [[ -n $title && ${#title} -le 52 ]] || echo "$id: title"
        [[ -n $kind && -n $reason ]] || echo "$id: kind and reason"
        [[ ${#hints[@]} -ge 2 && -n $notice ]] || echo "$id: hints and notice"
        [[ ${#wrong[@]} -ge 5 ]] || echo "$id: wrong answers"
        [[ ${#right[@]} -ge 2 ]] || echo "$id: other right answers"
        [[ $starter == *'EDIT HERE'* ]] ||
            echo "$id: does not say where to edit"
        [[ $solution != *'EDIT HERE'* ]] ||
            echo "$id: the solution says where to edit"
        [[ $starter == *$'\n'" * Check:  make exercise-$id"$'\n'* ]] ||
            echo "$id: does not say how to check it"
        section=$(<"section.${id%.*}")
        [[ $section == *"- **$id ${name#*-}** ($kind)"* ]] ||
            echo "$id: is not on the page of its chapter"
        section=$(<section.teachers)
        [[ $section == *"| $id | $kind |"* ]] ||
            echo "$id: is not in the table for teachers"
    done >wrong 2>&1
    for chapter in "$root"/0*; do
        number=${of[${chapter##*/}]}
        [[ ${#number} -ge 2 ]] || echo "$chapter: not two exercises"
        for file in "$chapter"/exercises/*.c "$chapter"/solutions/*.c; do
            number+=-
        done
        [[ ${#number} == *$((${#of[${chapter##*/}]} * 3)) ]] ||
            echo "$chapter: exercises, solutions and checks do not match"
    done >>wrong
    cat wrong
    [[ ! -s wrong ]]
}

@test "each exercise says how hard it is, and they go from easy to hard" {
    awk '
    FNR == 2 {
        id = $5
        sub(/,/, "", id)
        level = /[(]easy/ ? 1 : /[(]medium/ ? 2 : /[(]hard/ ? 3 : 0
        if (level == 0)
            print id ": easy, medium or hard?"
        if (int(id) == int(last) && level < before)
            print id " is easier than " last
        before = level
        last = id
    }' "$root"/0*/exercises/*.c >wrong
    cat wrong
    [[ ! -s wrong ]]
}

@test "one exercise: what was expected, what came, and hint after hint" {
    answer 2.2 mine 's/event.res < 0/event.res2 < 0/
        s/(size_t)event.res !=/0 \&\& &/'
    exercise --from mine 2.2
    [[ $status == 1 ]]
    [[ $output == "2.2 res-not-res2: not solved: 02-single-write/exercises/\
2-res-not-res2.c

The disk is full, so the event brings -ENOSPC:

    AIO_FAULT='io_getevents@1=res=-ENOSPC' LD_PRELOAD=tests/helpers/fault.so \\
        02-single-write/exercises/2-res-not-res2 demo.txt

expected: status 1, and one line on stderr
    2-res-not-res2: IOCB_CMD_PWRITE demo.txt: No space left on device
got: status 0
  on stdout:
    written: -28 bytes

Read: 02-single-write/README.md, line "*" (The code that matters);
      02-single-write/single-write.c

Hint 1: "*"
(Another hint: make exercise-2.2 HINT=2)" ]] || same report "$output" ...

    HINT=9 exercise --from mine 2.2
    assert_line 'Hint 3: *'
    [[ $output != *Another* ]]
    HINT=0 exercise --from mine 2.2
    [[ $output != *Hint* ]]
    assert_line '(A hint: make exercise-2.2 HINT=1)'
    HINT=x run -2 "$root/tests/tools/exercise" --from mine 2.2

    answer 2.2 mine
    exercise --from mine 2.2
    [[ $status == 0 ]]
    [[ ${lines[0]} == '2.2 res-not-res2: solved' ]]
}

@test "what is no exercise is refused" {
    run -2 "$root/tests/tools/exercise" 1.99
    [[ $output == *"there is no exercise '1.99'; make exercises lists them" ]]
    run -2 "$root/tests/tools/exercise" --what
    [[ $output == Usage:* ]]
}

@test "the chapters' programs do not mind a disk that takes its time" {
    local program

    for program in 02-single-write/single-write 03-batch-submit/batch-submit \
        04-odirect/odirect 05-eventfd/eventfd 06-vectored/vectored; do
        ended 20 "LD_PRELOAD=$root/tests/helpers/fault.so" AIO_LATE=newest \
            "$root/$program" demo.dat
        same "status of $program" "$status" 0
    done
    ended 20 "LD_PRELOAD=$root/tests/helpers/fault.so" AIO_LATE=newest \
        "$root/06-vectored/aio-copy" "$root/TUTORIAL.md" copy
    same "status of aio-copy" "$status" 0
    cmp copy "$root/TUTORIAL.md"
}
