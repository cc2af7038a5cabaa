# The torture bench finds what is wrong with a program, and accuses none that
# is right. The wrong ones are batch-submit, and the same on libaio, with one
# line changed.
# seconds: 9

# shellcheck disable=SC2154 # common.bash sets root
load ../helpers/common

bench() {
    AIO_TEST_DIR='' run --separate-stderr "$root/tests/tools/torture" "$@"
}

# planted NAME SED-SCRIPT: ./NAME, of batch-submit with that bug, and
# ./NAME-libaio.
planted() {
    local source

    for source in batch-submit batch-submit-libaio; do
        [[ -x $root/03-batch-submit/$source ]] || continue
        sed -E "$2" "$root/03-batch-submit/$source.c" >"$1$source.c"
        run ! cmp -s "$1$source.c" "$root/03-batch-submit/$source.c"
        # shellcheck disable=SC2046,SC2086 # several words
        ${CC:-cc} $CPPFLAGS $CFLAGS -w -o "$1${source#batch-submit}" \
            "$1$source.c" $([[ $source != *libaio ]] || echo -laio)
    done
}

# finds NAME TEXT: under that torment, in the raw program and in libaio's.
finds() {
    local program

    for program in wrong wrong-libaio; do
        [[ -x $program ]] || continue
        bench --file demo.dat --seconds 3 --only "$1" -- \
            "./$program" demo.dat 24 6
        [[ $status == 1 ]] || same "status on $program" "$status" 1
        assert_line "FOUND $2"
    done
}

@test "a right program is accused of nothing, raw and with libaio" {
    local program

    for program in batch-submit batch-submit-libaio; do
        [[ -x $root/03-batch-submit/$program ]] || continue
        bench --file demo.dat -- "$root/03-batch-submit/$program" demo.dat 24 6
        same status "$status" 0
        assert_line '11 torments, 0 with findings'
        run ! grep FOUND <<<"$output"
    done
    [[ ! -e demo.dat ]]
}

@test "one buffer for all requests is found" {
    planted wrong '/void prepare/,/^}/s/request->data,/window[0].data,/
        s/\(uintptr_t\)request->data/(uintptr_t)window[0].data/'
    finds late-newest \
        'completions late*: buffer changed in flight: pwrite 4096@*'
}

@test "the dropped tail of a partial submission is found" {
    planted wrong 's/^( *)nr_ready -= n;/\1nr_ready = n = 0;/'
    finds partial 'io_submit takes a part: hangs: *'
}

@test "an interrupted wait that is taken for the end is found" {
    planted wrong 's/if \(n == -1 && errno != EINTR\)/if (n == -1)\
            done = requests;\
        else if (0)/
        s/if \(n < 0 && n != -EINTR\)/if (n < 0) done = requests; else if (0)/'
    finds interrupted 'a signal interrupts a wait: EINTR: *'
}

@test "an error in res that nobody looks at is found" {
    planted wrong 's/if \(res <= 0\)/if (res < 0) res = BLOCK; if (0)/'
    finds failed 'a transfer fails: EIO in the event: an error that nobody *'
}

@test "events that are taken to come in order are found" {
    planted wrong 's/complete\(.*events\[i\]\.data, /static long next;\
        complete(\&window[next++ % depth], /'
    finds late-newest 'completions late, the newest first: *'
}

@test "a context that is left is found" {
    planted wrong 's/^    if \(io_destroy\(ctx\) == -1\)/    if (0)/
        s/^    errno = -io_destroy\(ctx\);/    errno = 0;/'
    finds as-it-is 'as it is: contexts left, without io_destroy: 1'
}

@test "a short write that is taken for all is found" {
    planted wrong '/short: the rest/s/if \(.*\) \{/if (0) {/'
    finds short 'short transfers: another result: demo.dat differs*'
}

@test "a buffer that is freed in flight is found" {
    # In both kinds of struct iocb the address is at byte 24.
    planted wrong 's/\(uintptr_t\)request->data,/(uintptr_t)COPY,/
        s/fd, request->data, BLOCK/fd, COPY, BLOCK/
        s/^( *)in_flight \+= n;/&\
            for (int k = 0; k < n; k++) free(AT24(ready[k]));/
        s/^enum .*/&\n#define COPY memcpy(malloc(BLOCK), request->data, BLOCK)/
        s/^enum .*/&\n#define AT24(iocb) *(void **)((char *)(iocb) + 24)/'
    finds late-newest '*: buffer freed in flight: *'
}

@test "a request that is submitted twice is found" {
    planted wrong 's/memmove\(ready, ready \+ n,/memmove(ready, ready,/'
    finds partial \
        'io_submit takes a part: *submitted again in flight: pwrite 4096@*'
}

@test "the command that shows a finding again does" {
    planted wrong '/short: the rest/s/if \(.*\) \{/if (0) {/'
    bench --file demo.dat --without late-newest -- ./wrong demo.dat 8 4
    bash -c "$(sed -n '/^FOUND short/{n;p;}' <<<"$output")"
    run -0 ./wrong good.dat 8 4
    run ! cmp -s demo.dat good.dat
    [[ $output != *newest* ]]
}

@test "the user's files are as they were, whatever became of a run" {
    echo mine >demo.dat
    touch -d 2020-01-01 demo.dat
    bench --file demo.dat --file new.dat -- \
        "$root/03-batch-submit/batch-submit" demo.dat 8 4
    same "the file" "$(cat demo.dat)" mine
    [[ $(stat -c %y demo.dat) == 2020-01-01* && ! -e new.dat ]]
}

@test "POSIX AIO is tormented as far as that goes" {
    bench --file demo.dat -- "$root/07-posix-aio/posix-aio" demo.dat
    same status "$status" 0
    assert_line 'ok    transfers fail: aio_error says EIO'
    assert_line 'ok    no thread can be made'

    sed 's/aio_return(&/0 * &/; s/if (n == -1)/if (0)/' \
        "$root/07-posix-aio/posix-aio.c" >wrong.c
    printf '%s\n' '#include <aio.h>' '#include <fcntl.h>' '#include <errno.h>' \
        'int main(void) { static char text[64];' \
        'struct aiocb aiocb = { .aio_buf = text, .aio_nbytes = 64 };' \
        'const struct aiocb *list[1] = { &aiocb };' \
        'aiocb.aio_fildes = open("demo.dat", O_RDWR | O_CREAT, 0666);' \
        'aiocb.aio_sigevent.sigev_notify = SIGEV_NONE;' \
        'aio_write(&aiocb); while (aio_error(&aiocb) == EINPROGRESS)' \
        'aio_suspend(list, 1, 0); aio_return(&aiocb); return 0; }' >wrong.c
    # shellcheck disable=SC2086 # several words
    ${CC:-cc} $CPPFLAGS -w -o wrong wrong.c -lrt
    bench --file demo.dat -- ./wrong
    same status "$status" 1
    assert_line 'FOUND transfers fail: aio_error says EIO: *nobody noticed*'
    assert_line 'FOUND aio_write is refused: *'
}

# For `wrong` a signal ends the wait, and nothing else; `careful` looks at the
# requests as well, once a second.
@test "who waits for ever for a signal that is lost is found; signal gives up" {
    local name text='signals are lost'

    sed 's/while (told != ALL \&\& .*/while (told != ALL)/' \
        "$root/07-posix-aio/signal.c" >wrong.c
    sed 's/^        take();/{\
        take();\
        for (int i = 0; i < REQUESTS; i++)\
            if (aio_error(\&aiocbs[i]) != EINPROGRESS)\
                told |= 1 << i;\
    }/' "$root/07-posix-aio/signal.c" >careful.c
    for name in wrong careful; do
        run ! cmp -s "$name.c" "$root/07-posix-aio/signal.c"
        # shellcheck disable=SC2086 # several words
        ${CC:-cc} $CPPFLAGS $CFLAGS -o "$name" "$name.c" -lrt
    done
    bench --file demo.txt --seconds 3 --only posix-signals-lost -- \
        ./wrong demo.txt
    assert_line "FOUND $text: hangs: still running after 3 seconds"
    for name in ./careful "$root/07-posix-aio/signal"; do
        bench --file demo.txt --only posix-signals-lost -- "$name" demo.txt
        same "status with $name" "$status" 0
        assert_line "ok    $text"
    done
    bench --file demo.txt --only posix-signals-lost -- \
        "$root/07-posix-aio/suspend" demo.txt
    assert_line "--    $text: it asks for none"
}

@test "what cannot be tormented gets one clear line, status 2" {
    bench --
    same status "$status" 2
    bench -- ./no-such-program
    [[ $status == 2 && $stderr == 'torture: ./no-such-program: there is no '* ]]
    bench -- true
    [[ $status == 2 && $stderr == 'torture: true: no AIO calls seen: '* ]]
    bench --seconds x -- true
    [[ $status == 2 && $stderr == "torture: 'x' is no number of seconds" ]]
    bench --without x -- true
    [[ $status == 2 && $stderr == *"there is no torment"* ]]
    bench --seconds 1 -- sleep 30
    [[ $status == 2 && $stderr == *'does not end by itself'* ]]
    bench -- sh -c 'kill -SEGV $$'
    [[ $status == 2 && $stderr == *'crashes without any torment: SIGSEGV'* ]]
    bench --ignore '(' -- true
    [[ $status == 2 && $stderr == "torture: '(' is no regular expression" ]]
    bench -- "$root/03-batch-submit/batch-submit-io_uring" demo.dat 8 4
    [[ $status == 2 && $stderr == *': no AIO calls seen: it uses io_uring'* ||
        $stderr == *'io_uring_setup: '* ]]
    echo 'int main(void) { return 0; }' >small.c
    if ${CC:-cc} -static -o static small.c 2>/dev/null; then
        bench -- ./static
        [[ $status == 2 && $stderr == *': it is static, or written in Go, '* ]]
    fi
    cp "$root/tests/helpers/fault.so" other
    # The other class than the bench's own: 1 is 32 bits, 2 is 64.
    printf '%b' "\\0$((3 - $(od -An -j 4 -N 1 -tu1 other)))" |
        dd of=other bs=1 seek=4 conv=notrunc 2>/dev/null
    bench -- ./other
    [[ $status == 2 && $stderr == "torture: ./other: is for "*" bits, "* ]]
    cp "$(type -P true)" own
    chmod u+s own
    bench -- ./own
    [[ $status == 2 && $stderr == *'setuid'* ]]
}

@test "an error of io_submit that nobody notices is found" {
    planted wrong 's/^( *)if \(n == -1 && errno == EAGAIN && in_flight > 0\)/\
        if (n == -1 \&\& errno == EPERM) exit(0);\n&/
        s/^( *)if \(n == -EAGAIN && in_flight > 0\)/\
        if (n == -EPERM) exit(0);\n&/'
    finds refused 'a call is refused: another result: *'
}

@test "asking again and again where there is no room is found" {
    planted wrong 's/^( *)if \(n == -1 && errno == EAGAIN && in_flight > 0\)/\
        if (n == -1 \&\& errno == EAGAIN) continue;\n&/
        s/^( *)if \(n == -EAGAIN && in_flight > 0\)/\
        if (n == -EAGAIN) continue;\n&/'
    finds full 'the ring is full: EAGAIN with requests in flight: hangs: *'
}

@test "giving up with a message is no finding, where the ring is full" {
    planted wrong 's/(n == -1 && errno ==|n ==) -?EAGAIN && in_flight > 0/0/'
    bench --file demo.dat --only full -- ./wrong demo.dat 24 6
    same status "$status" 0
    assert_line 'ok    the ring is full: *: it gives up: status 1. wrong: *'
}

# said NAME: a script of that name that calls batch-submit for demo.dat, and
# says, in red, what standard input says, and a word that is another each time.
# shellcheck disable=SC2016 # for the script
said() {
    printf '%s\n' '#!/bin/sh' 'echo "at $(date +%N | tr 0-9 a-j)"' \
        'printf "\033[31m%s\033[0m\n" "$(cat)"' \
        "exec '$root/03-batch-submit/batch-submit' demo.dat 8 4" >"$1"
    chmod +x "$1"
}

@test "a script, its input, colours, output that is never the same" {
    said "a 'script\""
    echo hello >input
    bench --file "x y'\"" --only short -- "./a 'script\"" <input
    same status "$status" 0
    assert_line "ok    as it is: *the same (--ignore RE): 'at *', not 'at *'"
    bench --ignore 'at .*' --only short -- "./a 'script\"" <input
    same status "$status" 0
    assert_line 'ok    as it is'

    # Another result is shown by the line that differs, without its colours.
    said script
    # shellcheck disable=SC2016 # for the script
    sed -i 's/.(cat)/${AIO_LATE:-no}/' script
    bench --ignore 'at .*' --only late-newest -- ./script
    same status "$status" 1
    assert_line "FOUND *: another result: it says 'newest', not 'no'"
}

@test "for machines there is TAP, and torments can be left out" {
    bench --tap --without short --without refused -- \
        "$root/03-batch-submit/batch-submit" demo.dat 8 4
    same status "$status" 0
    [[ ${lines[0]} == 'TAP version 13' && ${lines[-1]} == 1..9 ]]
    [[ ${lines[1]} == 'ok 1 - as-it-is' && $output != *short* ]]
    bench --list
    assert_line 'late-newest'
}

@test "fio's libaio engine is accused of nothing, where fio is" {
    command -v fio >/dev/null || skip "there is no fio"
    bench -- fio --thread --name=x --filename=fio.dat --ioengine=libaio \
        --direct=1 --rw=randrw --bs=4k --size=256k --iodepth=8 --minimal
    same status "$status" 0
    assert_line 'ok    the ring is full: EAGAIN with requests in flight'
    assert_line 'ok    short transfers'
}

@test "qemu-io is accused of what it does, and of nothing else, where it is" {
    command -v qemu-io >/dev/null || skip "there is no qemu-io"
    head -c 1M /dev/zero >disk.img
    bench --file disk.img --ignore '[0-9:.]+ sec.*' -- \
        qemu-io -n -f raw -t none -i native \
        -c 'aio_write -P 7 0 64k' -c 'aio_write -P 8 64k 64k' -c aio_flush \
        -c 'read -P 7 0 64k' -c 'read -P 8 64k 64k' disk.img
    same status "$status" 1
    same "what is found" "$(sed -n 's/^FOUND \([^:]*\):.*/\1/p' <<<"$output")" \
        "as it is"
    assert_line 'ok    short transfers: it gives up: status *'
    assert_line '*contexts left, without io_destroy: 1'
}
