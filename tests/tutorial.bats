# The documents are true: every page, each of its code blocks, each command
# and each link. That the tool which says so would notice if they were not is
# in course/docs.bats.
# seconds: 4

# shellcheck disable=SC2016,SC2154 # $ is meant; common.bash sets root
load helpers/common

pages=("$root"/{README,TUTORIAL,CONTRIBUTING,0*/README,tests/README}.md)

# All pages are checked side by side; each test then looks at one of them.
setup_file() {
    local pages

    cd "$root" || return
    pages=({README,TUTORIAL,CONTRIBUTING,0*/README,tests/README}.md)
    # shellcheck disable=SC2016 # for the inner shell
    printf '%s\n' "${pages[@]}" | xargs -P 3 -I PAGE sh -c '
        said=$BATS_FILE_TMPDIR/$(echo "$1" | tr / -)
        tests/maintain/docs check "$1" >"$said" 2>&1 3>&- ||
            echo failed >>"$said"
        ' - PAGE
}

# The page that the test is called after.
this_page_is_true() {
    local page=${BATS_TEST_DESCRIPTION#* of }

    page=${page%% is *}
    same "what docs check says" "$(<"$BATS_FILE_TMPDIR/${page//\//-}")" ""
}

@test "every block and every link of README.md is true" {
    this_page_is_true
}

@test "every block and every link of TUTORIAL.md is true" {
    this_page_is_true
}

@test "every block and every link of 01-setup-destroy/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 02-single-write/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 03-batch-submit/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 04-odirect/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 05-eventfd/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 06-vectored/README.md is true" {
    this_page_is_true
}

@test "every block and every link of 07-posix-aio/README.md is true" {
    this_page_is_true
}

@test "every block and every link of CONTRIBUTING.md is true" {
    this_page_is_true
}

@test "every block and every link of tests/README.md is true" {
    this_page_is_true
}

@test "each page has such a test, and each chapter a page" {
    local page folders=("$root"/0*/)

    same "the number of pages" "${#pages[@]}" $((${#folders[@]} + 4))
    for page in "${pages[@]}"; do
        grep -qF " of ${page#"$root/"} is true\" {" "$BATS_TEST_FILENAME" ||
            { echo "no test: $page"; return 1; }
    done
}

@test "what the exercises say to read stands on the line that they name" {
    run "$root/tests/maintain/reads" check
    same "what reads check says" "$output" ""
    same status "$status" 0
}

@test "the byte tables of Appendix B are those of the kernel's header" {
    awk -F '[|` ]+' '
    BEGIN {
        print "#include <linux/aio_abi.h>"
        print "#include <stddef.h>"
        print "enum { BIG = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ };"
    }
    /^## Appendix/ { appendix = $3 }
    appendix != "B:" { next }
    /^\*\*`struct / { type = $3 }
    /^\*\*The ring/ { exit }
    $4 ~ /^[a-z]/ && $2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ {
        print "_Static_assert(offsetof(struct " type ", " $4 ") == (" $2 \
            (/\(1\)/ ? " ^ BIG * 4" : "") ") && " \
            "sizeof(((struct " type " *)0)->" $4 ") == " $3 ", \"\");"
    }
    $3 ~ /^IOCB_CMD_/ { print "_Static_assert(" $3 " == " $2 ", \"\");" }
    ' "$root/TUTORIAL.md" >tables.c
    same "the number of rows" "$(grep -c _Static tables.c)" 24
    # shellcheck disable=SC2086 # several words each
    run -0 ${CC:-cc} $CPPFLAGS -fsyntax-only tables.c
}

@test "a regular file is always ready for poll, and epoll refuses it" {
    cat >ready.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

int main(void)
{
    int fd = open("demo", O_RDWR | O_CREAT | O_NONBLOCK, 0666);
    struct pollfd file = { fd, POLLIN | POLLOUT, 0 };
    struct epoll_event interest = { .events = EPOLLIN };
    int ends[2];

    printf("poll %d", poll(&file, 1, 0));
    printf(" %d\n", file.revents == (POLLIN | POLLOUT));
    epoll_ctl(epoll_create1(0), EPOLL_CTL_ADD, fd, &interest);
    printf("epoll %d\n", errno == EPERM);
    printf("read %zd\n", read(fd, ends, sizeof(ends)));
    printf("pipe %d\n", pipe(ends) == 0 && fcntl(ends[0], F_GETPIPE_SZ) ==
                                           16 * sysconf(_SC_PAGESIZE));
    return 0;
}
END
    # shellcheck disable=SC2086 # several words each
    ${CC:-cc} $CPPFLAGS $CFLAGS -o ready ready.c
    run -0 ./ready
    same output "$output" $'poll 1 1\nepoll 1\nread 0\npipe 1'
}

@test "pages in a pipe can be changed until they are read, unmapped ones not" {
    run -0 "$root/tests/helpers/probe-eventfd" vmspliced
    assert_output "changed later: b, unmapped: a"
}

@test "a connect that does not wait ends with SO_ERROR" {
    run -0 "$root/tests/helpers/probe-eventfd" connecting
    [[ $output != *ENETUNREACH* ]] || skip "there is no loopback network"
    assert_output "connect: EINPROGRESS, SO_ERROR: ECONNREFUSED"
}

@test "the tests and probes that the tutorial names exist" {
    local kind name tests

    tests=$(grep -h '^@test' "$root"/tests/*.bats)
    sed -n '/^## Appendix A/,/^## Appendix B/s/^| `E/&/p' \
        "$root/TUTORIAL.md" >rows
    grep -o '| "[^|]*" |$' rows | sed 's/^| "/test /; s/" |$//' >named
    same "rows with a test" "$(wc -l <named)" "$(wc -l <rows)"
    grep -oE '`(posix-)?probe [a-z_]+`' "$root/TUTORIAL.md" | tr -d '`' >>named
    [[ -s rows && -s named ]]
    while read -r kind name; do
        case $kind in
        test) [[ $tests == *"@test \"$name\" {"* ]] ;;
        *) grep -q "Q($name)" "$root/tests/helpers/$kind.c" ;;
        esac || echo "there is no $kind: $name"
    done <named >missing
    same "what is missing" "$(cat missing)" ""
}

@test "every program of the course is run on a page" {
    local source commands

    commands=$(sed -n 's/^[$>] \(.*\)/ \1 /p' "${pages[@]}")
    for source in "$root"/0*/*.c; do
        source=${source#"$root/"}
        [[ $commands == *"${source%.c} "* ]] ||
            { echo "not run: $source"; return 1; }
    done
}

@test "the map of the chapters has each page and each program" {
    local file map

    map=$(sed -n '/^## The chapters/,/^## For teachers/p' "$root/TUTORIAL.md")
    for file in "$root"/0*/README.md "$root"/0*/*.c; do
        file=${file#"$root/"}
        [[ $map == *"]($file)"* ]] || { echo "not there: $file"; return 1; }
    done
}

@test "each chapter has the same sections in the same order" {
    awk '
    /^```/ { code = !code }
    code { next }
    /^# / { chapter = $3 }
    /^## / { sections[chapter] = sections[chapter] $0 "\n" }
    END {
        for (chapter in sections)
            if (sections[chapter] != sections["1:"])
                print "chapter " chapter "\n" sections[chapter]
        printf "%s", sections["1:"]
    }' "$root"/0*/README.md >sections
    same "the list of sections" "$(cat sections)" "\
## What you need to know
## What you will learn
## The idea
## The code that matters
## Run it
## What can go wrong
## Experiments
## Under the hood
## Exercises
## Recap
## What comes next"
}

@test "each chapter links to the course, the one before and the next one" {
    local i links to chapters=("$root"/0*/)

    for i in "${!chapters[@]}"; do
        links=$(sed '/^# /q' "${chapters[i]}README.md")
        for to in "../TUTORIAL.md#the-chapters" \
            "${chapters[i - (i > 0)]}" "${chapters[i + 1]-}"; do
            to=${to/#"$root"/..}
            [[ $to == */0"$((i + 1))"-* || -z $to || $links == *"]($to"* ]] ||
                { echo "${chapters[i]}: no link to $to"; return 1; }
        done
    done
}

@test "the pages have at least 50 code blocks and 50 console blocks" {
    (($(cat "${pages[@]}" | grep -c '^```c$') >= 50))
    (($(cat "${pages[@]}" | grep -c '^```console$') >= 50))
}

@test "each function that README.md sends an engineer to is in that program" {
    local file name

    sed -n '/^## I want to/,/^## /p' "$root/README.md" |
        sed -n 's/^|.*](\(0[^)]*\.c\))\(.*\)|$/\1 \2/p' |
        while read -r file names; do
            [[ -e $root/$file ]] || echo "there is no $file"
            # shellcheck disable=SC2013 # words
            for name in $(grep -o '[a-z_]*()' <<<"$names"); do
                grep -q "^[a-z].*[ *]${name%()}(.*[^;]\$" "$root/$file" ||
                    echo "$file has no $name"
            done
        done >missing
    same "what is missing" "$(<missing)" ""
    [[ $(grep -c '^| .*](0[^)]*\.c)' "$root/README.md") -gt 20 ]]
}
