# What a newcomer calls first: make run and make doctor. The other commands,
# and all that can go wrong with them, are in course/commands.bats.

load helpers/common

@test "make run shows each chapter's program, and copies a file in the end" {
    AIO_TEST_DIR=$PWD run -0 "$root/tests/tools/tour"
    for chapter in 1 2 3 4 5 6 7; do
        assert_line "Chapter $chapter: *"
    done
    for program in "$root"/0*/; do
        program=$(basename "$program")
        assert_line "\$ $program/${program#*-}*"
    done
    assert_line '$ 06-vectored/aio-copy TUTORIAL.md demo-copy-of-TUTORIAL.md'
    assert_line \
        'cmp: TUTORIAL.md and its copy are the same, byte for byte'
    [[ -z $(ls -A) ]]
}

@test "make doctor finds all that the course needs" {
    run -0 --separate-stderr "$root/tests/tools/doctor"
    assert_line 'ok  kernel: Linux [4-9]*'
    assert_line 'ok  compiler: *'
    assert_line 'ok  make: *'
    assert_line 'ok  AIO: each of its six calls answers'
    assert_line '??  aio-max-nr: * of * events are in use'
    assert_line '??  this folder: * asynchronous there'
    assert_line 'ok  bats: *'
    assert_line 'The course runs here.'
    run ! ls -d "$root"/tests/.scratch.doctor.*
}
