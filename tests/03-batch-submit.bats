# Many requests in one call: none is lost, whatever the kernel does. How many
# a context holds, and what io_cancel() can do.

# shellcheck disable=SC2030,SC2031,SC2154 # what helpers and bats set
load helpers/common
load helpers/abreast
chapter=03-batch-submit

# The main program is there twice, raw and on libaio: both are tested, where
# there is libaio.
batches=(batch-submit)
[[ ! -x $root/$chapter/batch-submit-libaio ]] || batches+=(batch-submit-libaio)

setup_file() {
    export probe=$BATS_FILE_TMPDIR/probe eio

    cp "$root/tests/helpers/probe-submit" "$probe"
    eio=$("$probe" reason EIO)

    # Is there a libaio for this compiler, and what does it say to this?
    export asked=
    # shellcheck disable=SC2086
    if ${CC:-cc} -include libaio.h -fsyntax-only -x c /dev/null 2>/dev/null
    then
        asked=$BATS_FILE_TMPDIR/asked
        questions >"$probe-libaio.c"
        ${CC:-cc} ${CPPFLAGS-} -o "$probe-libaio" "$probe-libaio.c" -laio
        "$probe-libaio" >"$asked"
    fi

    # What batch-submit writes, made in another way.
    awk 'BEGIN {
        for (i = 0; i < 26; i++) {
            letters[i] = sprintf("%c", 97 + i)
            while (length(letters[i]) < 4096)
                letters[i] = letters[i] letters[i]
        }
        for (block = 0; block < 1000; block++) {
            label = "block " block "\n"
            printf "%s%s", label, substr(letters[block % 26], length(label) + 1)
        }
    }' >"$BATS_FILE_TMPDIR/blocks"
}

# A program that asks libaio. It does not compile where the library's
# structures are not the kernel's, with other names inside. (On 32 bits they
# are too, but with pointers and padding for the 64 bits.)
questions() {
    cat <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <libaio.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Both headers have these names: the kernel's get others for this once. */
#define iocb kernel_iocb
#define io_event kernel_io_event
#include <linux/aio_abi.h>
#undef iocb
#undef io_event

#define SAME(type, library, kernel)                                         \
    _Static_assert(sizeof(long) < 8 ||                                      \
                   (offsetof(struct type, library) ==                       \
                    offsetof(struct kernel_##type, kernel) &&               \
                    sizeof(((struct type *)0)->library) ==                  \
                    sizeof(((struct kernel_##type *)0)->kernel)),           \
                   "libaio's " #library " is not the kernel's " #kernel)
SAME(iocb, data, aio_data);
SAME(iocb, key, aio_key);
SAME(iocb, aio_rw_flags, aio_rw_flags);
SAME(iocb, aio_lio_opcode, aio_lio_opcode);
SAME(iocb, aio_reqprio, aio_reqprio);
SAME(iocb, aio_fildes, aio_fildes);
SAME(iocb, u.c.buf, aio_buf);
SAME(iocb, u.c.nbytes, aio_nbytes);
SAME(iocb, u.c.offset, aio_offset);
SAME(iocb, u.c.flags, aio_flags);
SAME(iocb, u.c.resfd, aio_resfd);
SAME(io_event, data, data);
SAME(io_event, obj, obj);
SAME(io_event, res, res);
SAME(io_event, res2, res2);
_Static_assert(sizeof(struct iocb) == sizeof(struct kernel_iocb) &&
               sizeof(struct io_event) == sizeof(struct kernel_io_event),
               "libaio's structures are not as long as the kernel's");

static void show(const char *call, int result)
{
    printf("%s: %s, errno %s\n", call, result == -EINVAL ? "-EINVAL" :
           result == -EFAULT ? "-EFAULT" : result < 0 ? "?" : "done",
           errno == 12345 ? "left alone" : "set");
    errno = 12345;
}

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
    (void)ctx, (void)iocb, (void)res, (void)res2;
}

/* Waits for an event of a context that is gone. */
static void ask_the_dead(io_context_t ctx, int raw)
{
    struct rlimit none = { 0, 0 };
    struct io_event event;
    int status;

    fflush(stdout);
    if (fork() == 0) {
        setrlimit(RLIMIT_CORE, &none);
        status = raw ? syscall(SYS_io_getevents, ctx, 0L, 1L, &event, NULL) :
            io_getevents(ctx, 0, 1, &event, NULL);
        _exit(status == (raw ? -1 : -EINVAL));
    }
    wait(&status);
    printf("io_getevents of a destroyed context%s: %s\n", raw ? ", raw" : "",
           WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) :
           status ? "EINVAL" : "?");
}

int main(void)
{
    io_context_t ctx = NULL;
    struct timespec zero = { 0, 0 };
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    FILE *file = tmpfile();
    io_callback_t stored;

    errno = 12345;
    show("io_setup(0)", io_setup(0, &ctx));
    show("io_setup(1)", io_setup(1, &ctx));
    show("io_submit", io_submit(ctx, -1, list));
    show("io_getevents", io_getevents(ctx, 2, 1, &event, NULL));
    show("io_cancel", io_cancel(ctx, NULL, &event));

    /* Impossible numbers, but the ring is empty and nobody wants to wait. */
    printf("io_getevents, 5 of 1, empty ring, no wait: %d\n",
           io_getevents(ctx, 5, 1, &event, &zero));
    printf("the same, raw: %d\n",
           (int)syscall(SYS_io_getevents, ctx, 5L, 1L, &event, &zero));
    errno = 12345;

    /* A write from nowhere: the event has an error, in an unsigned field. */
    io_prep_pwrite(&iocb, fileno(file), (void *)8, 1, 0);
    if (io_submit(ctx, 1, list) != 1 ||
        io_getevents(ctx, 1, 1, &event, NULL) != 1)
        return 1;
    printf("res as it is: %s 0\n", event.res > 0 ? "above" : "not above");
    printf("res as a long: %s\n", (long)event.res == -EFAULT ? "-EFAULT" : "?");

    io_set_callback(&iocb, callback);
    memcpy(&stored, &iocb.data, sizeof(stored));
    printf("the callback: %s\n", stored == callback ? "is data" : "is not");
    io_prep_pwrite(&iocb, 0, NULL, 0, 0);
    printf("after io_prep_pwrite: %s\n", iocb.data ? "data" : "no data");

    errno = 12345;
    show("io_destroy", io_destroy(ctx));
    show("io_destroy again", io_destroy(ctx));
    ask_the_dead(ctx, 1);
    ask_the_dead(ctx, 0);
    return 0;
}
END
}

# assert_blocks FILE N: FILE is N blocks as batch-submit writes them.
assert_blocks() {
    local blocks=$BATS_FILE_TMPDIR/blocks

    [[ -e $blocks.$2 ]] || head -c $(($2 * 4096)) "$blocks" >"$blocks.$2"
    cmp "$blocks.$2" "$1"
}

# assert_printed CALL N: the program said that it made N calls of CALL.
assert_printed() { assert_line "$1 calls: $2"; }

# fails NAME FAULT TEXT [FAULT TEXT]...: begins NAME under each fault. It must
# say TEXT: see failed.
fails() {
    local of=$1

    shift
    while (($#)); do
        AIO_FAULT=$1 EXPECT=$2 begin "$of" demo
        shift 2
    done
}

# All that were begun by fails have status 1 and say so, in one line.
failed() {
    while next; do
        assert_status 1
        assert_error "$name: $expect"
    done
}

# ---- batch-submit ----

@test "a number that is none, or out of range, is named, and makes no file" {
    local it arguments number range

    for it in "${batches[@]}" batch-submit-io_uring; do
        for arguments in '' 'demo 1x' 'demo -1' 'demo 262145' 'demo 1 0' \
            'demo 1 65537'; do
            # shellcheck disable=SC2086 # several words
            begin "$it" $arguments
        done
        begin "$it" demo ''
    done
    begin partial-submit
    begin cancel
    while next; do
        assert_status 2
        assert_output ""
        [[ $stderr == *"Usage: $name FILE"* && ! -e $at/demo ]]
    done

    EXPECT='99999999999999999999 0 262144' \
        begin batch-submit demo 99999999999999999999
    EXPECT='0 1 65536' begin batch-submit demo 1 0
    EXPECT='x 0 2147483647' begin context-limits x
    EXPECT='2147483648 0 2147483647' begin context-limits 2147483648
    while next; do
        read -r number range <<<"$expect"
        assert_status 2
        same "the first line" "${stderr%%$'\n'*}" \
            "$name: '$number' is not a number from ${range/ / to }"
    done
}

@test "64 blocks with 8 in flight are 8 full windows" {
    local it

    for it in "${batches[@]}"; do
        begin "$it" demo
    done
    while next; do
        assert_status 0
        assert_stderr ""
        assert_line "requests: 64, in flight at most: 8"
        assert_line "io_submit calls: *"
        assert_line "io_getevents calls: *"
        same "number of lines" "${#lines[@]}" 3
        assert_blocks "$at/demo" 64
    done
}

@test "any number of requests, at any depth, is a file that is right" {
    local it n depth

    for it in "${batches[@]}"; do
        for depth in 1 5; do
            for n in 0 1 $((depth - 1)) "$depth" $((depth + 1)) 23; do
                EXPECT="$n $((n < depth ? n : depth))" \
                    begin "$it" demo "$n" "$depth"
            done
        done
        # Many of them, and more depth than there are requests.
        EXPECT='1000 64' begin "$it" demo 1000 64
        EXPECT='3 3' begin "$it" demo 3 200
        EXPECT='1 1' begin "$it" demo 1 4096
    done
    while next; do
        n=${expect% *}
        assert_status 0
        assert_line "requests: $n, in flight at most: ${expect#* }"
        assert_blocks "$at/demo" "$n"
    done

    # A longer file is emptied first.
    for it in "${batches[@]}"; do
        head -c 40000 "$BATS_FILE_TMPDIR/blocks" >longer
        program -0 "$it" longer 2
        assert_blocks longer 2
    done

    # These numbers are still taken.
    for it in "${batches[@]}"; do
        EXPECT='open .: Is a directory' begin "$it" . 262144
        # (That may be more than is left of aio-max-nr.)
        EXPECT='@(open .: Is a directory|io_setup: *unavailable)' \
            begin "$it" . 0 65536
    done
    failed
}

@test "batch-submit counts its calls, and undoes all it did" {
    local it

    for it in "${batches[@]}"; do
        traced "$it" demo 10 4
        same "first calls" "$(sed '/^io_setup/d' <<<"$trace" | head -n 2)" "\
signal SIGXFSZ ignored
create demo 666"
        # (Some versions of libaio make their system calls unseen.)
        [[ $it == *libaio && $trace != *io_setup* ]] ||
            same "setup and waits" "$(sed -n 's/ = .*//
                /^io_setup\|^io_getevents/p' <<<"$trace" | uniq)" "\
io_setup 4
io_getevents 1 64 -"
        AIO_FAULT='io_submit@2=short=1 io_getevents@*=short=2' LOG=yes \
            begin "$it" demo 20 4
    done
    while next; do
        assert_status 0
        assert_printed io_submit "$(calls io_submit)"
        assert_printed io_getevents "$(calls io_getevents)"
        assert_blocks "$at/demo" 20
        same "io_setup, io_destroy" "$(calls io_setup) $(calls io_destroy)" \
            "1 1"
        same "open, close" "$(calls open) $(calls close)" "1 1"
    done
}

@test "never more than DEPTH are in flight, and no fewer than can be" {
    local it

    # With one event at a time, each after the first DEPTH goes by itself.
    for it in "${batches[@]}"; do
        AIO_FAULT='io_getevents@*=short=1' begin "$it" demo 20 4
    done
    while next; do
        assert_status 0
        assert_line "requests: 20, in flight at most: 4"
        assert_printed io_submit 17
        assert_printed io_getevents 20
        assert_blocks "$at/demo" 20
    done
}

@test "io_submit may take any number of the requests: the rest follows" {
    local it n depth submits

    # In each call, then in one call only.
    for it in "${batches[@]}"; do
        for n in '1 10' '2 6' '3 4' '4 4' '5 2'; do
            AIO_FAULT="io_submit@*=short=${n% *}" EXPECT="10 5 ${n#* }" \
                begin "$it" demo 10 5
        done
        for n in '1 4' '2 4' '3 4' '4 3'; do
            AIO_FAULT="io_submit@${n% *}=short=2" EXPECT="12 4 ${n#* }" \
                begin "$it" demo 12 4
        done
    done
    while next; do
        read -r n depth submits <<<"$expect"
        assert_status 0
        assert_line "requests: $n, in flight at most: $depth"
        assert_printed io_submit "$submits"
        ((n == 12)) || assert_printed io_getevents 2
        assert_blocks "$at/demo" "$n"
    done
}

@test "EAGAIN: reap first, then go on; with none in flight it is an error" {
    local it

    # In the second call the window is in flight by half; then but for one.
    for it in "${batches[@]}"; do
        AIO_FAULT='io_submit@1=short=2 io_submit@2=EAGAIN' EXPECT='5 4' \
            begin "$it" demo 12 4
        AIO_FAULT='io_submit@1=short=1 io_submit@2=EAGAIN' EXPECT='5 4' \
            begin "$it" demo 12 4
        AIO_FAULT='io_getevents@*=short=1 io_submit@3=EAGAIN
            io_submit@4=EAGAIN' EXPECT='9 12' begin "$it" demo 12 4
    done
    while next; do
        assert_status 0
        assert_line "requests: 12, in flight at most: 4"
        assert_printed io_submit "${expect% *}"
        assert_printed io_getevents "${expect#* }"
        assert_blocks "$at/demo" 12
    done

    # With nothing in flight it can't get better.
    for it in "${batches[@]}"; do
        fails "$it" \
            io_submit@1=EAGAIN 'io_submit: Resource temporarily unavailable' \
            io_submit@2+=EAGAIN 'io_submit: Resource temporarily unavailable'
    done
    failed
}

@test "EINTR in any io_submit or io_getevents: the call is made again" {
    local it call n

    for it in "${batches[@]}"; do
        for call in io_submit io_getevents; do
            for n in 1 2 3; do
                AIO_FAULT="$call@$n=EINTR" EXPECT=$call begin "$it" demo 12 4
            done
        done
        # And so it is if there is no event.
        AIO_FAULT=io_getevents@1=short=0 EXPECT=io_getevents \
            begin "$it" demo 12 4
    done
    while next; do
        assert_status 0
        assert_printed "$expect" 4
        assert_blocks "$at/demo" 12
    done
}

@test "short write: only what is left is submitted; res 0 or less: an error" {
    local it n

    # All was really written: a wrong rest would damage the file.
    for it in "${batches[@]}"; do
        for n in 1 100 4095; do
            AIO_FAULT="io_getevents@1=res=$n" EXPECT='1 2' begin "$it" demo 1 1
            AIO_FAULT="io_getevents@2=res=$n" EXPECT='2 3' begin "$it" demo 2 1
        done
    done
    while next; do
        assert_status 0
        assert_printed io_submit "${expect#* }"
        assert_printed io_getevents "${expect#* }"
        assert_line "requests: ${expect% *}, in flight at most: 1"
        assert_blocks "$at/demo" "${expect% *}"
    done

    for it in "${batches[@]}"; do
        fails "$it" io_getevents@1=res=-EIO "IO*_CMD_PWRITE demo: $eio" \
            io_getevents@3=res=-EINVAL "IO*_CMD_PWRITE demo: Invalid argument" \
            io_getevents@2=res=-ENOSPC \
            "IO*_CMD_PWRITE demo: No space left on device" \
            io_getevents@1=res=0 "IO*_CMD_PWRITE demo: $eio"
    done
    failed
}

# What fits is written. Then the event says what is in the way, and there is
# no signal: the program names the request and ends with status 1.

@test "at a file size limit a block is short, and its rest is EFBIG" {
    local it

    # 10 KiB: the third block is written by half, and its rest can't be.
    for it in "${batches[@]}"; do
        ended 60 bash -c 'ulimit -f 10 && exec "$@"' - \
            "$root/$chapter/$it" part 3
        same status "$status" 1
        assert_error "$it: IO*_CMD_PWRITE part: File too large"
        assert_output ""
        head -c 10240 "$BATS_FILE_TMPDIR/blocks" | cmp - part
        rm part
    done
}

@test "where nothing may be written, each program says File too large" {
    local it

    # Not even what is printed, but for a pipe.
    for it in "${batches[@]}" partial-submit cancel; do
        status=0
        output=$(ulimit -f 0 && exec "$root/$chapter/$it" demo 2>&1) ||
            status=$?
        same status "$status" 1
        stderr=${output##*$'\n'}
        assert_error "$it: IO*_CMD_PWRITE demo: File too large"
        [[ ! -s demo ]]
    done
}

@test "on a full disk what fits is written, and then ENOSPC is named" {
    local it private=(unshare -m) blocks

    [[ $EUID == 0 ]] || private=(unshare -rm)
    mkdir full
    "${private[@]}" mount -t tmpfs none full 2>/dev/null ||
        skip "no right to mount a filesystem that is soon full"
    for it in "${batches[@]}"; do
        # shellcheck disable=SC2016 # the inner shell expands
        ended 60 "${private[@]}" bash -c '
            mount -t tmpfs -o size=64k none full && "$1" full/demo 32
            status=$?
            cat full/demo >fitted
            exit "$status"' - "$root/$chapter/$it"
        same status "$status" 1
        assert_error "$it: IO*_CMD_PWRITE full/demo: No space left on device"
        blocks=$(($(stat -c %s fitted) / 4096))         # pages have a say
        ((blocks > 0 && blocks <= 16))
        assert_blocks fitted "$blocks"
    done
}

@test "what is no regular file is refused, and not waited for" {
    local it

    mkfifo fifo
    for it in "${batches[@]}" batch-submit-io_uring partial-submit cancel; do
        EXPECT='open /dev/null: not a regular file' begin "$it" /dev/null
        EXPECT='open /dev/zero: not a regular file' begin "$it" /dev/zero
        EXPECT='open ../fifo: not a regular file' begin "$it" ../fifo
    done
    failed
}

@test "a block device is refused and keeps what it holds" {
    local it loop

    head -c 100000 /dev/zero >image
    loop=$(losetup --show -f image 2>/dev/null) ||
        skip "no right to make a loop device"
    for it in "${batches[@]}" batch-submit-io_uring partial-submit cancel; do
        EXPECT="open $loop: not a regular file" begin "$it" "$loop"
    done
    failed || { losetup -d "$loop"; return 1; }
    losetup -d "$loop"
    head -c 100000 /dev/zero | cmp - image
}

@test "with stdin, stdout or stderr closed FILE holds its blocks, and no more" {
    local it

    for it in "${batches[@]}"; do
        "$root/$chapter/$it" demo 9 <&- >/dev/null
        assert_blocks demo 9
        "$root/$chapter/$it" demo 9 2>&- >/dev/null
        assert_blocks demo 9
        run -1 --separate-stderr bash -c 'exec "$@" >&-' - \
            "$root/$chapter/$it" demo 9
        assert_error "$it: standard output: Bad file descriptor"
        assert_blocks demo 9
    done
    printf 'first\nsecond\nthird\n' >lines
    "$root/$chapter/partial-submit" demo 0<&- 2>&- >/dev/null
    cmp lines demo
}

@test "a FILE that can't be opened, and no AIO, are errors in chapter 3" {
    local it

    : >mine
    chmod 444 mine
    for it in "${batches[@]}" partial-submit cancel; do
        EXPECT='open nowhere/demo: No such file or directory' \
            begin "$it" nowhere/demo
        EXPECT='open .: Is a directory' begin "$it" .
        # Not in this kernel, or not in this sandbox.
        fails "$it" 'io_setup@*=ENOSYS' 'io_setup: Function not implemented' \
            'io_setup@*=EPERM' 'io_setup: Operation not permitted' \
            'io_submit@1=EPERM' 'io_submit: Operation not permitted'

        run -1 --separate-stderr without_override "$root/$chapter/$it" mine
        assert_error "$it: open mine: Permission denied"
        [[ ! -s mine ]]
    done
    failed
}

@test "each call of batch-submit that fails is named" {
    local it

    for it in "${batches[@]}"; do
        fails "$it" calloc@1=EIO "calloc: $eio" calloc@2=EIO "calloc: $eio" \
            calloc@3=EIO "calloc: $eio" open@1=EIO "open demo: $eio" \
            io_setup@1=EIO "io_setup: $eio" io_submit@1=EIO "io_submit: $eio" \
            io_submit@1=ENOMEM 'io_submit: *memory' \
            io_submit@8=EIO "io_submit: $eio" \
            io_getevents@1=EIO "io_getevents: $eio" \
            io_getevents@8=EIO "io_getevents: $eio" \
            io_destroy@1=EIO "io_destroy: $eio" close@1=EIO "close demo: $eio"
    done
    failed
}

@test "output comes before the error, and output that is lost is one" {
    local it said="No space left on device"

    # What was printed stands ahead of the error.
    status=0
    output=$(AIO_FAULT='io_destroy@1=EIO' exec env \
        LD_PRELOAD="$root/tests/helpers/fault.so" \
        "$root/$chapter/partial-submit" demo 2>&1) || status=$?
    same status "$status" 1
    same "the first line" "${output%%$'\n'*}" "io_submit of 3: 1 taken"
    same "the last line" "${output##*$'\n'}" "partial-submit: io_destroy: $eio"

    # What can't be written; and then all but the last.
    for it in "${batches[@]}" partial-submit cancel; do
        status=0
        stderr=$(exec "$root/$chapter/$it" demo 2>&1 >/dev/full) || status=$?
        same status "$status" 1
        assert_error "$it: standard output: $said"
    done
    failed
}

# ---- partial-submit ----

@test "io_submit stops at a bad request: the count says where, a retry why" {
    # A longer file is emptied.
    head -c 100 /dev/zero >demo
    traced partial-submit demo
    same calls "$(sed '/^io_getevents/d' <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 3 = 0
create demo 666
io_submit 3 = 1: pwrite demo 6@0, pwrite -1 7@6 data=1
io_submit 2 = -9: pwrite -1 7@6 data=1
io_submit 2 = 2: pwrite demo 7@6 data=1, pwrite demo 6@13 data=2
io_destroy = 0"

    # The tail, submitted again, tells the errno; mended, it goes through.
    assert_output "io_submit of 3: 1 taken
io_submit of 2: Bad file descriptor
request 2 had no descriptor: fixed
io_submit of 2: 2 taken
events: 3, all written"
    printf 'first\nsecond\nthird\n' | cmp - demo
}

@test "partial-submit loses nothing when more goes wrong" {
    local some='io_submit@1=EINTR io_submit@4=short=1 io_submit@5=EINTR'

    AIO_FAULT="$some io_getevents@1=EINTR io_getevents@2+=short=1" \
        begin partial-submit demo
    AIO_FAULT="$some io_getevents@1=short=2" begin partial-submit demo
    while next; do
        assert_status 0
        assert_output "io_submit of 3: 1 taken
io_submit of 2: Bad file descriptor
request 2 had no descriptor: fixed
io_submit of 2: 1 taken
io_submit of 1: 1 taken
events: 3, all written"
        printf 'first\nsecond\nthird\n' | cmp - "$at/demo"
    done
}

@test "each call of partial-submit that fails is named" {
    fails partial-submit open@1=EIO "open demo: $eio" \
        io_setup@1=EIO "io_setup: $eio" \
        io_submit@1=EAGAIN "io_submit: Resource temporarily unavailable" \
        io_submit@1=EBADF "io_submit: Bad file descriptor" \
        io_submit@2=EINVAL "io_submit: Invalid argument" \
        io_submit@3=EBADF "io_submit: Bad file descriptor" \
        io_getevents@1=EIO "io_getevents: $eio" \
        io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=1 "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        'io_getevents@1=short=1 io_getevents@2=res=5' \
        "IOCB_CMD_PWRITE demo: $eio" \
        io_destroy@1=EIO "io_destroy: $eio" close@1=EIO "close demo: $eio"
    failed
    LOG=yes begin partial-submit demo
    next
    same "io_setup, io_destroy, open, close" "$(calls io_setup) $(
        calls io_destroy) $(calls open) $(calls close)" "1 1 1 1"
}

# ---- io_submit beyond that ----

@test "what stands ahead of a bad request is done, what stands behind is not" {
    run -0 "$probe" bad-in-the-middle demo
    assert_output "four, and the third can't be read: 2
events: 2, res 1 and 1
the rest: EFAULT
the rest without it: 1"
}

@test "closing a descriptor does nothing to the requests made with it" {
    run -0 "$probe" closed demo
    assert_output "the same number: yes
whole: 32 of 32
write to a pipe that only a POLL reads: 1
its event: POLLIN 1"
}

# ---- context-limits ----

# possible: how many CPUs this kernel may ever have.
possible() {
    tr ',' '\n' </sys/devices/system/cpu/possible |
        awk -F - '{ n += NF > 1 ? $2 - $1 + 1 : 1 } END { print n }'
}

# places NR: the size of the ring of a context for NR events, as the kernel
# computes it.
places() {
    local nr=$1 cpus page pages

    cpus=$(possible) page=$(getconf PAGE_SIZE)
    ((nr >= 4 * cpus)) || nr=$((4 * cpus))
    pages=$((((2 * nr + 2) * 32 + 32 + page - 1) / page))
    echo $(((pages * page - 32) / 32))
}

@test "context-limits fills a context, and only reaping makes room" {
    traced context-limits
    same calls "$(sed 's/: poll.*//; /^io_submit 64/s/ = [1-9].*//
        /^io_getevents/s/ .*//' <<<"$trace" | uniq)" "\
signal SIGXFSZ ignored
io_setup 32 = 0
io_submit 64
io_submit 64 = -11
io_getevents
io_submit 64
io_submit 64 = -11
io_destroy = 0"
    same output "$(sed -E '/^(ring|requests)/s/[0-9]+/N/' <<<"$output")" "\
nr_events: 32
ring: N places
requests taken: N, then: Resource temporarily unavailable
all done, none reaped: Resource temporarily unavailable
all reaped: there is room"
}

@test "nr_events is a floor: more requests are taken, and fewer than places" {
    local nr taken

    for nr in 1 8 32 500 1000; do
        EXPECT=$nr begin context-limits "$nr"
    done
    while next; do
        assert_status 0
        assert_line "nr_events: $expect"
        assert_line "ring: $(places "$expect") places"
        taken=$(sed -n 's/^requests taken: \([0-9]*\),.*/\1/p' <<<"$output")
        ((taken >= expect && taken < $(places "$expect")))
    done
}

@test "of 2000 requests in one call all are taken but what CPUs keep apart" {
    local nr portion

    nr=$(places 32) portion=$((($(places 32) - 1) / (4 * $(possible))))
    ((portion > 0)) || portion=1
    run -0 "$probe" two-thousand "$(possible)"
    nr="places $nr, computed $(((nr - 1) / portion * portion))"
    assert_output "$nr, taken ${nr##* }, then EAGAIN"
}

@test "context-limits names what io_setup says, and gives no advice" {
    local again="io_setup: Resource temporarily unavailable"

    EXPECT='io_setup: Invalid argument' begin context-limits 0
    EXPECT='io_setup: Invalid argument' begin context-limits 2147483647
    AIO_FAULT=io_setup@1=EAGAIN EXPECT=$again begin context-limits
    AIO_FAULT=io_setup@1=ENOSYS EXPECT='io_setup: Function not implemented' \
        begin context-limits
    failed
}

@test "each call of context-limits that fails is named" {
    local call

    for call in io_submit pipe write io_getevents io_destroy close; do
        AIO_FAULT="$call@1=EIO" EXPECT="$call: $eio" begin context-limits
    done
    AIO_FAULT="close@2=EIO" EXPECT="close: $eio" begin context-limits
    failed
}

@test "context-limits goes on after EINTR, and after an early EAGAIN" {
    AIO_FAULT='io_submit@2=EINTR io_getevents@1=EINTR io_getevents@3=EINTR' \
        begin context-limits
    AIO_FAULT='io_submit@2=EAGAIN io_getevents@*=short=1' LOG=yes \
        begin context-limits
    next
    assert_status 0
    assert_line "all reaped: there is room"

    # What it submitted it reaps.
    next
    assert_status 0
    assert_line "requests taken: 64, then: Resource temporarily unavailable"
    same "pipe, close" "$(calls pipe) $(calls close)" "1 2"
}

# ---- cancel ----

# cancel_output DIRECT: what it prints; is there O_DIRECT, yes or no?
cancel_output() {
    local untouched="  result: untouched" event="  event: res"

    echo "io_cancel, buffered write: Invalid argument"
    printf '%s\n' "$untouched" "$event 65536"
    if [[ $1 == yes ]]; then
        echo "io_cancel, O_DIRECT write: Invalid argument"
        printf '%s\n' "$untouched" "$event 65536"
    else
        echo "no O_DIRECT on this filesystem"
    fi
    echo "io_cancel, POLL: $("$probe" reason EINPROGRESS)"
    printf '%s\n' "$untouched" "$event 0"
}

@test "io_cancel: files refuse, a POLL is EINPROGRESS and a late event" {
    traced cancel demo
    # open() decides here: that some take the flag and do without is no matter.
    : >flag
    assert_output "$(cancel_output "$(dd if=/dev/null of=flag oflag=direct \
        2>/dev/null && echo yes || echo no)")"
    # The first lines, until the pipe, once more if there is O_DIRECT.
    same calls "$(sed '7{/pwrite/{N;N;d;};}' <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 1 = 0
create demo 666
io_submit 1 = 1: pwrite demo 65536@0
io_cancel = -22
io_getevents 1 1 10.000000000 = 1
io_submit 1 = 1: poll pipe:r 1
io_cancel = -115
io_getevents 1 1 10.000000000 = 1
io_destroy = 0"
    head -c 65536 /dev/zero | tr '\0' c | cmp - demo
}

@test "cancel goes on where there is no O_DIRECT, and waits on after EINTR" {
    local fault says

    says=$(cancel_output no)
    for fault in '' io_{getevents,submit}@{1,2}=EINTR io_getevents@3=EINTR; do
        AIO_FAULT="open:direct@1=EINVAL $fault" begin cancel demo
    done
    while next; do
        assert_status 0
        assert_output "$says"
    done
    head -c 65536 /dev/zero | tr '\0' c | cmp - run.0/demo
}

@test "each call of cancel that fails is named; nobody waits without end" {
    fails cancel open@1=EIO "open demo: $eio" io_setup@1=EIO "io_setup: $eio" \
        aligned_alloc@1=EIO "aligned_alloc: $eio" \
        open:direct@1=EIO "open demo: $eio" pipe@1=EIO "pipe: $eio" \
        io_submit@1=EIO "io_submit: $eio" io_submit@2+=EIO "io_submit: $eio" \
        io_getevents@1=EIO "io_getevents: $eio" \
        'open:direct@1=EINVAL io_getevents@2=EIO' "io_getevents: $eio" \
        io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=65535 "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        io_destroy@1=EIO "io_destroy: $eio" close@1=EIO "close demo: $eio" \
        'open:direct@1=EINVAL close@2=EIO' "close: $eio" \
        'open:direct@1=EINVAL close@3=EIO' "close: $eio" \
        io_getevents@1=short=0 "io_getevents: $("$probe" reason ETIMEDOUT)"
    failed
    LOG=yes begin cancel demo
    next
    same "io_destroy, close" "$(calls io_destroy) $(calls close)" \
        "1 $(($(calls open) + 2))"

    # Where io_cancel fails in another way, nobody waits for an event.
    AIO_FAULT='open:direct@1=EINVAL io_cancel@2=EIO' program -1 cancel demo
    assert_error "cancel: io_cancel: $eio"
    same "the last line" "${lines[-1]}" "no O_DIRECT on this filesystem"
    AIO_FAULT='open:direct@1=EINVAL io_cancel@2=EINVAL' program -1 cancel demo
    assert_error "cancel: io_cancel: $("$probe" reason EINVAL)"
}

# ---- io_cancel beyond that ----

@test "io_cancel: bad iocb EFAULT, first; bad context, key, request EINVAL" {
    run -0 "$probe" cancel-checks
    assert_line "bad context, bad iocb: EFAULT"
    assert_line "bad iocb: EFAULT"

    assert_line "bad context: EINVAL"
    assert_line "wrong key: EINVAL"
    assert_line "never submitted: EINVAL"
}

@test "io_cancel: file I/O in flight is never canceled, O_DIRECT included" {
    run -0 "$probe" cancel-file demo
    assert_output "EINVAL: 32 of 32, done: 32
FSYNC: EINVAL, done: 0"
}

@test "io_cancel finds a POLL by its iocb's address, and ignores result" {
    run -0 "$probe" cancel-poll
    assert_output "a copy of the iocb: EINVAL
unreadable result: EINPROGRESS
again: EINVAL
events: 1, res 0
after its event: EINVAL
answered, not reaped: EINVAL
events: 1, POLLIN: yes"
}

# ---- libaio ----

@test "batch-submit-libaio is there if libaio is, and prints the same" {
    local it first

    if [[ -n $asked ]]; then
        [[ -x $root/$chapter/batch-submit-libaio ]]
    else
        [[ ! -e $root/$chapter/batch-submit-libaio ]]
    fi
    for it in "${batches[@]}"; do
        AIO_FAULT='io_submit@*=short=4 io_getevents@*=short=1' \
            begin "$it" demo 31 6
    done
    while next; do
        same "output of $name" "$output" "${first:=$output}"
        assert_blocks "$at/demo" 31
    done
}

@test "libaio's structures are the kernel's, with other names inside" {
    [[ -n $asked ]] || skip "there is no libaio for this compiler"

    # The program that asks has compiled. With a member that is another, or
    # if it asked for the size of what a context points to, it would not.
    {
        questions |
            sed 's/^SAME(iocb, key, aio_key)/SAME(iocb, key, aio_rw_flags)/'
        echo 'unsigned long size(io_context_t ctx) { return sizeof(*ctx); }'
    } >wrong.c
    # shellcheck disable=SC2086
    run -1 ${CC:-cc} ${CPPFLAGS-} -fsyntax-only wrong.c
    [[ $(getconf LONG_BIT) == 32 || $output == *static?assert*failed* ]]
    [[ $output == *"incomplete type"* ]]
}

@test "libaio returns -errno and leaves errno alone" {
    [[ -n $asked ]] || skip "there is no libaio for this compiler"
    output=$(<"$asked")
    assert_line "io_setup(0): -EINVAL, errno left alone"
    assert_line "io_setup(1): done, errno left alone"
    assert_line "io_submit: -EINVAL, errno left alone"
    assert_line "io_getevents: -EINVAL, errno left alone"
    assert_line "io_cancel: -EFAULT, errno left alone"
    assert_line "io_destroy: done, errno left alone"
    assert_line "io_destroy again: -EINVAL, errno left alone"
}

@test "libaio's res is unsigned: cast it; io_set_callback takes data" {
    [[ -n $asked ]] || skip "there is no libaio for this compiler"
    output=$(<"$asked")
    assert_line "res as it is: above 0"
    assert_line "res as a long: -EFAULT"

    # And io_prep_pwrite empties it.
    assert_line "the callback: is data"
    assert_line "after io_prep_pwrite: no data"
}

@test "libaio looks at the ring itself: empty, it is 0 and never EINVAL" {
    [[ -n $asked ]] || skip "there is no libaio for this compiler"
    output=$(<"$asked")
    assert_line "io_getevents, 5 of 1, empty ring, no wait: 0"
    assert_line "the same, raw: -1"
}

@test "libaio crashes where the kernel says that there is no such context" {
    [[ -n $asked ]] || skip "there is no libaio for this compiler"
    output=$(<"$asked")
    assert_line "io_getevents of a destroyed context, raw: EINVAL"
    assert_line "io_getevents of a destroyed context: Segmentation fault"
}

# ---- io_uring ----

# needs_io_uring: skips where there is none, or none for us.
needs_io_uring() {
    run --separate-stderr "$root/$chapter/batch-submit-io_uring" tried 1
    [[ $stderr != *": io_uring_setup"* ]] || skip "no io_uring here: $stderr"
}

@test "batch-submit-io_uring writes the same file, at any depth" {
    local n depth

    needs_io_uring
    begin batch-submit-io_uring demo
    next
    assert_status 0
    assert_stderr ""
    assert_line "requests: 64, in flight at most: 8"
    assert_line "io_uring_enter calls to submit: *"
    assert_line "io_uring_enter calls to wait: *"
    same "number of lines" "${#lines[@]}" 3
    assert_blocks "$at/demo" 64

    for depth in 1 4 5; do
        for n in 0 1 $((depth - 1)) "$depth" $((depth + 1)) 23; do
            EXPECT="$n $((n < depth ? n : depth))" \
                begin batch-submit-io_uring demo "$n" "$depth"
        done
    done
    EXPECT='1000 64' begin batch-submit-io_uring demo 1000 64
    EXPECT='3 3' begin batch-submit-io_uring demo 3 200
    EXPECT='2 2' begin batch-submit-io_uring demo 2 32768
    while next; do
        assert_status 0
        assert_line "requests: ${expect% *}, in flight at most: ${expect#* }"
        assert_blocks "$at/demo" "${expect% *}"
    done

    # A longer file is emptied first, and nothing is left in memory.
    head -c 40000 "$BATS_FILE_TMPDIR/blocks" >longer
    traced batch-submit-io_uring longer 2
    assert_blocks longer 2
}

@test "io_uring_enter may take a part, or be interrupted: nothing is lost" {
    local n waits

    needs_io_uring
    for n in 1 2 3; do
        AIO_FAULT="io_uring_enter@1=short=$n" \
            begin batch-submit-io_uring demo 12 4
        AIO_FAULT="io_uring_enter@$n=EINTR" \
            begin batch-submit-io_uring demo 12 4
        AIO_FAULT='io_uring_enter@1=short=2 io_uring_enter@2=EAGAIN' \
            begin batch-submit-io_uring demo 12 4
        AIO_FAULT='io_uring_enter@1=short=2 io_uring_enter@2=EBUSY' \
            begin batch-submit-io_uring demo 12 4
    done
    while next; do
        assert_status 0
        assert_line "requests: 12, in flight at most: 4"
        assert_blocks "$at/demo" 12
    done

    AIO_FAULT='io_uring_enter@*=short=1' LOG=yes \
        begin batch-submit-io_uring demo 12 4
    next
    assert_line "io_uring_enter calls to submit: 12"
    waits=$(($(calls io_uring_enter) - 12))
    assert_line "io_uring_enter calls to wait: $waits"
    ((waits <= 12))             # each has brought something
    same "open, close, mmap" "$(calls open) $(calls close) $(calls mmap)" \
        "1 2 2"
    assert_blocks "$at/demo" 12
}

@test "where io_uring is absent or forbidden, one line says so, and status 1" {
    fails batch-submit-io_uring \
        io_uring_setup@1=ENOSYS 'io_uring_setup: Function not implemented' \
        io_uring_setup@1=EPERM "io_uring_setup (kernel.io_uring_disabled? a\
 sandbox?): Operation not permitted" \
        io_uring_setup@1=ENOMEM \
        'io_uring_setup (ulimit -l, before Linux 5.12?): *memory'
    failed

    # And with a filter as containers have it, whatever there is.
    ended 60 "$root/tests/helpers/sandbox" io_uring_setup=EPERM -- \
        "$root/$chapter/batch-submit-io_uring" demo
    same status "$status" 1
    assert_error "batch-submit-io_uring: io_uring_setup (*): Operation not\
 permitted"
}

@test "each call of batch-submit-io_uring that fails is named" {
    needs_io_uring
    fails batch-submit-io_uring calloc@1=EIO "calloc: $eio" \
        calloc@2=EIO "calloc: $eio" calloc@3=EIO "calloc: $eio" \
        mmap@1=EIO "mmap: $eio" mmap@2=EIO "mmap: $eio" \
        io_uring_enter@1=EINVAL "io_uring_enter: Invalid argument" \
        io_uring_enter@1=EAGAIN \
        "io_uring_enter: Resource temporarily unavailable" \
        close@1=EIO "close the rings: $eio" close@2=EIO "close demo: $eio"
    failed
}

@test "through io_uring, too, a size limit is a short write and then EFBIG" {
    needs_io_uring
    ended 60 bash -c 'ulimit -f 10 && exec "$@"' - \
        "$root/$chapter/batch-submit-io_uring" part 3
    same status "$status" 1
    assert_error "batch-submit-io_uring: IORING_OP_WRITE part: File too large"
    head -c 10240 "$BATS_FILE_TMPDIR/blocks" | cmp - part
}
