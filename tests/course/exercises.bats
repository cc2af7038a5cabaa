# The judge: wrong answers are refused, and no program brings the tool to
# harm. Then the score board, a class, the handout.
# seconds: 60
#
# Each test has a process of its own, and variables of its own:
# shellcheck disable=SC2030,SC2031

load ../helpers/common
load ../helpers/answers

# refused DIR [CHAPTER]: no answer in it passes, and none for being no program
# at all. What does is noted in ./passed; and reports in which the check itself
# has failed, or whose command is too wide to read.
refused() {
    CFLAGS='-O0 -w' EXERCISE_LIMIT=2 "$root/tests/tools/exercise" --tap \
        --from "$1" "${2:-all}" >tap 2>err || true
    [[ -s tap && ! -s err ]]
    sed -n "/^ok [^#]*$/s|^|$1: |p; /does not compile/s|^|$1: |p
        /\.bash: line [0-9]/s|^|$1: |p
        /^# .\{81\}/{ /AIO_[A-Z]*=/s|^|$1: |p; }" tap >>passed
}

# The chapter that the test is called after.
wrong_answers_are_refused() {
    local file i answer number=${BATS_TEST_DESCRIPTION##* }

    for file in "$root/tests/exercises/$number".*.bash; do
        facts "$file"
        for i in "${!wrong[@]}"; do
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
        refused "$i" "$number"
    done
    cat passed
    [[ ! -s passed ]]
}

@test "wrong answers are refused, chapter 1" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 2" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 3" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 4" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 5" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 6" {
    wrong_answers_are_refused
}

@test "wrong answers are refused, chapter 7" {
    wrong_answers_are_refused
}

@test "other right answers than the solution are accepted" {
    local file i answer of_file

    for file in "${exercises[@]}"; do
        facts "$file"
        of_file=$root/$chapter/solutions/$name.c
        for i in "${!right[@]}"; do
            answer=right.$i/$chapter/exercises/$name.c
            [[ -d ${answer%/*} ]] || mkdir -p "${answer%/*}"
            sed "${right[i]#*|}" "$of_file" >"$answer"
            [[ $(<"$answer") != "$(<"$of_file")" ]] ||
                echo "$id: nothing is other: ${right[i]%%|*}"
        done
    done >refused
    for i in right.*; do
        CFLAGS='-O0 -w' "$root/tests/tools/exercise" --tap --from "$i" >tap ||
            true
        awk -v which="$i" '
        /^not ok/ { show = !/[(]not here[)]$/ }
        /^ok/ { show = 0 }
        show { print which ": " $0 }' tap >>refused
    done
    cat refused
    [[ ! -s refused ]]
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
    local file answer record=$BATS_TEST_TMPDIR/record

    solved_course
    EXERCISE_RECORD=$record exercise --tap --from solved
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

# ---- The starters and the solutions ----

# A learner's own copy of the course may be tested as well: what has been
# edited there is left out. As long as git knows the file so, nobody has.
@test "each starter compiles with no warning, and fails for its reason" {
    local file text edited touched=()

    edited=" $("$root/tests/tools/exercise" --edited | tr '\n' ' ')"
    run --separate-stderr "$root/tests/tools/exercise" --tap
    [[ -z $stderr && -n $output ]]
    awk '/^(not )?ok / { id = $1 == "ok" ? $4 : $5 }
        id { print >id }' <<<"$output"
    for file in "${exercises[@]}"; do
        facts "$file"
        text=$(<"$id")
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
    exercise --tap --from solved
    [[ $status == 0 && ${#lines[@]} == $((${#exercises[@]} + 1)) ]] ||
        same report "$output" 'ok for each'
}

# ---- The tool ----

@test "the score board has a mark for each, and says which one is next" {
    answer 1.1 mine
    answer 1.2 mine 's/== -1/== 1/'
    exercise --from mine 1
    [[ $status == 0 ]]
    assert_line 'Chapter 1'
    assert_line '  [[]x[]] 1.1 first-context     make a context*'
    assert_line '  [[] []] 1.2 twice  * (edited, not solved yet)'
    assert_line '1 of [2-5] solved'
    [[ ${lines[-1]} == 'Next: make exercise-1.2' ]]
}

@test "the score board shows each result when it is known, in their order" {
    local line

    mkdir -p mine/01-setup-destroy/exercises
    answer 1.1 mine
    echo 'int pause(void); int main(void) { return pause(); }' \
        >mine/01-setup-destroy/exercises/2-twice.c
    mkfifo board
    EXERCISE_LIMIT=4 "$root/tests/tools/exercise" --from mine 1 >board 3>&- &
    SECONDS=0
    {
        read -r line && read -r line
        [[ $line == '[x] 1.1 '* && $SECONDS -lt 3 ]]
        cat >/dev/null
    } <board
    wait $!
}

@test "a starter that nobody has touched is not tried: the board is at once" {
    [[ -z $("$root/tests/tools/exercise" --edited) ]] ||
        skip "starters have been edited"
    PATH=$PWD:$PATH CC='false' exercise
    [[ $status == 0 && $output != *compile* && $output != *edited* ]]
    [[ ${lines[-1]} == 'Next: make exercise-1.1' ]]
}

@test "after an exercise: what to compare it with, and which one is next" {
    answer 1.1 mine
    exercise --from mine 1.1
    [[ $status == 0 && ${lines[0]} == '1.1 first-context: solved' ]]
    assert_line 'Notice: errno is kept *'
    assert_line 'Compare: diff 01-setup-destroy/exercises/1-first-context.c *'
    [[ ${lines[-1]} == 'Next: make exercise-1.2' ]]
    answer 7.5 mine
    exercise --from mine 7.5
    [[ $status == 0 ]]
    [[ ${lines[-1]} == 'Next: make exercises shows what is left' ]]
}

@test "reset brings the starter back and keeps the answer; watch looks again" {
    "$root/tests/tools/handout" class >/dev/null ||
        skip "starters have been edited"
    cp "$root"/tests/helpers/*.so class/tests/helpers
    local file=class/01-setup-destroy/exercises/2-twice.c

    run -0 class/tests/tools/exercise --reset 1.2
    [[ $output == *'2-twice.c: nobody has changed it' ]]
    answer 1.2 class
    (cd class && exec setsid tests/tools/exercise --watch 1.2) >seen 3>&- &
    for ((i = 0; i < 200; i++)); do
        ! grep -q '^Waiting for a change' seen || break
        sleep 0.05
    done
    for answer in mine.1 mine.2; do
        answer 1.2 class "1s/\$/ $answer/"
        run -0 class/tests/tools/exercise --reset 1.2
        [[ $output == *"; yours is kept as "*"/2-twice.$answer" ]]
        cmp "$file" "$root/01-setup-destroy/exercises/2-twice.c"
        grep -q " $answer\$" "${file%.c}.$answer"
    done
    for ((i = 0; i < 200; i++)); do
        ! grep -q '^1.2 twice: not solved' seen || break
        sleep 0.05
    done
    kill -- "-$!"
    grep -q '^1.2 twice: solved' seen
    grep -q '^1.2 twice: not solved' seen
    run -2 class/tests/tools/exercise --reset 1
    run -2 class/tests/tools/exercise --watch
}

@test "make exercise-1.2 works in the chapter's and the exercises' folder" {
    for folder in 01-setup-destroy 01-setup-destroy/exercises; do
        run make -s -C "$root/$folder" -n -o all exercise-1.2
        assert_line '*tests/tools/exercise 1.2'
        run make -s -C "$root/$folder" -n -o all exercises-1
        assert_line '*tests/tools/exercise 1'
    done
}

@test "the hint is the one for what has gone wrong; HINT=1 shows the first" {
    answer 1.1 mine 's/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    exercise --from mine 1.1
    assert_line 'The context cannot be destroyed:'
    assert_line 'Hint 2: Both calls return -1 *'
    assert_line '(Another hint: make exercise-1.1 HINT=3)'
    HINT=1 exercise --from mine 1.1
    assert_line 'Hint 1: Copy the wrappers *'
    answer 1.2 mine 's/io_setup(8, &ctx) == -1/io_setup(8, \&ctx) == 1/'
    exercise --from mine 1.2
    assert_line 'No context is left in the second round:'
    [[ ${lines[-1]} == '(A hint: make exercise-1.2 HINT=1)' ]]
}

@test "where calls or requests are judged, the command shows each of them" {
    answer 1.2 mine 's/if (io_destroy/if (round == 1 \&\& io_destroy/'
    exercise --from mine 1.2
    assert_line '    AIO_TRACE=/dev/stderr LD_PRELOAD=tests/helpers/fault.so *'
    assert_line 'expected: calls of io_destroy: 2'
    answer 2.3 mine 's/= IOCB_CMD_FDSYNC/= IOCB_CMD_FSYNC/'
    exercise --from mine 2.3
    assert_line '    AIO_TRACE=/dev/stderr LD_PRELOAD=tests/helpers/fault.so *'
    assert_line '    submit FSYNC:0:0'
    assert_line '    fsync .'
}

@test "a fault of io_getevents meets io_pgetevents, too, and the command says so" {
    answer 2.1 mine '
        s/SYS_io_getevents\(.*\) timeout/SYS_io_pgetevents\1 timeout, NULL/
        s/errno = -event.res/errno = event.res/'
    exercise --from mine 2.1
    assert_line "    AIO_FAULT='io_pgetevents@1=res=-ENODEV' *"
    assert_line '    1-read-one: *'
}

@test "no check has a function of a name that the library has, too" {
    sed -n '/^check() /d; s/^\([a-z_]*\)() .*/\1/p' \
        "$root"/tests/exercises/[0-9]*.bash | sort -u >theirs
    sed -n 's/^\([a-z_]*\)() .*/\1/p' "$root/tests/exercises/library.bash" \
        "$root/tests/tools/exercise" | sort -u >ours
    [[ -s theirs && -s ours ]]
    same functions "$(comm -12 theirs ours)" ''
}

@test "of a long output the report has the first line that is wrong" {
    answer 4.5 mine '/^    memcpy(pages\[page\] + NOTE/d'
    exercise --from mine 4.5
    [[ $output != *'cannot be checked here'* ]] || skip "${lines[0]}"
    assert_line 'expected: line 10 of 16 on stdout'
    assert_line '    round 2: page 1: version 2, note of round 1'
    assert_line '    round 2: page 1: version 2, no note'
    assert_line 'Hint 2: *'
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

    export CFLAGS=-O0
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
    assert_line "    ${3-strace -f -p *pgrep*2-twice)}"
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
    hangs 'int main(void) { *(volatile int *)0 = 0; }' 'killed by SIGSEGV' \
        'cc -g -fsanitize=address,undefined *2-twice.c'
    [[ $output != *'Segmentation fault'* ]]
}

@test "a class is marked with a line of TAP for each exercise" {
    answer 1.1 ann
    answer 1.2 ann 's/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    answer 1.2 ben
    for who in ann ben; do
        exercise --tap --from "$who" 1
        [[ $status == 1 && ${lines[0]} == 1..3 ]]
        grep -v '^#' <<<"$output"
    done >marks
    [[ $(<marks) == '1..3
ok 1 - 1.1 1-first-context
not ok 2 - 1.2 2-twice (not solved)
not ok 3 - 1.3 3-per-thread (not here)
1..3
not ok 1 - 1.1 1-first-context (not here)
ok 2 - 1.2 2-twice
not ok 3 - 1.3 3-per-thread (not here)' ]] || same marks "$(<marks)" ...
    TAP=1 exercise --from ben 1
    [[ ${lines[0]} == 1..3 ]]
    run -2 "$root/tests/tools/exercise" --from cid 1
    [[ $output == *'cid: there is no such folder' ]]
}

@test "a class is marked as a table, with a line for each folder" {
    answer 1.1 class/ann
    answer 1.2 class/ann 's/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    answer 1.2 'class/Ben, "B."'
    mkdir -p class/cid/01-setup-destroy/exercises
    cp "$root"/01-setup-destroy/exercises/1-*.c \
        class/cid/01-setup-destroy/exercises
    echo 'int main(void) {' >class/cid/01-setup-destroy/exercises/2-twice.c
    run "$root/tests/tools/exercise" --class class 1 2>/dev/null
    [[ $status == 0 && ${#lines[@]} == 4 ]]
    [[ ${lines[0]} == 'name,1.1,1.2,'*'solved' ]]
    assert_line '"Ben, ""B.""",not here,solved,*1'
    assert_line 'ann,solved,not solved,*1'
    [[ $("$root/tests/tools/exercise" --edited 1.1) ]] ||
        assert_line 'cid,untouched,does not compile,*0'
    run -2 "$root/tests/tools/exercise" --class none 1
    [[ $output == *'none: there is no such folder' ]]
    mkdir empty
    run -2 "$root/tests/tools/exercise" --class empty 1
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
    "$root/tests/maintain/links" class/{TUTORIAL,README,0*/README}.md

    # It works as it is: make exercise-N.K, with what make has built here.
    cp "$root"/tests/helpers/*.so class/tests/helpers
    answer 1.2 class
    run -0 make -s -C class -o all exercise-1.2
    assert_output $'1.2 twice: solved\nNext: make exercise-1.3'
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
