# The exercises: starters fail for the reason that their task names, solutions
# pass, and nothing else does. Then the tools: score board, hints, handout.
# seconds: 9
#
# Each test has a process of its own, and variables of its own:
# shellcheck disable=SC2030,SC2031

load helpers/common

exercises=("$root"/tests/exercises/[0-9].[0-9]*.bash)

# Answers are compiled as fast as can be, and faults are none of ours.
export CFLAGS='-O0 -Werror' EXERCISE_LIMIT=10
unset TAP HINT EXERCISE_RECORD

# facts FILE: what an exercise says of itself, and its $id.
facts() {
    id=${1##*/} id=${id%.bash}
    wrong=()
    # shellcheck source=/dev/null
    source "$1"
}

# The solutions, laid out as a learner's answers are.
solved_course() {
    local chapter

    mkdir solved
    for chapter in "$root"/0*; do
        mkdir "solved/${chapter##*/}"
        ln -s "$chapter/solutions" "solved/${chapter##*/}/exercises"
    done
}

# answer N.K DIR [SED]: the solution, changed by SED, is the answer in DIR.
answer() {
    local id name chapter

    facts "$root/tests/exercises/$1.bash"
    mkdir -p "$2/$chapter/exercises"
    sed "${3-}" "$root/$chapter/solutions/$name.c" \
        >"$2/$chapter/exercises/$name.c"
}

# exercise ARGUMENT...: the tool, with what it says in $output and $stderr.
exercise() {
    run --separate-stderr "$root/tests/tools/exercise" "$@"
    [[ -z $stderr ]] || same stderr "$stderr" ''
}

# report N.K: what the tool, run with --tap, said of it.
report() {
    local line inside=''

    while IFS= read -r line; do
        [[ $line == '#'* ]] || inside=
        [[ ! $line =~ ok\ [0-9]+\ -\ "$1 " ]] || inside=yes
        [[ -z $inside ]] || echo "$line"
    done <<<"$output"
}

@test "each chapter has two exercises or more, with all that is due" {
    local -A of=() section=()
    local file starter solution number=0

    while IFS= read -r file; do
        case $file in
        '## Chapter '*) number=${file#* * } number=${number%%:*} ;;
        '## '*) number=${file#* } ;;
        esac
        section[$number]+=$file$'\n'
    done <"$root/TUTORIAL.md"

    for file in "${exercises[@]}"; do
        facts "$file"
        of[$chapter]+=.
        [[ $chapter == 0${id%.*}-* && $name == "${id#*.}"-* ]] ||
            echo "$id: $name"
        starter=$(<"$root/$chapter/exercises/$name.c") || continue
        solution=$(<"$root/$chapter/solutions/$name.c") || continue
        [[ -n $title && ${#title} -le 52 ]] || echo "$id: title"
        [[ -n $kind && -n $reason ]] || echo "$id: kind and reason"
        [[ ${#hints[@]} -ge 2 ]] || echo "$id: hints"
        [[ ${#wrong[@]} -ge 2 ]] || echo "$id: wrong answers"
        [[ $starter == *'EDIT HERE'* ]] ||
            echo "$id: does not say where to edit"
        [[ $solution != *'EDIT HERE'* ]] ||
            echo "$id: the solution says where to edit"
        [[ $starter == *$'\n'" * Check:  make exercise-$id"$'\n'* ]] ||
            echo "$id: does not say how to check it"
        [[ ${section[${id%.*}]} == *"- **$id ${name#*-}** ($kind)"* ]] ||
            echo "$id: is not in TUTORIAL.md"
        [[ ${section['For teachers']} == *"| $id | $kind |"* ]] ||
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

# A learner's own copy of the course may be tested as well: what has been
# edited there is left out. As long as git knows the file so, nobody has.
@test "each starter compiles with no warning, and fails for its reason" {
    local file text edited touched=()

    edited=" $("$root/tests/tools/exercise" --edited | tr '\n' ' ')"
    run --separate-stderr "$root/tests/tools/exercise" --tap
    [[ -z $stderr && -n $output ]]
    for file in "${exercises[@]}"; do
        facts "$file"
        text=$(report "$id")
        file=$chapter/exercises/$name.c
        # shellcheck disable=SC2053 # a pattern on purpose
        if [[ $text == *' # SKIP '* ]]; then
            continue
        elif [[ $edited != *" $id "* ]]; then
            [[ $text == 'not ok '* && $text == $reason ]] ||
                printf '%s: not for the reason %s:\n%s\n' "$id" "$reason" \
                    "$text"
        elif [[ $text == 'ok '* ]] ||
            ! git -C "$root" diff --quiet HEAD -- "$file" 2>/dev/null; then
            touched+=("$id")
        else
            echo "$id: the starter has changed: tests/tools/exercise --sum"
        fi
    done >wrong
    cat wrong
    [[ ! -s wrong ]]
    [[ ${#touched[@]} == 0 ]] || skip "edited: ${touched[*]}"
}

@test "each solution compiles with no warning, and passes" {
    solved_course
    EXERCISE_RECORD=$BATS_FILE_TMPDIR/record exercise --tap --from solved
    [[ $status == 0 && ${#lines[@]} == $((${#exercises[@]} + 1)) ]] ||
        same report "$output" 'ok for each'
}

# refused DIR: no answer in it passes, and none for being no program at all.
# What does is noted in ./passed.
refused() {
    CFLAGS='-O0 -w' EXERCISE_LIMIT=2 "$root/tests/tools/exercise" --tap \
        --from "$1" >tap 2>err || true
    [[ -s tap && ! -s err ]]
    sed -n "/^ok [^#]*$/s|^|$1: |p; /does not compile/s|^|$1: |p" tap >>passed
}

# Two of each exercise are enough for every day: EXERCISES=all tries all.
@test "wrong answers are refused" {
    local file i answer

    for file in "${exercises[@]}"; do
        facts "$file"
        for i in "${!wrong[@]}"; do
            [[ $i -lt 2 || ${EXERCISES-} == all ]] || break
            answer=wrong.$i/$chapter/exercises/$name.c
            [[ -d ${answer%/*} ]] || mkdir -p "${answer%/*}"
            sed "${wrong[i]#*|}" "$root/$chapter/solutions/$name.c" >"$answer"
            [[ $(<"$answer") != "$(<"$root/$chapter/solutions/$name.c")" ]] ||
                echo "$id: nothing is wrong: ${wrong[i]%%|*}"
        done
    done >wrong
    cat wrong
    [[ ! -s wrong ]]
    for i in wrong.*; do
        refused "$i"
    done
    cat passed
    [[ ! -s passed ]]
}

# The best cheat there is: run by run, it prints what the solution prints,
# and ends as it does; and does nothing else. cheat RECORD prints its source.
cheat() {
    cat >"$1/replay" <<END
cd $1
n=1
set -C
until command : 2>/dev/null >\$n/done; do
    n=\$((n + 1))
done
[ ! -s \$n/out ] || cat \$n/out
[ ! -s \$n/err ] || cat \$n/err >&2
read status <\$n/status
exit \$status
END
    cat <<END
int system(const char *), unsetenv(const char *);
int main(void)
{
    unsetenv("LD_PRELOAD");
    return system("exec sh $1/replay") >> 8;
}
END
}

@test "programs that only print what the solutions print are refused" {
    local file answer record=$BATS_FILE_TMPDIR/record

    if [[ ! -d $record ]]; then         # by the test of the solutions
        solved_course
        EXERCISE_RECORD=$record exercise --tap --from solved
    fi
    for file in "${exercises[@]}"; do
        facts "$file"
        [[ -d $record/$id ]] || continue        # it cannot be checked here
        answer=cheats/$chapter/exercises/$name.c
        mkdir -p "${answer%/*}"
        cheat "$record/$id" >"$answer"
    done
    refused cheats
    cat passed
    [[ ! -s passed ]]
    [[ -e $record/2.2/1/done ]]
}

# ---- The tool ----

@test "the score board has a mark for each, and the status 0 if all are" {
    answer 1.1 mine
    answer 1.2 mine 's/== -1/== 1/'
    exercise --from mine 1
    [[ $status == 1 ]]
    assert_output 'Chapter 1: 1 of 2
  [x] 1.1 first-context    make a context, check it, destroy it
  [ ] 1.2 twice            use the variable of a context again

Next: make exercise-1.2
1 of 2 solved'

    answer 1.2 mine
    exercise --from mine 1
    [[ $status == 0 ]]
    assert_line 'Chapter 1: 2 of 2'
    [[ ${lines[-1]} == '2 of 2 solved' && $output != *Next* ]]
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

Hint 1: "*"
(Another hint: make exercise-2.2 HINT=2)" ]] || same report "$output" ...

    HINT=2 exercise --from mine 2.2
    assert_line 'Hint 2: *'
    assert_line '(Another hint: make exercise-2.2 HINT=3)'
    HINT=9 exercise --from mine 2.2
    assert_line 'Hint 3: *'
    [[ $output != *Another* ]]
    HINT=x run -2 "$root/tests/tools/exercise" --from mine 2.2

    answer 2.2 mine
    exercise --from mine 2.2
    [[ $status == 0 ]]
    [[ ${lines[0]} == '2.2 res-not-res2: solved' ]]
}

@test "what the compiler says is shown as it is" {
    answer 1.2 mine 's/long rounds = 2;/long rounds = 2/'
    exercise --from mine 1.2
    [[ $status == 1 ]]
    [[ ${lines[0]} == '1.2 twice: does not compile: '* ]]
    assert_line '01-setup-destroy/exercises/2-twice.c:[0-9]*: error: *'
    [[ $output != *Hint* ]]
    exercise --from mine --tap 1
    assert_line 'not ok 2 - 1.2 2-twice (does not compile)'

    CFLAGS=-O0
    answer 1.2 mine 's/long rounds = 2;/& int unused;/'
    exercise --from mine 1.2
    [[ $status == 0 && $output == *"'unused'"* ]]
}

# Nothing runs any more in a folder that a check has made here.
nothing_runs() {
    run ! grep "^$PWD/.*scratch\.exercise" \
        <(readlink /proc/[0-9]*/cwd 2>/dev/null)
}

# hangs SOURCE: a program that does that is ended, and said to have been.
hangs() {
    mkdir -p mine/01-setup-destroy/exercises
    printf '#include <unistd.h>\n%s\n' "$1" \
        >mine/01-setup-destroy/exercises/2-twice.c
    EXERCISE_LIMIT=1 AIO_TEST_DIR=$PWD exercise --from mine 1.2
    [[ $status == 1 ]]
    assert_line 'expected: it ends by itself'
    assert_line "got: ${2-stopped: it was still running after 1 seconds}"
}

@test "no check hangs, whatever the program does" {
    hangs 'int main(void) { for (;;) pause(); }'
    hangs 'int main(void)
{
    for (int i = 3; i < 1000; i++) close(i);
    for (;;) pause();
}'
    hangs 'int main(void) { if (fork()) return 0; for (;;) pause(); }'
    nothing_runs
}

@test "no program fills the disk, and none that is killed is right" {
    hangs 'char text[1 << 20];
int main(void) { while (write(1, text, sizeof(text)) > 0); }' \
        'stopped: it had written 64 MiB'
    hangs 'int main(void) { *(volatile int *)0 = 0; }' 'killed by SIGSEGV'
}

@test "a class is marked with a line of TAP for each exercise" {
    answer 1.1 ann
    answer 1.2 ann 's/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    answer 1.2 ben
    for who in ann ben; do
        exercise --tap --from "$who" 1
        [[ $status == 1 && ${lines[0]} == 1..2 ]]
        grep -v '^#' <<<"$output"
    done >marks
    [[ $(<marks) == '1..2
ok 1 - 1.1 1-first-context
not ok 2 - 1.2 2-twice (not solved)
1..2
not ok 1 - 1.1 1-first-context (not here)
ok 2 - 1.2 2-twice' ]] || same marks "$(<marks)" ...
    TAP=1 exercise --from ben 1
    [[ ${lines[0]} == 1..2 ]]
    run -2 "$root/tests/tools/exercise" --from cid 1
    [[ $output == *'cid: there is no such folder' ]]
}

@test "what is no exercise is refused" {
    run -2 "$root/tests/tools/exercise" 1.99
    [[ $output == *"there is no exercise '1.99'; make exercises lists them" ]]
    run -2 "$root/tests/tools/exercise" --what
    [[ $output == Usage:* ]]
}

@test "checks leave no file and no process when they are ended" {
    local pid i

    mkdir -p mine/01-setup-destroy/exercises tmp
    echo '#include <unistd.h>
int main(void) { creat("../../../../begun", 0666); for (;;) pause(); }' \
        >mine/01-setup-destroy/exercises/2-twice.c
    sed -i '1i #include <fcntl.h>' mine/01-setup-destroy/exercises/2-twice.c
    for signal in INT TERM; do
        rm -f begun
        (
            AIO_TEST_DIR=$PWD/tmp exec env --default-signal=INT \
                "$root/tests/tools/exercise" --from mine 1.2 >out 2>&1 3>&-
        ) &
        pid=$!
        for ((i = 0; i < 200; i++)); do
            [[ ! -e begun ]] || break
            sleep 0.05
        done
        kill "-$signal" "$pid"
        status=0
        wait "$pid" || status=$?
        [[ $status -gt 128 && -e begun ]]
        [[ -z $(ls tmp) ]]
        nothing_runs
    done
}

# ---- The handout ----

@test "make handout leaves out the solutions, and nothing else" {
    "$root/tests/tools/handout" class || skip "starters have been edited"
    [[ -z $(find class -path '*solutions*' -o -name exercises.bats) ]]
    run ! grep -lr '^wrong=' class/tests/exercises
    run ! grep '^>' <(diff -r "$root/tests/exercises" class/tests/exercises)
    {
        for file in "$root"/0* "$root"/{README.md,Makefile,.gitignore}; do
            diff -rq -x solutions "$file" "class/${file##*/}" || true
        done
        diff -rq -x 'exercises*' -x '.scratch.*' -x .built-with -x '*.so' \
            "$root/tests" class/tests || true
    } | sed "s|^Only in $root/\(.*\): \(.*\)|\1/\2|" >left
    while read -r file; do
        [[ -e $root/$file.c ]] || echo "$file"  # was built
    done <left >wrong
    cat wrong
    [[ ! -s wrong ]]
    [[ -x class/tests/run && ! -e class/01-setup-destroy/setup-destroy ]]
    "$root/tests/tools/links" class/TUTORIAL.md class/README.md

    # It works as it is: make exercise-N.K, with what make has built here.
    cp "$root"/tests/helpers/*.so class/tests/helpers
    answer 1.2 class
    run -0 make -s -C class -o all exercise-1.2
    assert_output '1.2 twice: solved'
    [[ -x class/01-setup-destroy/exercises/2-twice ]]
    answer 1.2 class 's/== -1/== 1/'
    run -2 make -s -C class -o all exercise-1.2 HINT=2
    assert_line 'Hint 2: *'
    run -2 make -s -C class -o all TAP=1 exercise-1.2
    assert_line 'not ok 1 - 1.2 2-twice (not solved)'

    # A teacher's own answers are not handed out.
    mkdir class/tests/.scratch.mine
    run -1 class/tests/tools/handout class/handout
    [[ $output == *'have been edited: 1.2'* && ! -e class/handout ]]
}

@test "make handout overwrites nothing" {
    mkdir class
    run -1 "$root/tests/tools/handout" class
    [[ $output == *'class is there already'*HANDOUT=dir ]]
    run -1 "$root/tests/tools/handout" no/such/folder
    [[ $output == *'no/such/folder: the folder cannot be made' ]]
    [[ -z $(ls class) ]]
}

# ---- The late disk ----

@test "the chapters' programs do not mind a disk that takes its time" {
    local program

    for program in 02-single-write/single-write 03-batch-submit/batch-submit \
        04-odirect/odirect 05-eventfd/eventfd 06-vectored/vectored; do
        LD_PRELOAD=$root/tests/helpers/late.so timeout 20 \
            "$root/$program" demo.dat >out
    done
    LD_PRELOAD=$root/tests/helpers/late.so timeout 20 \
        "$root/06-vectored/aio-copy" "$root/TUTORIAL.md" copy >out
    cmp copy "$root/TUTORIAL.md"
}
