# Many requests in one call: none is lost, whatever the kernel does. And what
# io_cancel() can do.

# shellcheck disable=SC2154 # what helpers and bats set
load helpers/common
load helpers/abreast
chapter=03-batch-submit

# The main program is there twice, raw and on libaio: both are tested, where
# there is libaio.
batches=(batch-submit)
[[ ! -x $root/$chapter/batch-submit-libaio ]] || batches+=(batch-submit-libaio)

setup_file() {
    export probe=$BATS_FILE_TMPDIR/probe eio

    cp "$root/tests/helpers/probe-35" "$probe"
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

# A program that asks libaio.
questions() {
    cat <<'END'
#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <string.h>

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

int main(void)
{
    io_context_t ctx = NULL;
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
    return 0;
}
END
}

# assert_blocks FILE N: FILE is N blocks as batch-submit writes them.
assert_blocks() {
    head -c $(($2 * 4096)) "$BATS_FILE_TMPDIR/blocks" | cmp - "$1"
}

# assert_printed CALL N: the program said that it made N calls of CALL.
assert_printed() { assert_line "$1: $2 calls"; }

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

@test "the programs of chapter 3 explain themselves on request" {
    local it

    for it in "${batches[@]}" partial-submit cancel; do
        begin "$it" -h
        begin "$it" --help
    done
    while next; do
        assert_status 0
        assert_line "Usage: $name FILE*"
        assert_stderr ""
    done
}

@test "batch-submit: wrong arguments are answered with the usage" {
    local it

    for it in "${batches[@]}"; do
        begin "$it"
        begin "$it" demo 1 1 1
        begin "$it" --nonsense
        begin "$it" demo 1x
        begin "$it" demo ''
        begin "$it" demo -1
        begin "$it" demo 262145
        begin "$it" demo 1 0
        begin "$it" demo 1 65537
    done
    while next; do
        assert_status 2
        assert_output ""
        [[ $stderr == *"Usage: $name FILE"* && ! -e $at/demo ]]
    done
}

@test "batch-submit: a wrong number is named, with its limits" {
    program -2 batch-submit demo 99999999999999999999
    same "the first line" "${stderr%%$'\n'*}" \
        "batch-submit: '99999999999999999999' is not a number from 0 to 262144"
    program -2 batch-submit demo 1 0
    same "the first line" "${stderr%%$'\n'*}" \
        "batch-submit: '0' is not a number from 1 to 65536"
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
        assert_line "io_submit: * calls"
        assert_line "io_getevents: * calls"
        assert_line "read back: 64 blocks, each where it belongs"
        same "number of lines" "${#lines[@]}" 4
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
    done
    while next; do
        n=${expect% *}
        assert_status 0
        assert_line "requests: $n, in flight at most: ${expect#* }"
        assert_line "read back: $n blocks, each where it belongs"
        assert_blocks "$at/demo" "$n"
    done
}

@test "many requests, and more depth than there are requests" {
    local it

    for it in "${batches[@]}"; do
        EXPECT='1000 64' begin "$it" demo 1000 64
        EXPECT='3 3' begin "$it" demo 3 200
        EXPECT='1 1' begin "$it" demo 1 4096
    done
    while next; do
        assert_status 0
        assert_line "requests: ${expect% *}, in flight at most: ${expect#* }"
        assert_blocks "$at/demo" "${expect% *}"
    done
}

@test "262144 requests and a depth of 65536 are still taken" {
    local it

    for it in "${batches[@]}"; do
        program -1 "$it" . 262144
        assert_error "$it: open .: Is a directory"
        program -1 "$it" . 0 65536
        assert_error "$it: open .: Is a directory"
    done
}

@test "a longer file is emptied first" {
    local it

    for it in "${batches[@]}"; do
        head -c 40000 /dev/zero >demo
        program -0 "$it" demo 2
        assert_blocks demo 2
    done
}

@test "batch-submit counts its calls, and undoes all it did" {
    local it

    for it in "${batches[@]}"; do
        traced "$it" demo 10 4
        same "first calls" "$(head -n 2 <<<"$trace")" "\
signal SIGXFSZ ignored
create demo 666"
        # (Some versions of libaio make their system calls unseen.)
        [[ $it == *libaio && $trace != *io_setup* ]] ||
            same "setup and waits" "$(sed -n 's/ = .*//
                /^io_setup\|^io_getevents/p' <<<"$trace" | uniq)" "\
io_setup 4
io_getevents 1 4 -"
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
        same "fopen, fclose" "$(calls fopen) $(calls fclose)" "1 1"
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
    local it

    for it in "${batches[@]}"; do
        EXPECT=10 AIO_FAULT='io_submit@*=short=1' begin "$it" demo 10 5
        EXPECT=6 AIO_FAULT='io_submit@*=short=2' begin "$it" demo 10 5
        EXPECT=4 AIO_FAULT='io_submit@*=short=3' begin "$it" demo 10 5
        EXPECT=4 AIO_FAULT='io_submit@*=short=4' begin "$it" demo 10 5
        EXPECT=2 AIO_FAULT='io_submit@*=short=5' begin "$it" demo 10 5
    done
    while next; do
        assert_status 0
        assert_printed io_submit "$expect"
        assert_printed io_getevents 2
        assert_line "requests: 10, in flight at most: 5"
        assert_blocks "$at/demo" 10
    done
}

@test "io_submit cut short once, in each of the calls" {
    local it n

    for it in "${batches[@]}"; do
        for n in 1 2 3 4; do
            AIO_FAULT="io_submit@$n=short=2" EXPECT=$((n == 4 ? 3 : 4)) \
                begin "$it" demo 12 4
        done
    done
    while next; do
        assert_status 0
        assert_printed io_submit "$expect"
        assert_blocks "$at/demo" 12
    done
}

@test "EAGAIN with requests in flight: reap first, then go on" {
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
}

@test "EAGAIN with nothing in flight can't get better: an error" {
    local it

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
        assert_line "read back: 12 blocks, each where it belongs"
        assert_blocks "$at/demo" 12
    done
}

@test "a short write: what is left is submitted again, and no more" {
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
}

@test "at a file size limit a short count comes first, then EFBIG" {
    local it

    # 10 KiB: the third block is written by half, and its rest can't be.
    for it in "${batches[@]}"; do
        run -1 --separate-stderr bash -c 'ulimit -f 10 && exec "$@"' - \
            "$root/$chapter/$it" demo 3
        assert_error "$it: IO*_CMD_PWRITE demo: $("$probe" reason EFBIG)"
        assert_output ""
        head -c 10240 "$BATS_FILE_TMPDIR/blocks" | cmp - demo
    done
}

@test "a full filesystem is an error, and what fitted is there" {
    local it text private=(unshare -m)

    # Where nothing may be mounted, an event has to say it.
    [[ $EUID == 0 ]] || private=(unshare -rm)
    text=$("$probe" reason ENOSPC)
    mkdir full
    for it in "${batches[@]}"; do
        fails "$it" io_getevents@2=res=-ENOSPC "IO*_CMD_PWRITE demo: $text"
        failed

        "${private[@]}" mount -t tmpfs none full 2>/dev/null || continue
        # shellcheck disable=SC2016 # the inner shell expands
        run -1 --separate-stderr "${private[@]}" bash -c '
            mount -t tmpfs -o size=64k none full && "$1" full/demo 32
            status=$?
            cat full/demo >part
            exit "$status"' - "$root/$chapter/$it"
        assert_error "$it: IO*_CMD_PWRITE full/demo: $text"
        assert_blocks part 16
    done
}

@test "an event with a negative res, or 0, is the write's error" {
    local it

    for it in "${batches[@]}"; do
        fails "$it" io_getevents@1=res=-EIO "IO*_CMD_PWRITE demo: $eio" \
            io_getevents@3=res=-EINVAL "IO*_CMD_PWRITE demo: Invalid argument" \
            io_getevents@1=res=0 "IO*_CMD_PWRITE demo: $eio"
    done
    failed
}

@test "reading back finds what was not written" {
    local it

    # These take all and keep nothing.
    for it in "${batches[@]}"; do
        EXPECT=/dev/zero begin "$it" /dev/zero 2
        EXPECT=/dev/null begin "$it" /dev/null 1
    done
    while next; do
        assert_status 1
        assert_error "$name: read back block 0 of $expect: $eio"
    done
}

@test "a folder that is missing, a folder, a file that must not be written" {
    local it

    : >mine
    chmod 444 mine
    for it in "${batches[@]}" partial-submit cancel; do
        EXPECT='open nowhere/demo: No such file or directory' \
            begin "$it" nowhere/demo
        EXPECT='open .: Is a directory' begin "$it" .
        run -1 --separate-stderr without_override "$root/$chapter/$it" mine
        assert_error "$it: open mine: Permission denied"
        [[ ! -s mine ]]
    done
    failed
}

@test "no AIO in this kernel, or not in this sandbox" {
    local it

    for it in "${batches[@]}" partial-submit cancel; do
        fails "$it" 'io_setup@*=ENOSYS' 'io_setup: Function not implemented' \
            'io_setup@*=EPERM' 'io_setup: Operation not permitted'
    done
    failed
}

@test "each call of batch-submit that fails is named" {
    local it

    for it in "${batches[@]}"; do
        fails "$it" calloc@1=EIO "calloc: $eio" calloc@2=EIO "calloc: $eio" \
            calloc@3=EIO "calloc: $eio" calloc@4=EIO "calloc: $eio" \
            open@1=EIO "open demo: $eio" fopen@1=EIO "open demo: $eio" \
            io_setup@1=EIO "io_setup: $eio" io_submit@1=EIO "io_submit: $eio" \
            io_submit@8=EIO "io_submit: $eio" \
            io_getevents@1=EIO "io_getevents: $eio" \
            io_getevents@8=EIO "io_getevents: $eio" \
            io_destroy@1=EIO "io_destroy: $eio" close@1=EIO "close demo: $eio"
    done
    failed
}

@test "a file size limit ends a program with an error, not by a signal" {
    local it

    for it in "${batches[@]}" partial-submit cancel; do
        run -1 bash -c 'ulimit -f 0 && exec "$@"' - "$root/$chapter/$it" demo
        stderr=${lines[-1]}
        assert_error "$it: IO*_CMD_PWRITE demo: $("$probe" reason EFBIG)"
        [[ ! -s demo ]]
    done
}

@test "what was printed stands ahead of the error" {
    AIO_FAULT='io_destroy@1=EIO' run -1 env \
        LD_PRELOAD="$root/tests/helpers/fault.so" \
        "$root/$chapter/partial-submit" demo
    same "the first line" "${lines[0]}" "io_submit of 3: 1 taken"
    same "the last line" "${lines[-1]}" "partial-submit: io_destroy: $eio"
}

@test "output that can't be written is an error" {
    local it

    for it in "${batches[@]}" partial-submit cancel; do
        run -1 --separate-stderr bash -c 'exec "$@" >/dev/full' - \
            "$root/$chapter/$it" demo
        assert_error "$it: standard output: $("$probe" reason ENOSPC)"
        # All is written but the last.
        AIO_FAULT='fflush@*=ENOSPC' program -1 "$it" demo
        assert_error "$it: standard output: $("$probe" reason ENOSPC)"
    done
}

# ---- partial-submit ----

@test "io_submit stops at a bad request, and the count says where" {
    traced partial-submit demo
    same calls "$(sed '/^io_getevents/d' <<<"$trace")" "\
signal SIGXFSZ ignored
create demo 666
io_setup 3 = 0
io_submit 3 = 1: pwrite demo 6@0, pwrite -1 7@6 data=1
io_submit 2 = -9: pwrite -1 7@6 data=1
io_submit 2 = 2: pwrite demo 7@6 data=1, pwrite demo 6@13 data=2
io_destroy = 0"
    same "the first line" "${lines[0]}" "io_submit of 3: 1 taken"
}

@test "the tail, submitted again, tells the errno; mended, it goes through" {
    program -0 partial-submit demo
    assert_output "io_submit of 3: 1 taken
io_submit of 2: Bad file descriptor
request 2 had no descriptor: mended
io_submit of 2: 2 taken
events: 3, all written"
    printf 'first\nsecond\nthird\n' | cmp - demo
}

@test "partial-submit: wrong arguments are answered with the usage" {
    assert_usage partial-submit
    assert_usage partial-submit demo 1
    assert_usage partial-submit -x
    [[ ! -e demo ]]
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
request 2 had no descriptor: mended
io_submit of 2: 1 taken
io_submit of 1: 1 taken
events: 3, all written"
        printf 'first\nsecond\nthird\n' | cmp - "$at/demo"
    done
}

@test "partial-submit empties a file that is longer" {
    head -c 100 /dev/zero >demo
    program -0 partial-submit demo
    printf 'first\nsecond\nthird\n' | cmp - demo
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

# ---- cancel ----

# cancel_output DIRECT: what it prints; is there O_DIRECT, yes or no?
cancel_output() {
    echo "io_cancel, buffered write: Invalid argument"
    echo "  and its event: res 65536"
    if [[ $1 == yes ]]; then
        echo "io_cancel, O_DIRECT write: Invalid argument"
        echo "  and its event: res 65536"
    else
        echo "no O_DIRECT on this filesystem"
    fi
    echo "io_cancel, wrong aio_key: Invalid argument"
    echo "io_cancel, POLL: $("$probe" reason EINPROGRESS)"
    echo "  result: untouched"
    echo "io_cancel, a second time: Invalid argument"
    echo "  and its event: data 42, res 0"
}

@test "io_cancel: files refuse, a POLL is EINPROGRESS and a late event" {
    traced cancel demo
    assert_output "$(cancel_output "$("$probe" direct try)")"
    # The first lines, until the pipe, once more if there is O_DIRECT.
    same calls "$(sed '7{/pwrite/{N;N;d;};}' <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 1 = 0
create demo 666
io_submit 1 = 1: pwrite demo 65536@0
io_cancel = -22
io_getevents 1 1 10.000000000 = 1
io_submit 1 = 1: poll pipe:r 1 data=42
io_cancel key=1 = -22
io_cancel = -115
io_cancel = -22
io_getevents 1 1 10.000000000 = 1
io_destroy = 0"
    head -c 65536 /dev/zero | tr '\0' c | cmp - demo
}

@test "cancel goes on where a filesystem has no O_DIRECT" {
    AIO_FAULT='open:direct@1=EINVAL' program -0 cancel demo
    assert_output "$(cancel_output no)"
    head -c 65536 /dev/zero | tr '\0' c | cmp - demo
}

@test "cancel: wrong arguments are answered with the usage" {
    assert_usage cancel
    assert_usage cancel demo 1
    assert_usage cancel -x
    [[ ! -e demo ]]
}

@test "EINTR in each wait of cancel: it waits again" {
    local n

    for n in 1 2 3; do
        AIO_FAULT="open:direct@1=EINVAL io_getevents@$n=EINTR" \
            begin cancel demo
    done
    while next; do
        assert_status 0
        assert_output "$(cancel_output no)"
    done
}

@test "where io_cancel fails in another way, nobody waits for an event" {
    AIO_FAULT='open:direct@1=EINVAL io_cancel@3=EIO' program -1 cancel demo
    assert_error "cancel: io_cancel: $eio"
    assert_line "io_cancel, POLL: $eio"
}

@test "each call of cancel that fails is named" {
    fails cancel open@1=EIO "open demo: $eio" io_setup@1=EIO "io_setup: $eio" \
        posix_memalign@1=EIO "posix_memalign: $eio" \
        open:direct@1=EIO "open demo: $eio" pipe@1=EIO "pipe: $eio" \
        io_submit@1=EIO "io_submit: $eio" io_submit@2+=EIO "io_submit: $eio" \
        io_getevents@1=EIO "io_getevents: $eio" \
        'open:direct@1=EINVAL io_getevents@2=EIO' "io_getevents: $eio" \
        io_getevents@1=res=-EIO "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=65535 "IOCB_CMD_PWRITE demo: $eio" \
        io_getevents@1=res=0 "IOCB_CMD_PWRITE demo: $eio" \
        io_destroy@1=EIO "io_destroy: $eio" close@1=EIO "close demo: $eio" \
        'open:direct@1=EINVAL close@2=EIO' "close: $eio" \
        'open:direct@1=EINVAL close@3=EIO' "close: $eio"
    failed
    LOG=yes begin cancel demo
    next
    same "io_destroy, close" "$(calls io_destroy) $(calls close)" \
        "1 $(($(calls open) + 2))"
}

@test "an event that does not come in time is told, not waited for" {
    fails cancel io_submit@1=short=0 \
        "io_submit: Resource temporarily unavailable" \
        io_getevents@1=short=0 "io_getevents: $("$probe" reason ETIMEDOUT)"
    failed
}

# ---- io_cancel beyond that ----

@test "io_cancel: an unreadable iocb is EFAULT, before all other checks" {
    run -0 "$probe" cancel-checks
    assert_line "bad context, bad iocb: EFAULT"
    assert_line "bad iocb: EFAULT"
}

@test "io_cancel: bad context, wrong key, unknown request: EINVAL" {
    run -0 "$probe" cancel-checks
    assert_line "bad context: EINVAL"
    assert_line "wrong key: EINVAL"
    assert_line "never submitted: EINVAL"
}

@test "io_cancel: file I/O in flight is never cancelled, O_DIRECT included" {
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

@test "batch-submit-libaio is there if libaio is" {
    if [[ -n $asked ]]; then
        [[ -x $root/$chapter/batch-submit-libaio ]]
    else
        [[ ! -e $root/$chapter/batch-submit-libaio ]]
    fi
}

@test "batch-submit-libaio prints what batch-submit prints" {
    local it first

    for it in "${batches[@]}"; do
        AIO_FAULT='io_submit@*=short=4 io_getevents@*=short=1' \
            begin "$it" demo 31 6
    done
    while next; do
        same "output of $name" "$output" "${first:=$output}"
        assert_blocks "$at/demo" 31
    done
}

@test "libaio's structures are the kernel's: another would not compile" {
    [[ -n $asked ]] || return 0
    sed 's/^SAME(iocb, key, aio_key)/SAME(iocb, key, aio_rw_flags)/' \
        "$root/$chapter/batch-submit-libaio.c" >wrong.c
    # shellcheck disable=SC2086
    run -1 ${CC:-cc} ${CPPFLAGS-} -fsyntax-only wrong.c
    [[ $output == *static?assert*failed* ]]
}

@test "libaio returns -errno and leaves errno alone" {
    [[ -n $asked ]] || return 0
    output=$(<"$asked")
    assert_line "io_setup(0): -EINVAL, errno left alone"
    assert_line "io_setup(1): done, errno left alone"
    assert_line "io_submit: -EINVAL, errno left alone"
    assert_line "io_getevents: -EINVAL, errno left alone"
    assert_line "io_cancel: -EFAULT, errno left alone"
    assert_line "io_destroy: done, errno left alone"
    assert_line "io_destroy again: -EINVAL, errno left alone"
}

@test "libaio's res is unsigned: cast it before it is compared with 0" {
    [[ -n $asked ]] || return 0
    output=$(<"$asked")
    assert_line "res as it is: above 0"
    assert_line "res as a long: -EFAULT"
}

@test "io_set_callback takes data, and io_prep_pwrite empties it" {
    [[ -n $asked ]] || return 0
    output=$(<"$asked")
    assert_line "the callback: is data"
    assert_line "after io_prep_pwrite: no data"
}

@test "io_context_t points to a structure that does not exist" {
    [[ -n $asked ]] || return 0
    echo 'unsigned long size(io_context_t ctx) { return sizeof(*ctx); }' >ask.c
    # shellcheck disable=SC2086
    run -1 ${CC:-cc} ${CPPFLAGS-} -include libaio.h -fsyntax-only ask.c
    [[ $output == *"incomplete type"* ]]
}
