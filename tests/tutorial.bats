# The documents are true. That the tool which says so would notice if they
# were not is in course/docs.bats.
# seconds: 4

# shellcheck disable=SC2016,SC2154 # $ is meant; common.bash sets root
load helpers/common

@test "every code and console block and every link of TUTORIAL.md is true" {
    run "$root/tests/tools/docs" check "$root/TUTORIAL.md"
    same "what docs check says" "$output" ""
    same status "$status" 0
}

@test "every code and console block and every link of README.md is true" {
    [[ -e $root/README.md ]] || skip "there is no README.md"
    run "$root/tests/tools/docs" check "$root/README.md"
    same "what docs check says" "$output" ""
    same status "$status" 0
}

@test "the byte tables of the tutorial are those of the kernel's header" {
    awk -F '[|` ]+' '
    BEGIN {
        print "#include <linux/aio_abi.h>"
        print "#include <stddef.h>"
    }
    /^## Appendix/ { appendix = $3 }
    appendix != "B:" { next }
    /^\*\*`struct / { type = $3 }
    /^\*\*The ring/ { exit }
    $4 ~ /^[a-z]/ && $2 ~ /^[0-9]+$/ && $3 ~ /^[0-9]+$/ {
        print "_Static_assert(offsetof(struct " type ", " $4 ") == " $2 \
            " && sizeof(((struct " type " *)0)->" $4 ") == " $3 ", \"\");"
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
    run -0 "$root/tests/helpers/probe-35" vmspliced
    assert_output "changed later: b, unmapped: a"
}

@test "a connect that does not wait ends with SO_ERROR" {
    run -0 "$root/tests/helpers/probe-35" connecting
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

@test "every program of the course is run in the tutorial" {
    local source commands

    commands=$(sed -n 's/^[$>] \(.*\)/ \1 /p' "$root/TUTORIAL.md")
    for source in "$root"/0*/*.c; do
        source=${source#"$root/"}
        [[ $commands == *"${source%.c} "* ]] ||
            { echo "not run: $source"; return 1; }
    done
}

@test "each chapter of the tutorial has the same sections in the same order" {
    awk '
    /^```/ { code = !code }
    code { next }
    /^## / { chapter = $2 == "Chapter" ? $3 : "" }
    chapter && /^### / { sections[chapter] = sections[chapter] $0 "\n" }
    END {
        for (chapter in sections)
            if (sections[chapter] != sections["1:"])
                print "chapter " chapter "\n" sections[chapter]
        printf "%s", sections["1:"]
    }' "$root/TUTORIAL.md" >sections
    same "the list of sections" "$(cat sections)" "\
### What you need to know
### What you will learn
### The idea
### The code that matters
### Run it
### What can go wrong
### Experiments
### Under the hood
### Exercises
### What comes next"
}

@test "the tutorial has at least 25 code blocks and 25 console blocks" {
    (($(grep -c '^```c$' "$root/TUTORIAL.md") >= 25))
    (($(grep -c '^```console$' "$root/TUTORIAL.md") >= 25))
}
