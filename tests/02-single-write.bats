# One request: single-write, single-read, durable-write, wait-timeout, and
# what io_submit and io_getevents do in each case.

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/probe
chapter=02-single-write

# EIO as glibc and musl put it.
eio='I*/[Oo]* error'

# text SIZE: makes $text that many bytes, no word like another.
text() {
    [[ ${long_text-} ]] ||
        long_text=$(seq 1000000 1020000 | tr '\n' ' ')
    text=${long_text:0:$1}
}

# file_is NAME TEXT: the file holds exactly TEXT, which ends in no newline.
file_is() {
    local content

    IFS= read -r -d '' content <"$1" || true
    same "$1" "$content" "$2"
}

# ---- single-write ----

@test "single-write shows each field of the request and of the event" {
    traced single-write demo.txt
    same calls "$trace" "\
signal SIGXFSZ ignored
create demo.txt 666
io_setup 1 = 0
io_submit 1 = 1: pwrite demo.txt 27@0 data=42
io_getevents 1 1 - = 1
io_destroy = 0"
    # Which number the file's descriptor has depends on who runs the test.
    output=$(sed -E 's/(aio_fildes  *)[0-9]+/\1N/' <<<"$output")
    assert_output "\
struct iocb, 64 bytes:
  aio_data        42  ours: comes back in the event
  aio_key          0  the kernel's: it writes 0 here
  aio_rw_flags     0  RWF_ flags, as in pwritev2()
  aio_lio_opcode   1  IOCB_CMD_PWRITE
  aio_reqprio      0  used with IOCB_FLAG_IOPRIO
  aio_fildes       N  file descriptor
  aio_buf          -  address of the text
  aio_nbytes      27  bytes
  aio_offset       0  bytes from the file's start
  aio_reserved2    0  must be 0
  aio_flags        0  IOCB_FLAG_RESFD, IOCB_FLAG_IOPRIO
  aio_resfd        0  used with IOCB_FLAG_RESFD
io_submit: 1 request taken
io_getevents: 1 event
struct io_event, 32 bytes:
  data            42  aio_data of the request
  obj              -  address of our iocb
  res             27  bytes written, or a negative errno
  res2             0  0 always, after errors too"
    file_is demo.txt $'Hello, asynchronous world!\n'
}

@test "single-write writes TEXT of any size, and res is that size" {
    local size

    for size in 0 1 4095 4096 4097; do
        text "$size"
        start "$size" single-write "demo.$size" "$text"
    done
    for size in 0 1 4095 4096 4097; do
        finish "$size" 0
        text "$size"
        file_is "demo.$size" "$text"
        assert_line "  aio_nbytes *[ ]$size  bytes"
        assert_line "  res *[ ]$size  bytes written, or a negative errno"
    done
}

@test "single-write empties a file that was longer, and makes a new one" {
    text 5000
    echo "$text" >demo.txt
    program -0 single-write demo.txt short
    file_is demo.txt short
    umask 022
    program -0 single-write new.txt ''
    same mode "$(stat -c '%a %s' new.txt)" "644 0"
}

@test "single-write: a file that cannot be opened is one line with its name" {
    mkdir folder
    touch read-only.txt
    chmod 444 read-only.txt
    program -1 single-write missing/demo.txt
    assert_output ""
    assert_error "single-write: open missing/demo.txt: No such file or\
 directory"
    program -1 single-write folder
    assert_error "single-write: open folder: Is a directory"
    program -1 single-write ''
    assert_error "single-write: open : No such file or directory"
    run -1 --separate-stderr without_override \
        "$root/02-single-write/single-write" read-only.txt
    assert_error "single-write: open read-only.txt: Permission denied"
}

@test "single-write to /dev/full: that device has no asynchronous write" {
    program -1 single-write /dev/full
    assert_error "single-write: io_submit: Invalid argument"
}

@test "single-write over ulimit -f: a short write, then EFBIG" {
    text 1500
    limited 1 single-write demo.txt "$text"
    same status "$status" 1
    assert_error "single-write: IOCB_CMD_PWRITE demo.txt: only 1024 of 1500\
 bytes written: $eio"
    file_is demo.txt "${text:0:1024}"
    limited 0 single-write demo.txt x
    same status "$status" 1
    assert_error "single-write: IOCB_CMD_PWRITE demo.txt: File too large"
    file_is demo.txt ""
}

@test "single-write to a full disk: ENOSPC is in the event" {
    # shellcheck disable=SC2016 # for the inner shell
    on_small_disk 8k bash -c 'head -c 8192 /dev/zero >all; exec "$@"' bash \
        "$root/02-single-write/single-write" demo.txt
    same status "$status" 1
    assert_line "io_submit: 1 request taken"
    assert_error "single-write: IOCB_CMD_PWRITE demo.txt: No space left on\
 device"
}

@test "single-write where there is no AIO keeps to one line" {
    in_sandbox ENOSYS single-write demo.txt
    same status "$status" 1
    assert_error "single-write: io_setup: Function not implemented"
    in_sandbox EPERM single-write demo.txt
    assert_error "single-write: io_setup: Operation not permitted"
}

@test "single-write names each call that fails" {
    each_call_fails EAGAIN "Resource temporarily unavailable" \
        "single-write demo.txt" "open@1 demo.txt" io_setup@1 io_submit@1 \
        io_getevents@1 io_destroy@1 "close@1 demo.txt"
}

@test "single-write: an error in the event is an error" {
    local write="single-write: IOCB_CMD_PWRITE demo.txt"

    AIO_FAULT='io_getevents@1=res=-ENOSPC' start nospc single-write demo.txt
    AIO_FAULT='io_getevents@1=res=26' start short single-write demo.txt
    AIO_FAULT='io_getevents@1=res=0' start nothing single-write demo.txt
    finish nospc 1
    assert_line "  res            -28  bytes written, or a negative errno"
    assert_error "$write: No space left on device"
    finish short 1
    assert_error "$write: only 26 of 27 bytes written: $eio"
    finish nothing 1
    assert_error "$write: only 0 of 27 bytes written: $eio"
}

@test "single-write waits again after EINTR" {
    AIO_FAULT='io_getevents@1=EINTR io_getevents@2=EINTR' \
        program -0 single-write demo.txt
    assert_stderr ""
    assert_line "io_getevents: 1 event"
}

@test "single-write: help and usage" {
    assert_help single-write
    assert_usage single-write
    assert_usage single-write demo.txt text more
    assert_usage single-write -x
    [[ ! -e demo.txt ]]
}

# ---- single-read ----

@test "single-read: all, short, and the end of the file" {
    printf 'Hello, reader!\n' >demo.txt
    traced single-read demo.txt
    same calls "$trace" "\
io_setup 1 = 0
io_submit 1 = 1: pread demo.txt 64@0
io_getevents 1 1 - = 1
io_submit 1 = 1: pread demo.txt 1@15
io_getevents 1 1 - = 1
io_submit 1 = 1: pread demo.txt 1@0
io_getevents 1 1 - = 1
io_submit 1 = -9: pread -1 1@0
io_destroy = 0"
    assert_output "\
64 bytes at 0: res 15, short: the file ends there
data: Hello, reader!.
1 byte at 15: res 0, the end of the file
into a constant: taken by io_submit, res -14, Bad address
from descriptor -1: refused by io_submit, Bad file descriptor"
}

# reads OFFSET LENGTH RESULT DATA: what the first two lines say.
reads() {
    finish "$1,$2" 0
    assert_stderr ""
    same lines "$(head -n 2 <<<"$output")" "$2 bytes at $1: res $3
data: $4"
}

@test "single-read takes OFFSET and LENGTH, up to the end and over it" {
    local last=9223372036854775806 request

    printf 'Hello, reader!\n' >demo.txt
    for request in 7,6 0,15 14,2 15,1 $last,1 5,0; do
        start "$request" single-read demo.txt "${request%,*}" "${request#*,}"
    done
    reads 7 6 "6, all of it" reader
    reads 0 15 "15, all of it" "Hello, reader!."
    reads 14 2 "1, short: the file ends there" "."
    reads 15 1 "0, the end of the file" ""
    reads $last 1 "0, the end of the file" ""
    reads 5 0 "0, all of it" ""
}

@test "single-read of a whole file, to the byte" {
    local size

    for size in 1 4095 4096 4097; do
        text "$size"
        printf %s "$text" >"demo.$size"
        start "$size" single-read "demo.$size" 0 "$size"
    done
    head -c 1048577 /dev/zero >demo.zero
    start most single-read demo.zero 1 1048576
    for size in 1 4095 4096 4097; do
        finish "$size" 0
        text "$size"
        assert_line "$size bytes at 0: res $size, all of it"
        assert_line "data: $text"
        assert_line "1 byte at $size: res 0, the end of the file"
    done
    finish most 0
    assert_line "1048576 bytes at 1: res 1048576, all of it"
}

@test "single-read of an empty file: the end comes before the bad buffer" {
    : >demo.txt
    program -0 single-read demo.txt
    assert_output "\
64 bytes at 0: res 0, the end of the file
data: 
1 byte at 0: res 0, the end of the file
into a constant: taken by io_submit, res 0, the end of the file
from descriptor -1: refused by io_submit, Bad file descriptor"
}

@test "single-read: a file that cannot be read is one line with its name" {
    touch secret.txt
    chmod 0 secret.txt
    program -1 single-read missing.txt
    assert_output ""
    assert_error "single-read: open missing.txt: No such file or directory"
    run -1 --separate-stderr without_override \
        "$root/02-single-write/single-read" secret.txt
    assert_error "single-read: open secret.txt: Permission denied"
    program -1 single-read .
    assert_error "single-read: io_submit: Invalid argument"
    echo >demo.txt
    program -1 single-read demo.txt 9223372036854775807
    assert_error "single-read: io_submit: Invalid argument"
}

@test "single-read names each call that fails" {
    echo Hello >demo.txt
    each_call_fails ENOSPC "No space left on device" "single-read demo.txt" \
        "open@1 demo.txt" "fstat@1 demo.txt" malloc@1 io_setup@1 \
        io_submit@1 io_submit@2 io_submit@3 io_getevents@1 io_getevents@2 \
        io_getevents@3 io_destroy@1 "close@1 demo.txt"
    in_sandbox ENOSYS single-read demo.txt
    assert_error "single-read: io_setup: Function not implemented"
}

@test "single-read: an error in the event is an error, EINTR is none" {
    echo Hello >demo.txt
    AIO_FAULT='io_getevents@1=res=-ENOSPC' start nospc single-read demo.txt
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        start eintr single-read demo.txt 0 5
    AIO_FAULT='io_getevents@1=res=3' start short single-read demo.txt 0 5
    finish nospc 1
    assert_output ""
    assert_error "single-read: IOCB_CMD_PREAD demo.txt: No space left on device"
    finish eintr 0
    assert_line "5 bytes at 0: res 5, all of it"
    finish short 0
    assert_line "data: Hel"
}

@test "single-read: help and usage" {
    assert_help single-read
    assert_usage single-read
    assert_usage single-read demo.txt 0 1 2
    assert_usage single-read -x
    assert_usage single-read demo.txt -1
    same "first line" "${stderr%%$'\n'*}" \
        "single-read: '-1' is not a number from 0 to 9223372036854775807"
    assert_usage single-read demo.txt 0 1048577
    same "first line" "${stderr%%$'\n'*}" \
        "single-read: '1048577' is not a number from 0 to 1048576"
    assert_usage single-read demo.txt 0 x
}

# ---- durable-write ----

durable_output() {
    echo "\
IOCB_CMD_PWRITE: $1 bytes are in the page cache
IOCB_CMD_FDSYNC: the data is on the disk
IOCB_CMD_FSYNC of the folder: the file's name is, too
IOCB_CMD_FSYNC with a buffer: Invalid argument
IOCB_CMD_FSYNC with a length: Invalid argument
IOCB_CMD_FSYNC with an offset: Invalid argument
IOCB_CMD_FSYNC of a pipe: Invalid argument"
}

@test "durable-write: PWRITE, FDSYNC, FSYNC of the folder, and its rules" {
    traced durable-write demo.txt
    same calls "$trace" "\
signal SIGXFSZ ignored
create demo.txt 666
io_setup 1 = 0
io_submit 1 = 1: pwrite demo.txt 22@0
io_getevents 1 1 - = 1
io_submit 1 = 1: fdsync demo.txt 0@0
io_getevents 1 1 - = 1
io_submit 1 = 1: fsync ${PWD##*/} 0@0
io_getevents 1 1 - = 1
io_submit 1 = -22: fsync demo.txt 0@0 buf=pointer
io_submit 1 = -22: fsync demo.txt 1@0
io_submit 1 = -22: fsync demo.txt 0@1
io_submit 1 = -22: fsync pipe:w 0@0
io_destroy = 0"
    assert_output "$(durable_output 22)"
    file_is demo.txt $'Hello, durable world!\n'
}

@test "durable-write writes TEXT of any size to any folder" {
    local size

    mkdir folder
    for size in 0 1 4095 4096 4097; do
        text "$size"
        start "$size" durable-write "folder/demo.$size" "$text"
    done
    start absolute durable-write "$PWD/folder/demo.txt" short
    for size in 0 1 4095 4096 4097; do
        finish "$size" 0
        text "$size"
        assert_output "$(durable_output "$size")"
        file_is "folder/demo.$size" "$text"
    done
    finish absolute 0
    file_is folder/demo.txt short
}

@test "durable-write: nothing of the file is in the page cache only" {
    text 100000
    program -0 durable-write demo.txt "$text"
    run -0 "$BATS_FILE_TMPDIR/probe" delayed demo.txt
    assert_output 0
}

@test "durable-write syncs only after the event of the write" {
    local event nospc="No space left on device"

    # The first event is the write's, the second the file's, the third the
    # folder's: each one has come before the next request is submitted.
    for event in 1 2 3; do
        AIO_FAULT="io_getevents@$event=res=-ENOSPC" AIO_FAULT_LOG=log.$event \
            start $event durable-write demo.txt
    done
    finish 1 1
    assert_output ""
    assert_error "durable-write: IOCB_CMD_PWRITE demo.txt: $nospc"
    finish 2 1
    assert_output "$(durable_output 22 | head -n 1)"
    assert_error "durable-write: IOCB_CMD_FDSYNC demo.txt: $nospc"
    finish 3 1
    assert_output "$(durable_output 22 | head -n 2)"
    assert_error "durable-write: IOCB_CMD_FSYNC .: $nospc"
    for event in 1 2 3; do
        same submitted "$(grep io_submit log.$event)" "io_submit $event"
    done
}

@test "durable-write: a file that cannot be made durable is no success" {
    mkdir folder
    touch read-only.txt
    chmod 444 read-only.txt
    program -1 durable-write missing/demo.txt
    assert_error "durable-write: open missing/demo.txt: No such file or\
 directory"
    program -1 durable-write folder
    assert_error "durable-write: open folder: Is a directory"
    run -1 --separate-stderr without_override \
        "$root/02-single-write/durable-write" read-only.txt
    assert_error "durable-write: open read-only.txt: Permission denied"
    # A write to /dev/null succeeds, but there is no disk behind it.
    program -1 durable-write /dev/null
    assert_output "$(durable_output 22 | head -n 1)"
    assert_error "durable-write: io_submit: Invalid argument"
    AIO_FAULT='open@2=EACCES' program -1 durable-write folder/demo.txt
    assert_error "durable-write: open folder: Permission denied"
}

@test "durable-write over ulimit -f: a short write, then EFBIG" {
    text 1500
    limited 1 durable-write demo.txt "$text"
    same status "$status" 1
    assert_output ""
    assert_error "durable-write: IOCB_CMD_PWRITE demo.txt: only 1024 of 1500\
 bytes written: $eio"
    limited 0 durable-write demo.txt x
    same status "$status" 1
    assert_error "durable-write: IOCB_CMD_PWRITE demo.txt: File too large"
}

@test "durable-write names each call that fails" {
    each_call_fails ENOSPC "No space left on device" "durable-write demo.txt" \
        "open@1 demo.txt" strdup@1 "open@2 ." io_setup@1 io_submit@1 \
        io_submit@2 \
        io_submit@3 io_getevents@1 io_getevents@2 io_getevents@3 pipe@1 \
        io_destroy@1 close@1 close@2 "close@3 ." "close@4 demo.txt"
    in_sandbox ENOSYS durable-write demo.txt
    assert_error "durable-write: io_setup: Function not implemented"
}

@test "durable-write waits again after EINTR, and shows what is taken" {
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        start eintr durable-write demo.txt
    AIO_FAULT='io_submit@4=ENOSYS' start odd durable-write demo.txt
    finish eintr 0
    assert_output "$(durable_output 22)"
    finish odd 0
    assert_line "IOCB_CMD_FSYNC with a buffer: Function not implemented"
}

@test "durable-write: help and usage" {
    assert_help durable-write
    assert_usage durable-write
    assert_usage durable-write demo.txt text more
    assert_usage durable-write -x
}

# ---- wait-timeout ----

@test "wait-timeout shows every way in which io_getevents returns" {
    local ready="io_submit 1 = 1: poll pipe:w 4"

    traced wait-timeout
    # It does what it says.
    same calls "$trace" "\
io_setup 8 = 0
io_submit 1 = 1: poll pipe:r 1
$ready
$ready
$ready
$ready
io_getevents 1 3 10.000000000 = 3
io_getevents 1 3 10.000000000 = 1
$ready
io_getevents 2 3 0.020000000 = 1
io_getevents 2 3 0.020000000 = 0
io_getevents 2 3 0.000000000 = 0
io_getevents 0 3 - = 0
$ready
io_getevents 0 3 - = 1
sigaction 14 0:
io_getevents 2 4 10.000000000 = -4
sigaction 14 0x10000000:
io_getevents 2 4 10.000000000 = -4
$ready
sigaction 14 0:
io_getevents 2 4 10.000000000 = 1
$ready
io_getevents 1 4 10.000000000 = -14
io_getevents 1 4 10.000000000 = 1
io_getevents 2 1 0.000000000 = -22
io_destroy = 0"
    assert_output "\
4 done, min_nr 1, nr 3: 3
1 left, min_nr 1, nr 3: 1
1 done, min_nr 2, nr 3, 20 ms: 1
0 done, min_nr 2, nr 3, 20 ms: 0
0 done, min_nr 2, nr 3, 0 ms: 0
the time-out afterwards: 20 ms
0 done, min_nr 0, nr 3, no limit: 0
1 done, min_nr 0, nr 3, no limit: 1
0 done, min_nr 2, nr 4, signal: Interrupted system call
0 done, min_nr 2, nr 4, signal with SA_RESTART: Interrupted system call
1 done, min_nr 2, nr 4, signal: 1
1 done, min_nr 1, nr 4, into a constant: Bad address
the same, min_nr 1, nr 4, into a variable: 1
0 done, min_nr 2, nr 1: Invalid argument"
}

@test "wait-timeout names each call that fails" {
    each_call_fails ENOSPC "No space left on device" wait-timeout pipe@1 \
        io_setup@1 io_submit@1 io_submit@9 sigaction@1 setitimer@1 \
        setitimer@2 io_destroy@1 close@1 close@2
    in_sandbox ENOSYS wait-timeout
    assert_error "wait-timeout: io_setup: Function not implemented"
}

@test "no program is a success if its output does not arrive" {
    echo Hello >read.txt
    output_must_arrive "single-write demo.txt" "single-read read.txt" \
        "durable-write demo.txt" wait-timeout
}

@test "wait-timeout: help and usage" {
    assert_help wait-timeout
    assert_usage wait-timeout more
}

# ---- Facts: io_submit, the call ----

@test "io_submit: a bad context is EINVAL, even with nr 0" {
    fact submit_bad_context "EINVAL
EINVAL
EINVAL"
}

@test "io_submit: nr below 0 is EINVAL" {
    fact submit_negative EINVAL
}

@test "io_submit: nr 0 returns 0, and the list is not looked at" {
    fact submit_nothing 0
}

@test "io_submit: an unreadable list is EFAULT" {
    fact submit_bad_list EFAULT
}

@test "io_submit: syscall() with the int -1 for nr succeeds" {
    # Other machines' calling conventions extend the sign.
    case $(uname -m) in
    x86_64 | aarch64) ;;
    *) skip "an int is passed in another way on $(uname -m)" ;;
    esac
    fact submit_int "1
EINVAL"
}

@test "io_submit stops at the first bad request; the tail tells why" {
    fact submit_partial "1
EBADF
1"
}

@test "io_submit copies the iocb, and the event has its address" {
    fact submit_copies_iocb "data 42
obj the same
POLLIN set"
}

@test "io_submit copies the iovec array" {
    fact submit_copies_iovec "res 8192
xx"
}

@test "requests of one batch have no order" {
    fact submit_no_order "2
done: 2"
}

# ---- Facts: io_submit, each request ----

@test "io_submit checks a request in this order" {
    fact iocb_order "list: EFAULT
iocb unreadable: EFAULT
aio_reserved2: EINVAL
aio_nbytes: EINVAL
no slot: EAGAIN
aio_fildes: EBADF
aio_resfd: EINVAL
iocb not writable: EFAULT
aio_lio_opcode: EINVAL
aio_reqprio: EINVAL
aio_rw_flags: EOPNOTSUPP
open mode: EBADF
directory: EINVAL
iovec: EFAULT
aio_offset: EINVAL
nothing: 1"
}

@test "an unreadable iocb is EFAULT" {
    fact submit_bad_iocb EFAULT
}

@test "aio_reserved2 that is not 0 is EINVAL" {
    fact iocb_reserved2 EINVAL
}

@test "aio_nbytes that is negative as signed is EINVAL" {
    fact iocb_nbytes EINVAL
}

@test "no free slot is EAGAIN, done or not, until an event is reaped" {
    fact iocb_no_slot "EAGAIN
EAGAIN
1"
}

@test "a bad descriptor is EBADF, before the opcode is looked at" {
    fact iocb_fd "EBADF
EBADF
EBADF"
}

@test "an O_PATH descriptor is EBADF" {
    fact iocb_path EBADF
}

@test "IOCB_FLAG_RESFD: a bad descriptor is EBADF, no eventfd EINVAL" {
    fact iocb_resfd "EBADF
EINVAL
res 4"
}

@test "an iocb that cannot be written to is EFAULT" {
    fact iocb_read_only EFAULT
}

@test "opcodes 4, 6 (NOOP), 9 and above are EINVAL" {
    fact iocb_opcode "EINVAL
EINVAL
EINVAL
EINVAL
EINVAL"
}

@test "IOCB_FLAG_IOPRIO: a bad class is EINVAL, RT unprivileged EPERM" {
    fact iocb_ioprio "EINVAL
EPERM
res 1"
}

@test "an unknown bit in aio_rw_flags is EOPNOTSUPP" {
    fact iocb_rw_flags "EOPNOTSUPP
EOPNOTSUPP"
}

@test "the wrong open mode is EBADF" {
    fact iocb_mode "EBADF
EBADF"
}

@test "reading a directory is EINVAL (but it can be synced)" {
    fact iocb_directory "EINVAL
res 0"
}

@test "iovec: bad pointer EFAULT, 1025 or negative EINVAL; 1024 and 0 pass" {
    fact iocb_iovec "EFAULT
res 1
EINVAL
res 0
EINVAL"
}

@test "a negative aio_offset is EINVAL" {
    fact iocb_offset EINVAL
}

@test "FSYNC, FDSYNC: buf, nbytes, offset, rw_flags or a pipe are EINVAL" {
    fact iocb_fsync "res 0
EINVAL
EINVAL
EINVAL
EINVAL
EINVAL
res 0
EINVAL
EINVAL
EINVAL
EINVAL
EINVAL"
}

@test "POLL: offset, nbytes, rw_flags or events over 16 bits are EINVAL" {
    fact iocb_poll "EINVAL
EINVAL
EINVAL
EINVAL
res 4"
}

@test "ignored: unknown aio_flags, resfd and reqprio without flag, aio_key" {
    fact iocb_ignored "res 1
res 1
res 1
res 1
aio_key 0"
}

# ---- Facts: errors in the event ----

@test "a bad data buffer is EFAULT in the event" {
    fact event_bad_buffer "res EFAULT
res EFAULT"
}

@test "a data buffer where no process has memory is EFAULT at io_submit" {
    fact event_no_address EFAULT
}

@test "O_DIRECT: a bad length or offset is EINVAL in the event, if not taken" {
    local refused="res 10
res EINVAL
res EINVAL"
    local taken="res 10
res 5
res 5"
    local answer=$refused

    # In memory, or with O_DIRECT through the page cache, any may be taken;
    # and tmpfs was without O_DIRECT before Linux 6.6.
    case $(filesystem) in
    ext4 | xfs) ;;
    *)
        output=$(<"$BATS_FILE_TMPDIR/event_direct")
        [[ $output != "$taken" ]] || answer=$taken
        [[ $output != "no O_DIRECT" ]] || answer="no O_DIRECT"
        ;;
    esac
    fact event_direct "$answer"
}

@test "the file size limit is a short count, then EFBIG in the event" {
    fact event_limit "res 4096
res EFBIG"
}

@test "a full disk is a short count, then ENOSPC in the event" {
    on_small_disk 64k "$BATS_FILE_TMPDIR/probe" event_full
    assert_stderr ""
    assert_output "short: yes
res ENOSPC"
}

@test "RWF_NOWAIT that would wait is EAGAIN in the event" {
    run --separate-stderr "$BATS_FILE_TMPDIR/probe" event_nowait
    [[ $output != EOPNOTSUPP ]] ||
        skip "no RWF_NOWAIT on pipes before Linux 6.4, nor on $(filesystem)"
    assert_output "res EAGAIN"
}

@test "the end of the file is res 0, a read across it is short" {
    fact event_end_of_file "res 5
res 0
res 0"
}

@test "O_APPEND ignores aio_offset" {
    fact event_append "res 3
size 8"
}

@test "the file position is not moved" {
    fact event_position "res 4
res 4
position 0"
}

# ---- Facts: io_getevents and io_pgetevents ----

@test "io_getevents: a bad timeout is EFAULT, before the context" {
    fact getevents_bad_timeout "EFAULT
EFAULT"
}

@test "io_getevents: bad context or numbers are EINVAL; nr 0 returns 0" {
    fact getevents_arguments "EINVAL
EINVAL
EINVAL
EINVAL
EINVAL
0
res 4"
}

@test "io_getevents: bad events is EFAULT, and the event is not lost" {
    fact getevents_bad_events "EFAULT
res 4"
}

@test "io_getevents: the timespec is not updated" {
    fact getevents_keeps_timeout "0
1
EINTR
0.020000000 10.000000001"
}

@test "io_getevents: the timespec is not checked, a negative one is for ever" {
    fact getevents_odd_timeout "0
EINTR"
}

@test "io_pgetevents without a mask is io_getevents" {
    fact pgetevents_plain "1
1
0"
}

@test "io_pgetevents: a bad mask is EFAULT or EINVAL, before the context" {
    fact pgetevents_arguments "EFAULT
EFAULT
EINVAL
EFAULT
EINVAL
0"
}

@test "io_pgetevents swaps the signal mask for the wait only" {
    fact pgetevents_mask "0
0
handled: 0
EINTR
handled: 1
blocked again: 1
1"
}
