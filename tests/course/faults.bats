# What is preloaded into programs (helpers/preload.c): each thing that it can
# do to a call, and that a spec it cannot follow is never passed over in
# silence; and within.c, which starts programs for all tests.
#
# shellcheck disable=SC2034,SC2154 # set by and for bats and helpers/common

load ../helpers/common
chapter=tests/helpers           # of `calls`, which makes the calls named

# with SPECS NAME [ARGUMENT...]: runs a program under these faults.
with() {
    AIO_FAULT=$1 program "${@:2}"
}

# count CALL: how often it was made, says the log.
count() {
    sed -n "s/^$1 //p" log
}

@test "without a spec nothing is changed" {
    program -0 calls write pwrite pread lseek rename access getrandom malloc
    expected=$output
    rm calls.*
    with ' ' -0 calls write pwrite pread lseek rename access getrandom malloc
    assert_output "$expected"
    assert_stderr ""
}

@test "an errno's name: the call is not made, returns -1 and sets errno" {
    with 'rename@1=EXDEV' -0 calls rename access
    assert_output "\
rename: -1, EXDEV
access: -1, ENOENT"
}

@test "an errno's number is as good as its name" {
    with 'rename@1=13' -0 calls rename
    assert_output "rename: -1, EACCES"
}

@test "N is the Nth call, N+ that and all later ones, * is all" {
    with 'close@3=EIO' -0 calls close close close
    assert_output $'close: 0\nclose: -1, EIO\nclose: 0'
    with 'close@3+=EIO' -0 calls close close close
    assert_output "\
close: 0
close: -1, EIO
close: -1, EIO"
    with 'close@*=EIO' -0 calls close close
    assert_output $'close: -1, EIO
close: -1, EIO'
}

@test "several specs are followed, the first that fits a call" {
    with $'close@*=EIO  rename@1=EROFS\nclose@2=EINTR' -0 calls close rename
    assert_output "\
close: -1, EIO
rename: -1, EROFS"
}

@test "after=: the call is made, and then reported to have failed" {
    with 'rename@1=after=EIO' -0 calls rename access
    assert_output $'rename: -1, EIO\naccess: 0'
}

@test "each function fails in its own way" {
    local enospc=28 enomem=12 edeadlk=35 ecanceled=125

    with 'fopen@1=EMFILE mmap@1=ENODEV signal@1=EINVAL fork@1=EAGAIN
        sem_init@1=ENOSYS posix_fallocate@1=ENOSPC posix_memalign@1=ENOMEM
        pthread_mutex_lock@1=EDEADLK aio_error@1=ECANCELED' -0 \
        calls fopen mmap signal fork sem_init posix_fallocate \
        posix_memalign pthread_mutex_lock aio_error
    assert_output "\
fopen: NULL, EMFILE
mmap: -1, ENODEV
signal: -1, EINVAL
fork: -1, EAGAIN
sem_init: -1, ENOSYS
posix_fallocate: $enospc
posix_memalign: $enomem
pthread_mutex_lock: $edeadlk
aio_error: $ecanceled"
}

@test "memory runs out for the program, not for its C library" {
    with 'malloc@2=ENOMEM calloc@1=ENOMEM realloc@1=ENOMEM
        aligned_alloc@1=ENOMEM' -0 \
        calls open fopen malloc malloc malloc calloc realloc aligned_alloc
    assert_output "\
open: 0
fopen: a pointer
malloc: a pointer
malloc: NULL, ENOMEM
malloc: a pointer
calloc: NULL, ENOMEM
realloc: NULL, ENOMEM
aligned_alloc: NULL, ENOMEM"
}

@test "open is every open, open:direct only those with O_DIRECT" {
    with 'open:direct@1=EINVAL' -0 calls open open:direct open
    assert_output $'open: 0\nopen:direct: -1, EINVAL\nopen: 0'
    with 'open@3=EACCES' -0 calls open open:direct
    assert_line 'open: 0'
    assert_line 'open:direct: -1, EACCES'
}

@test "short=: at most so many bytes are read and written" {
    with 'write@2=short=3 pwrite@1=short=5 pread@*=short=100' -0 \
        calls write size write size pwrite pread
    assert_output "\
write: 8
size: 8
write: 3
size: 11
pwrite: 5
pread: 8"
    with 'read@1=short=2 pread@1=short=1' -0 calls pwrite read read pread
    assert_output $'pwrite: 8\nread: 2\nread: 6\npread: 1'
}

@test "short=0: no call is made, and 0 returned" {
    with 'write@1=short=0' -0 calls write size
    assert_output $'write: 0\nsize: 0'
}

@test "bytes=: the requests of an io_submit are for fewer bytes" {
    local program

    chapter=02-single-write
    with 'io_submit@1=bytes=3' -1 single-write file text
    assert_line '  res              3  *'
    same "what was written" "$(cat file)" tex

    # Segments are cut as well, and what is missing is asked for anew.
    chapter=06-vectored
    seq 2000 >file
    AIO_FAULT_LOG=log with 'io_submit@*=bytes=512' -0 aio-copy file new 1 4096
    cmp file new
    (($(count io_submit) > 20))         # 8893 bytes, read and written
    with 'io_submit@1=bytes=0' -1 aio-copy file new 1 4096
    assert_error "aio-copy: file: is shorter than when the copy began"
}

@test "short= for aio_return: what it returns is at most that" {
    chapter=07-posix-aio
    with 'aio_return@1=short=5' -1 posix-aio file
    assert_error "posix-aio: aio_write file: only 5 of 27 bytes: *"
}

@test "calls made with syscall() fail, and others pass" {
    with 'getrandom@1=ENOSYS' -0 calls getrandom getrandom getpid
    assert_output "\
getrandom: -1, ENOSYS
getrandom: 8
getpid: 0"
}

@test "every AIO call can fail" {
    local call

    chapter=02-single-write
    for call in io_setup io_submit io_getevents io_destroy; do
        with "$call@1=ENOSPC" -1 single-write file
        assert_error "single-write: $call: No space left on device"
    done
    chapter=03-batch-submit
    with 'io_cancel@*=ENOSYS' cancel file
    [[ $output$stderr == *"Function not implemented"* ]] ||
        same "what cancel says" "$output$stderr" "...Function not implemented"
}

@test "short= for io_submit and io_getevents: fewer requests, fewer events" {
    chapter=03-batch-submit
    with 'io_submit@*=short=1' -0 batch-submit file 64 8
    assert_line 'io_submit calls: 64'
    assert_line 'io_getevents calls: 8'
    with 'io_getevents@*=short=1' -0 batch-submit file 64 8
    assert_line 'io_getevents calls: 64'
    with 'io_submit@1=short=3' -0 batch-submit file 8 8
    assert_line 'io_submit calls: 2'
}

@test "res= changes the first event's res" {
    chapter=02-single-write
    with 'io_getevents@1=res=-ENOSPC' -1 single-write file text
    assert_line '  res            -28  *'
    same "what was written" "$(cat file)" text
    with 'io_getevents@1=res=3' -1 single-write file text
    assert_line '  res              3  *'
    assert_error "single-write: IOCB_CMD_PWRITE file: only 3 of 4 bytes*"
}

@test "last= changes the res of a call's last event" {
    chapter=02-single-write
    with 'io_getevents@1=last=-ENOSPC' -1 single-write file text
    assert_line '  res            -28  *'
    chapter=03-batch-submit
    with 'io_getevents@1=last=-ENOSPC' -1 batch-submit file 8 8
    assert_error 'batch-submit: IOCB_CMD_PWRITE file: No space left on device'
}

@test "full=: io_submit fails until somebody looks for events" {
    chapter=03-batch-submit
    AIO_LATE=newest with 'io_submit@2=full=EAGAIN' -0 batch-submit file 16 8
    with 'io_submit@1=full=EAGAIN' -1 batch-submit file 16 8
    assert_error 'batch-submit: io_submit: Resource temporarily unavailable'
}

@test "over=: what a request is said to have come to, once it is over" {
    chapter=07-posix-aio
    with 'aio_error@*=over=ENOSPC aio_return@*=over=ENOSPC' -1 posix-aio file
    assert_error 'posix-aio: aio_*: No space left on device'
    with 'lio_listio@*=over=EIO' -1 listio file
    assert_error 'listio: lio_listio*'
}

@test "a program on libaio gets libaio's negative errno" {
    [[ -x $root/03-batch-submit/batch-submit-libaio ]] ||
        skip "there is no <libaio.h>: batch-submit-libaio is not built"
    chapter=03-batch-submit
    with 'io_setup@1=EAGAIN' -1 batch-submit-libaio file
    [[ $stderr == *"Resource temporarily unavailable" ]] ||
        same stderr "$stderr" "...Resource temporarily unavailable"
    with 'io_submit@1=short=1' -0 batch-submit-libaio file 8 8
    assert_line 'io_submit calls: 2'
}

@test "late requests are done, the newest first, with libaio as without" {
    local name

    chapter=03-batch-submit
    for name in batch-submit batch-submit-libaio; do
        [[ -x $root/$chapter/$name ]] || continue       # there is no libaio
        rm -f log
        AIO_LATE=newest AIO_WATCH=log AIO_FAULT='io_submit@1=short=3' \
            program -0 "$name" file 9 4
        same "what $name is given" "$(head -n 3 log)" "\
submit 1:0:4096 1:4096:4096 1:8192:4096
submit 1:12288:4096
reap 1"
        same blocks "$(grep -ao 'block [0-9]' file | tr -dc 0-9)" 012345678
    done
}

@test "a call is seen by each name that it has, aio_read64 as well" {
    local name source=$root/07-posix-aio/posix-aio.c

    for name in 32 64; do
        # shellcheck disable=SC2086 # several words each
        ${CC:-cc} $CPPFLAGS $CFLAGS -D_FILE_OFFSET_BITS=$name -o posix-aio \
            "$source" -pthread -lrt
        ended 60 "LD_PRELOAD=$root/tests/helpers/fault.so" \
            AIO_TRACE=trace.$name AIO_FAULT_LOG=log.$name ./posix-aio file
        same status "$status" 0
    done
    [[ $(<trace.64) == *'aio_read file'*'left: 0 contexts, 0 desc'* ]]
    same "what is seen" "$(grep -v suspend trace.64)" \
        "$(grep -v suspend trace.32)"
    same "what is counted" "$(grep -v 'suspend\|error' log.64)" \
        "$(grep -v 'suspend\|error' log.32)"
}

@test "the log says how often each call was made" {
    AIO_FAULT_LOG=log with 'close@2=EIO' -0 calls rename close close malloc
    same "close" "$(count close)" 3
    same "rename" "$(count rename)" 1
    same "malloc" "$(count malloc)" 1
    same "fork" "$(count fork)" ""
    rm log
    chapter=03-batch-submit
    AIO_FAULT_LOG=log with ' ' -0 batch-submit file 64 8
    same "io_setup" "$(count io_setup)" 1
    same "io_submit" "$(count io_submit)" 8
    same "io_getevents" "$(count io_getevents)" 8
}

@test "a child counts on, and writes lines of its own at exit" {
    AIO_FAULT_LOG=log with 'unlink@2=EIO' -0 calls close fork close
    # creat's close and one more ahead of the fork, then one more.
    same "close" "$(count close)" $'2\n3'
    same "unlink" "$(count unlink)" 1
}

@test "a spec that makes no sense ends the program at once, status 99" {
    local spec

    for spec in \
        'rename@1=EFOO' 'rename@1=' 'rename@1=after=' 'rename@1=before=EIO' \
        'rename@1=short=1' 'io_submit@1=res=1' 'read@1=bytes=1' \
        'io_getevents@1=short=-1' \
        'rename@0=EIO' 'rename@+=EIO' 'rename@1-2=EIO' 'rename@1' 'rename' \
        'renam@1=EIO' 'open:sync@1=EIO' "rename@1=$(printf %099d 5)"; do
        with "close@9=EIO $spec" -99 calls rename
        assert_output ""
        assert_error "fault.so: AIO_FAULT: '$spec': *"
        [[ ! -e calls.data ]] || same calls.data made "not made"
    done
    with "$(printf 'close@%d=EIO ' {1..33})" -99 calls rename
    assert_error "fault.so: AIO_FAULT: 'close@33=EIO': *"
}

@test "within ends what takes too long, and hands on variables and status" {
    ended 1 sleep 20
    same "status of what took too long" "$status" 142
    # shellcheck disable=SC2016 # for the inner shell
    ended 9 A=1 B='2 3' sh -c 'echo "$A $B"; exit 5'
    same status "$status" 5
    assert_output '1 2 3'
    ended 9 ./none
    same "status of what is not there" "$status" 127
    assert_error './none: No such file or directory'
    ended 9 A=1
    same "status of no program" "$status" 2
}

@test "within: a signal that is ignored here is not in the program" {
    # SIGHUP as nohup leaves it: bit 0 of the mask.
    trap '' HUP
    ended 9 grep SigIgn /proc/self/status
    [[ $output =~ 0*([0-9a-f]+)$ ]]
    same "SigIgn" "$((16#${BASH_REMATCH[1]} & 1))" 0
}
