# make and what it calls: the build, the tests' runner, the tour, the doctor.
# seconds: 6
#
# Each test has a process of its own, and variables of its own:
# shellcheck disable=SC2030,SC2031

load ../helpers/common

# Runs a command as it would be run in the little course, by a user whose
# environment holds nothing of this test.
in_course() {
    env -u MAKEFLAGS -u MAKELEVEL -u AIO_TEST_DIR -u AIO_TEST_RUN \
        -u CFLAGS -u CPPFLAGS -u LDFLAGS -u V -u WERROR -C course "$@"
}

# A little course with two real programs.
little_course() {
    mkdir -p course/01-setup-destroy course/02-single-write course/tests
    cp "$root/Makefile" "$root/.gitignore" course
    cp -r "$root/tests/run" "$root/tests/tools" course/tests
    cp "$root/01-setup-destroy/setup-destroy.c" course/01-setup-destroy
    cp "$root/02-single-write/single-write.c" course/02-single-write
}

# A script in the current folder, from standard input: script NAME
script() {
    { echo '#!/usr/bin/env bash'; cat; } >"$1"
    chmod +x "$1"
}

# ---- make ----

@test "make builds each program beside its source and says nothing" {
    little_course
    run -0 --separate-stderr in_course make
    assert_output ""
    assert_stderr ""
    course/01-setup-destroy/setup-destroy >out
    course/02-single-write/single-write demo.txt >out
    [[ $(<demo.txt) == 'Hello, asynchronous world!' ]]
}

@test "make builds again what has changed, and with other flags everything" {
    little_course
    in_course make CFLAGS=-O0
    run -0 in_course make V=1 CFLAGS=-O0
    assert_output ""

    touch course/02-single-write/single-write.c
    run -0 in_course make V=1 CFLAGS=-O0
    [[ ${#lines[@]} == 1 ]]
    [[ ${lines[0]} == *' 02-single-write/single-write.c '* ]]

    run -0 in_course make V=1 CFLAGS='-O0 -DX="a b"'
    [[ ${#lines[@]} == 2 && $output == *'-DX="a b"'* ]]
    run -0 in_course make CFLAGS='-O0 -DX="a b"' V=1
    assert_output ""
}

@test "make shows warnings, and WERROR=1 makes errors of them" {
    little_course
    echo 'int main(int argc, char **argv) { return 0; }' \
        >course/02-single-write/single-write.c
    run -0 in_course make
    [[ $output == *argc* ]]
    run ! in_course make WERROR=1
    [[ $output == *argc* ]]
}

@test "make says so where nothing can be written" {
    little_course
    mkdir course/tests/.built-with
    run -2 --separate-stderr in_course make
    [[ ${stderr%%$'\n'*} == "make: nothing can be written in "*"/course: "* ]]
}

@test "make works in a folder with a blank in its name" {
    mkdir 'a folder'
    cd 'a folder'
    little_course
    run -0 in_course make
    assert_output ""
    [[ -x course/02-single-write/single-write ]]
}

@test "make leaves out the libaio program where there is no libaio" {
    little_course
    mkdir course/03-batch-submit
    echo '#include <libaio.h>' >course/03-batch-submit/batch-submit-libaio.c
    script cc-without-libaio <<'END'
[[ "$*" != *libaio* ]] || exit 1
exec ${REAL_CC:-cc} "$@"
END
    REAL_CC=$CC run -0 in_course make CC="$PWD/cc-without-libaio"
    assert_output "03-batch-submit/batch-submit-libaio.c is left out:\
 there is no libaio"
}

@test "make says what to install where there is no compiler" {
    little_course
    run -2 in_course make CC=no-such-compiler
    [[ ${#lines[@]} == 1 && $output == *"'no-such-compiler' is no working"* ]]
    [[ $output == *libc6-dev* ]]
}

# A compiler that finds the kernel's headers if its arguments match $1.
blind_compiler() {
    script blind-cc <<END
if [[ "\$*" == *linux/aio_abi.h* && "\$*" != $1 ]]; then
    exit 1
fi
exec \${REAL_CC:-cc} "\$@"
END
}

@test "make says what to install where the kernel's headers are missing" {
    little_course
    blind_compiler 'nothing'
    REAL_CC=$CC run -2 in_course make CC="$PWD/blind-cc"
    [[ ${#lines[@]} == 1 && $output == *'finds no <linux/aio_abi.h>'* ]]
    [[ $output == *linux-libc-dev*linux-headers*kernel-headers* ]]
}

@test "make shows the kernel's headers to a compiler that looks elsewhere" {
    little_course
    blind_compiler '*-idirafter*'
    REAL_CC=$CC run -0 in_course make V=1 CC="$PWD/blind-cc"
    [[ ${lines[0]} == *' -idirafter /usr/include '* ]]
    [[ -x course/02-single-write/single-write ]]
}

@test "make clean removes all that was built or left over, and no more" {
    local before after

    little_course
    mkdir -p course/class/ann course/demo-class
    touch course/class/ann/demo.txt course/demo-class/1.c course/demo.c
    before=$(find course | sort)
    in_course make CFLAGS=-O0
    mkdir -p course/tests/.scratch.old
    touch course/demo.txt course/demo course/tests/.scratch.old/file
    in_course make clean
    after=$(find course | sort)
    same 'what is there' "$after" "$before"
}

@test "make help has a line for every target" {
    local target

    # Some are only steps on the way.
    run -0 make -s -C "$root" help
    sed -n '/^\.PHONY:/,/[^\\]$/{s/.*: //;s/\\//;p}' "$root/Makefile" |
        xargs -n 1 | grep -vx 'programs\|left-out\|FORCE' >targets
    while read -r target; do
        assert_line "  make $target  *"
    done <targets
    assert_line '  make exercise-%  *'
}

@test "what make help lists is there" {
    local tool

    for tool in $(grep -o '@tests/[a-z/]*' "$root/Makefile" | tr -d @); do
        [[ -x $root/$tool ]] || { echo "no $tool"; return 1; }
    done
}

@test "make test runs the tests of one chapter with CHAPTER=3" {
    run -0 make -s -C "$root" -n test CHAPTER=3 -o all
    [[ ${lines[-1]} == 'tests/run 3' ]]
}

# ---- tests/run ----

# tests NAME: a file of tests, from standard input. There "it" is for "@test",
# which bats would take for one of this file.
tests() { sed 's/^it /@test /' >"course/tests/$1.bats"; }

# A course with three files of tests.
tested_course() {
    mkdir -p course/tests/helpers
    cp "$root/tests/run" course/tests
    cp "$root/tests/helpers/plain.bash" course/tests/helpers
    tests 01-one <<'END'
it "the first" { sleep 0.3; }
it "the second" { skip "no such thing"; }
END
    tests 02-two <<'END'
it "the third # here" { :; }
END
    tests style <<'END'
# seconds: 7
it "the fourth" { echo "in $AIO_TEST_DIR"; false; }
it "the fifth" { :; }
END
}

@test "tests/run prints each result when it is known, and sums them up" {
    tested_course
    # The long first file: its results come as its tests end, not at its end.
    tests 01-one <<'END'
# seconds: 9
it "the first" { sleep 0.5; touch "$AIO_TEST_DIR/first"; }
it "the second" { skip "no such thing"; }
END
    tests 02-two <<'END'
it "the third # here" {
    until [[ -e $AIO_TEST_DIR/first ]]; do sleep 0.1; done
}
END
    run -1 in_course tests/run
    same "the plan" "${lines[0]}" 1..5
    same "the sum" "${lines[-1]}" '3 passed, 1 failed, 1 skipped'
    [[ $output == *"ok "?" the fourth
# "*"
# in $PWD/course/tests/.scratch.run."*"
ok "?" the fifth
"* ]] || same output "$output" '(see the test)'
    [[ $output == *"ok "?" the first
"*"ok "?" the second # skip no such thing
"* && $output == *"ok "?" the first
"*"ok "?" the third # here
"* ]] || same output "$output" '(see the test)'
    same "numbers" "$(grep -oE 'ok [0-9]' <<<"$output" | sort -k 2n)" \
        $'ok 1\nok 2\nok 3\nok 4\nok 5'
    run -0 ls -A course/tests
    assert_output "01-one.bats
02-two.bats
helpers
run
style.bats"
}

@test "tests/run goes by a path that LD_PRELOAD can hold, and removes it" {
    local blank='a folder: $'

    mkdir tmp "$blank"
    cd "$blank"
    tested_course
    tests 02-two <<'END'
it "the third" { [[ $BATS_TEST_DIRNAME == */course/tests && \
    $BATS_TEST_DIRNAME$AIO_TEST_DIR != *[[:space:]:\$]* ]]; }
END
    TMPDIR=$scratch/tmp run -0 in_course tests/run 2
    assert_output "1..1
ok 1 the third
1 passed, 0 failed, 0 skipped"
    run -0 ls -A "$scratch/tmp"
    assert_output ""
}

@test "tests/run runs the chapters and files that it is given" {
    tested_course
    run -0 in_course tests/run 2
    assert_output "1..1
ok 1 the third # here
1 passed, 0 failed, 0 skipped"
    run -0 in_course tests/run 02
    [[ ${lines[-1]} == '1 passed, 0 failed, 0 skipped' ]]
    run -1 in_course tests/run style
    [[ ${lines[-1]} == '1 passed, 1 failed, 0 skipped' ]]
    run -2 in_course tests/run 08
    [[ ${lines[0]} == "tests/run: there are no tests named '08'" ]]
}

@test "tests/run fails if nothing was tested" {
    tested_course
    tests 02-two <<<'it "none" { skip "for no reason"; }'
    run -1 in_course tests/run 2
    [[ ${lines[-1]} == '0 passed, 0 failed, 1 skipped' ]]
}

@test "tests/run counts a file that ends early as a failure" {
    tested_course
    echo 'if then' >>course/tests/02-two.bats
    run -1 in_course tests/run 2
    [[ ${lines[-1]} == '0 passed, 1 failed, 0 skipped' ]]

    # Here bats itself dies, in its first test.
    tests 02-two <<'END'
it "the third" { :; }
it "the fourth" { kill -KILL 0; }
it "the fifth" { :; }
END
    run -1 in_course tests/run 2
    [[ ${lines[-1]} == '1 passed, 1 failed, 0 skipped' ]]
    [[ ${lines[-2]} == *'ended in or before: @test "the fourth"'* ]]
}

@test "tests/run says how to get bats where it is missing or too old" {
    local name

    tested_course
    mkdir bin
    for name in bash dirname basename env; do
        ln -s "$(command -v "$name")" bin
    done
    PATH=$PWD/bin run -1 in_course tests/run
    [[ ${#lines[@]} == 1 ]]
    [[ $output == *'bats is missing: sudo apt-get install'* ]]
    echo 'echo Bats 1.6.9' | script bin/bats
    PATH=$PWD/bin run -1 in_course tests/run
    [[ ${#lines[@]} == 1 ]]
    [[ $output == *'bats 1.6.9 is too old, 1.7 is needed: '*npm* ]]
}

@test "a test that fails names its file, its line and its command" {
    tested_course
    cp "$root/tests/helpers/common.bash" course/tests/helpers
    tests 01-one <<'END'
load helpers/common
is() { [[ $1 == "$2" ]]; }
it "in the test" {
    [[ a == b ]] || { echo why; return 1; }
}
it "in a helper" {
    is a b
}
it "no command" {
    text=$(</no/such/file)
}
END
    run -1 in_course tests/run 1
    same "what is said" "$(grep -v '^# \(why$\|/\)' <<<"$output")" "1..3
not ok 1 in the test
# (in test file tests/01-one.bats, line 4)
#   \`[[ a == b ]] || { echo why; return 1; }' failed
not ok 2 in a helper
# (from function \`is' in file tests/01-one.bats, line 2,
#  in test file tests/01-one.bats, line 7)
#   \`is a b' failed
not ok 3 no command
# (in test file tests/01-one.bats, line 10)
#   \`text=\$(</no/such/file)' failed
0 passed, 3 failed, 0 skipped"
}

# cause TEXT COMMAND...: tests/run says that, in one line, and runs no test.
cause() {
    run -1 in_course "${@:2}"
    # shellcheck disable=SC2053 # a pattern on purpose
    [[ ${#lines[@]} == 1 && $output == "tests/run: "$1 ]] ||
        same "what tests/run says" "$output" "tests/run: $1"
}

@test "tests/run names the one cause for which dozens of tests would fail" {
    tested_course
    mkdir bin course/01-setup-destroy
    TMPDIR=$PWD/none cause "no files can be made in $PWD/none: set TMPDIR *" \
        tests/run
    cause 'only 100 files may be open, the tests need 128: ulimit -n' \
        prlimit --nofile=100 tests/run
    cause 'no file may have more than 1024 KiB, the tests need 4 GiB: *' \
        prlimit --fsize=1048576 tests/run
    echo 'echo "none 99 99 99999 9% /"' | script bin/df
    PATH=$PWD/bin:$PATH \
        cause 'tests has room for 97 MB, the tests need 300; *' tests/run
    echo 'echo setup-destroy: io_setup: Function not implemented >&2; exit 1' |
        script course/01-setup-destroy/setup-destroy
    cause 'this system lets nobody use Linux AIO now: *implemented; "make do*' \
        tests/run
}

@test "tests/run leaves no file and no process when it is ended" {
    local signal pid

    tested_course
    tests 01-one <<'END'
it "begun" { touch "$AIO_TEST_DIR/file"; echo >"$BEGUN"; sleep 51.7; }
END
    mkfifo begun
    for signal in INT TERM; do
        (
            cd course || exit
            BEGUN=$scratch/begun exec env -u AIO_TEST_DIR --default-signal=INT \
                tests/run 1 >out 2>&1 3>&-
        ) &
        pid=$!
        read -r -t 20 <>begun
        kill "-$signal" "$pid"
        status=0
        wait "$pid" || status=$?
        [[ $status -gt 128 ]]
        run ! ls -d course/tests/.scratch.*
        run ! grep -ls '51\.7' /proc/[0-9]*/cmdline
    done
}

# ---- make run ----

# A course whose programs are scripts: program NAME [SCRIPT]
program_of_course() {
    mkdir -p "course/${1%/*}"
    printf '/*\n * %s.c - about it\n *\n * Writes FILE.\n *\n' "${1##*/}" \
        >"course/$1.c"
    printf ' * Usage:  ./%s FILE\n */\n' "${1##*/}" >>"course/$1.c"
    # shellcheck disable=SC2016 # for the script
    printf '%s\n' "${2:-printf '%s\n' "\"${1##*/}: \$*\""}" |
        script "course/$1"
}

touring_course() {
    mkdir -p course/tests
    cp -r "$root/tests/tools" course/tests
    echo text >course/TUTORIAL.md
    program_of_course 01-setup-destroy/setup-destroy
    program_of_course 02-single-write/single-write
    # shellcheck disable=SC2016 # for the script
    program_of_course 06-vectored/aio-copy 'cp "$1" "$2"'
}

@test "make run calls the programs as it shows, from a folder of its own" {
    touring_course
    run -0 --separate-stderr in_course tests/tools/tour
    assert_output 'Chapter 1: about it
Writes FILE.
$ 01-setup-destroy/setup-destroy demo.txt
setup-destroy: demo.txt

Chapter 2: about it
Writes FILE.
$ 02-single-write/single-write demo.txt
single-write: demo.txt

The finale: all of it in one program
Writes FILE.
$ 06-vectored/aio-copy TUTORIAL.md demo-copy-of-TUTORIAL.md
cmp: TUTORIAL.md and its copy are the same, byte for byte

That was the tour. TUTORIAL.md says how it is done, step by step.'
    assert_stderr ""
}

@test "make run FILE=path copies that file, wherever it is" {
    touring_course
    echo mine >-my\ file
    run -0 in_course tests/tools/tour "$PWD/-my file"
    assert_line '$ 06-vectored/aio-copy ./-my file demo-copy-of--my file'
    assert_line '*are the same, byte for byte'
    run -0 in_course tests/tools/tour '../-my file'
    run -1 in_course tests/tools/tour ..
    [[ $output == *'/..: only a regular file is copied' ]]
    run -1 in_course tests/tools/tour nothing
    [[ $output == *'/nothing: there is no such file to copy' ]]
}

@test "make run FILE=path takes the name as it is, quotes and dollars too" {
    local name="it's \"\$(a) \$b\".txt"

    touring_course
    cp "$root/Makefile" course
    echo mine >"course/$name"
    run -0 in_course make -s -o programs run "FILE=$name"
    assert_line "$ 06-vectored/aio-copy $name demo-copy-of-$name"
    FILE=$name run -0 in_course make -s -o programs run
    assert_line '*are the same, byte for byte'
}

@test "what the user's shell is used to does not change the commands" {
    touring_course
    mkdir tests
    export CDPATH=.:$PWD POSIXLY_CORRECT=1
    run -0 in_course tests/tools/tour
    [[ ${lines[0]} == 'Chapter 1: about it' ]]
    same "the last line" "${lines[-1]}" \
        'That was the tour. TUTORIAL.md says how it is done, step by step.'
    run -0 "$root/tests/tools/exercise" --edited
    [[ $output != *tests* ]]
    tested_course
    run -0 in_course tests/run 2
    same "the last line" "${lines[-1]}" '1 passed, 0 failed, 0 skipped'
}

@test "make run ends at the first program that fails, and names the doctor" {
    touring_course
    program_of_course 02-single-write/single-write 'echo why >&2; exit 1'
    run -1 --separate-stderr in_course tests/tools/tour
    [[ $stderr == 'why
make run: single-write failed (status 1).
"make doctor" '* ]] || same stderr "$stderr" 'why...'
    run ! ls -d course/tests/.scratch.*
    [[ $output != *aio-copy* ]]
}

@test "make run says so if the copy differs" {
    touring_course
    # shellcheck disable=SC2016 # for the script
    program_of_course 06-vectored/aio-copy 'echo other >"$2"'
    run -1 in_course tests/tools/tour
    [[ ${lines[-1]} == 'make run: TUTORIAL.md and its copy differ' ]]
}

@test "make run begins friendly where there is no AIO" {
    touring_course
    program_of_course 01-setup-destroy/setup-destroy \
        'echo "setup-destroy: io_setup: Function not implemented" >&2; exit 1'
    run -1 in_course tests/tools/tour
    [[ ${lines[0]} == 'The tour cannot start: this system lets nobody use '* ]]
    [[ ${lines[1]} == *'"make doctor"'* ]]
    [[ ${lines[2]} == 'setup-destroy: io_setup: Function not implemented' ]]
}

@test "make run leaves nothing behind when it is ended" {
    local signal pid

    touring_course
    mkfifo begun
    program_of_course 02-single-write/single-write \
        'echo >../../../begun; sleep 0.1'
    for signal in INT TERM; do
        (
            cd course || exit
            exec env -u AIO_TEST_DIR --default-signal=INT \
                tests/tools/tour >out 2>&1 3>&-
        ) &
        pid=$!
        read -r -t 20 <>begun
        kill "-$signal" "$pid"
        status=0
        wait "$pid" || status=$?
        [[ $status -gt 128 ]]
        run ! ls -d course/tests/.scratch.*
    done
}
