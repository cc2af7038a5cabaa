# One request: single-write, single-read, durable-write, wait-timeout,
# rw-flags, and what io_submit and io_getevents do in each case.

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/probe
chapter=02-single-write

# EIO as glibc and musl put it.
eio='I*/[Oo]* error'

# text SIZE: makes $text that many bytes, no word like another.
text() {
    [[ ${long_text-} ]] ||
        long_text=$(seq -s ' ' 1000000 1012500)
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
io_setup 1 = 0
create demo.txt 666
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

@test "single-write replaces a file by TEXT of any size, and res is that size" {
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

    # A file that was longer, and one that was not there.
    text 5000
    echo "$text" >longer.txt
    umask 022
    start longer single-write longer.txt short
    start new single-write new.txt ''
    finish longer 0
    file_is longer.txt short
    finish new 0
    same mode "$(stat -c '%a %s' new.txt)" "644 0"
}

# ---- single-read ----

@test "single-read: all, short, and the end, which comes before a bad buffer" {
    printf 'Hello, reader!\n' >demo.txt
    traced single-read demo.txt
    same calls "$trace" "\
signal SIGXFSZ ignored
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

    # At the end of the file no byte is copied to anywhere.
    : >empty.txt
    program -0 single-read empty.txt
    assert_output "\
64 bytes at 0: res 0, the end of the file
data: 
1 byte at 0: res 0, the end of the file
into a constant: taken by io_submit, res 0, the end of the file
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
    local last request

    last=$(((1 << ($(getconf LONG_BIT) - 1)) - 2))

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

# ---- durable-write ----

durable_output() {
    echo "\
IOCB_CMD_PWRITE: $1 bytes are in the page cache
IOCB_CMD_FDSYNC: the data is on the disk
IOCB_CMD_FSYNC of the folder: the file's name is, too"
}

@test "durable-write: PWRITE, then FDSYNC, then FSYNC of the folder" {
    traced durable-write demo.txt
    same calls "$trace" "\
signal SIGXFSZ ignored
io_setup 1 = 0
create demo.txt 666
io_submit 1 = 1: pwrite demo.txt 22@0
io_getevents 1 1 - = 1
io_submit 1 = 1: fdsync demo.txt 0@0
io_getevents 1 1 - = 1
io_submit 1 = 1: fsync ${PWD##*/} 0@0
io_getevents 1 1 - = 1
io_destroy = 0"
    assert_output "$(durable_output 22)"
    file_is demo.txt $'Hello, durable world!\n'
}

@test "durable-write: any TEXT, any folder; nothing is in the page cache only" {
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

    # Blocks that are only in the page cache have no place on the disk yet.
    text 100000
    program -0 durable-write demo.txt "$text"
    run -0 "$BATS_FILE_TMPDIR/probe" delayed demo.txt
    assert_output 0
}

@test "durable-write submits each request after the event of the one before" {
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

@test "durable-write waits again after a signal" {
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        program -0 durable-write demo.txt
    assert_output "$(durable_output 22)"
}

@test "durable-write leaves an old file alone if something is missing" {
    local event

    echo old >old.txt
    for event in io_setup@1 strdup@1 open@1; do
        AIO_FAULT="$event=EAGAIN" program -1 durable-write old.txt
        file_is old.txt $'old\n'
    done
}

# ---- wait-timeout ----

@test "wait-timeout shows every way in which io_getevents returns" {
    local ready="io_submit 1 = 1: poll pipe:w 4"

    traced wait-timeout
    # It does what it says.
    same calls "$trace" "\
signal SIGXFSZ ignored
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
sigaction 14 0:
$ready
io_getevents 2 4 10.000000000 = 1
$ready
io_getevents 1 4 10.000000000 = -14
io_getevents 1 4 10.000000000 = 1
io_getevents 2 1 0.000000000 = -22
io_destroy = 0"
    assert_output "\
4 events ready, min_nr 1, nr 3, 10 s: returns 3
1 event ready, min_nr 1, nr 3, 10 s: returns 1
1 event ready, min_nr 2, nr 3, 20 ms: returns 1
0 events ready, min_nr 2, nr 3, 20 ms: returns 0
0 events ready, min_nr 2, nr 3, 0 ms: returns 0
the time-out afterwards: 20 ms
0 events ready, min_nr 0, nr 3, no time-out: returns 0
1 event ready, min_nr 0, nr 3, no time-out: returns 1
0 events ready, min_nr 2, nr 4, signal: Interrupted system call
0 events ready, min_nr 2, nr 4, signal with SA_RESTART: Interrupted system call
1 event ready, min_nr 2, nr 4, signal: returns 1
1 event ready, min_nr 1, nr 4, into NULL: Bad address
1 event ready, min_nr 1, nr 4, into a variable: returns 1
0 events ready, min_nr 2, nr 1, 0 ms: Invalid argument"
}

@test "wait-timeout is interrupted also if it was started with SIGALRM blocked" {
    ended 60 env --block-signal=ALRM "$root/$chapter/wait-timeout"
    assert_line \
        "0 events ready, min_nr 2, nr 4, signal: Interrupted system call"
}

# ---- rw-flags ----

# flags: runs it. flag WHAT PATTERN: what it says of that request; with a third
# argument VERSION, an older Linux may say that it does not know the flag.
flags() {
    program -0 rw-flags demo.txt
    assert_stderr ""
}

flag() {
    local got unknown="refused by io_submit, $opnotsupp"

    got=$(sed -n "s/^$1: //p" <<<"$output")
    # shellcheck disable=SC2053 # patterns on purpose
    [[ $got == $2 || (${3-} && $got == $unknown &&
        $(printf '%s\n' "$3" "$(uname -r)" | sort -V | head -n 1) != "$3") ]] ||
        same "$1" "$got" "$2"
}
opnotsupp='@(Operation n|N)ot supported'

@test "rw-flags sets one flag after another, and leaves nothing behind" {
    traced rw-flags demo.txt
    same requests "$(sed -n 's/^io_submit 1 = [^:]*: //p' <<<"$trace")" "\
pwrite demo.txt 5@0
pwrite demo.txt 5@0 rw_flags=1
pwrite demo.txt 5@0 rw_flags=2
pwrite demo.txt 5@0 rw_flags=4
pread demo.txt 5@0 rw_flags=8
pwrite demo.txt 5@0 rw_flags=8
pwrite demo.txt 5@0 rw_flags=16
pwrite demo.txt 5@0
pwrite demo.txt 5@0 rw_flags=32
pwrite demo.txt 5@0 rw_flags=48
pwrite demo.txt 5@0 rw_flags=64
pwrite demo.txt 5@0 rw_flags=128
pwrite pipe:w 5@0
pwrite pipe:w 5@0 rw_flags=256
pwrite demo.txt 5@0 rw_flags=1073741824"
}

@test "rw-flags: RWF_DSYNC, RWF_SYNC and RWF_HIPRI write like no flag at all" {
    local it

    flags
    for it in "no flag" RWF_HIPRI RWF_DSYNC RWF_SYNC; do
        flag "$it, write" "res 5, size 5"
    done
}

@test "rw-flags fails if a write without a flag does, or is cut short" {
    local n

    limited 0 rw-flags demo.txt
    same status "$status" 1
    assert_output ""
    assert_error "rw-flags: IOCB_CMD_PWRITE demo.txt: File too large"

    # The one with O_APPEND; requests that were refused have no event.
    flags
    n=$(sed '/ with O_APPEND/,$d; /refused/d' <<<"$output" | wc -l)
    AIO_FAULT="io_getevents@$((n + 1))=res=4" program -1 rw-flags demo.txt
    assert_error "rw-flags: IOCB_CMD_PWRITE demo.txt: $eio"
    AIO_FAULT='io_getevents@1=res=0' program -1 rw-flags demo.txt
    assert_error "rw-flags: IOCB_CMD_PWRITE demo.txt: $eio"
}

@test "rw-flags: RWF_APPEND writes at the end, though the offset is 0" {
    flags
    flag "RWF_APPEND, write" "res 5, size 10"
    flag "no flag, write with O_APPEND" "res 5, size 15"
    cmp demo.txt <(printf hellohellohello)
}

@test "rw-flags: RWF_NOAPPEND (Linux 6.9) writes at the offset all the same" {
    flags
    flag "RWF_NOAPPEND, write with O_APPEND" "res 5, size 15" 6.9
    flag "RWF_APPEND and RWF_NOAPPEND, write" \
        "refused by io_submit, Invalid argument" 6.9
}

@test "rw-flags: RWF_NOSIGNAL (Linux 6.18) is EPIPE without the SIGPIPE" {
    flags
    flag "no flag, write to no reader" "res -32, Broken pipe, and a SIGPIPE"
    flag "RWF_NOSIGNAL, write to no reader" "res -32, Broken pipe" 6.18
}

@test "rw-flags: RWF_ATOMIC of a buffered write and unknown flags are refused" {
    flags
    # xfs takes it and looks at the length, five, which is no power of two.
    flag "RWF_ATOMIC, write" \
        "@(refused by io_submit, $opnotsupp|res -22, Invalid argument, *)"
    flag "a flag that nobody knows, write" "refused by io_submit, $opnotsupp"
}

@test "rw-flags: what is in the page cache can be read with RWF_NOWAIT" {
    local refused="refused by io_submit, $opnotsupp"

    # tmpfs and the like do not have it.
    flags
    [[ $(filesystem) != @(ext4|xfs|btrfs) ]] || refused=none
    flag "RWF_NOWAIT, read" "@(res 5, size 5|$refused)"
}

@test "rw-flags: a write with RWF_NOWAIT or RWF_DONTCACHE depends on the file" {
    local it refused="refused by io_submit, $opnotsupp"

    flags
    refused+="|res 5, *|res -95, $opnotsupp, *|res -11, Resource *"
    for it in RWF_NOWAIT RWF_DONTCACHE; do
        flag "$it, write" "@($refused)"
    done
}

@test "rw-flags names each call that fails, and the file" {
    each_call_fails ENOSPC "No space left on device" "rw-flags demo.txt" \
        signal@2 pipe@1 io_setup@1 io_getevents@1 io_getevents@5 io_destroy@1
    AIO_FAULT='open@1=EACCES' program -1 rw-flags demo.txt
    assert_error "rw-flags: open demo.txt: Permission denied"
    AIO_FAULT='open@2=EACCES' program -1 rw-flags demo.txt
    assert_error "rw-flags: open demo.txt: Permission denied"
    AIO_FAULT='close@4=EIO' program -1 rw-flags demo.txt
    assert_error "rw-flags: close demo.txt: $eio"
    AIO_FAULT='io_submit@1=EINTR io_getevents@1=EINTR' flags
    flag "no flag, write" "res 5, size 5"
    # Not a refusal of the flag: nobody looked at that.
    each_call_fails EIO "$eio" "rw-flags demo.txt" io_submit@2
    run -0 env --block-signal=PIPE "$root/$chapter/rw-flags" demo.txt
    flag "no flag, write to no reader" "res -32, Broken pipe, and a SIGPIPE"
    AIO_FAULT='io_submit@1=EINVAL' program -1 rw-flags demo.txt
    assert_error "rw-flags: io_submit: Invalid argument"
    AIO_FAULT='io_submit@2=EINVAL' flags
    flag "RWF_HIPRI, write" "refused by io_submit, Invalid argument"
}

# ---- All programs ----

@test "the programs of chapter 2 name a number that is none, or out of range" {
    local last

    last=$(((1 << ($(getconf LONG_BIT) - 1)) - 1))
    assert_usage single-write demo.txt text x
    same "first line" "${stderr%%$'\n'*}" \
        "single-write: 'x' is not a number from 0 to $last"
    assert_usage single-write demo.txt text -1
    [[ ! -e demo.txt ]]

    assert_usage single-read demo.txt 0 x
    assert_usage single-read demo.txt -1
    same "first line" "${stderr%%$'\n'*}" \
        "single-read: '-1' is not a number from 0 to $last"
    assert_usage single-read demo.txt 0 1048577
    same "first line" "${stderr%%$'\n'*}" \
        "single-read: '1048577' is not a number from 0 to 1048576"
}

no_such="No such file or directory"

@test "a file that is not there, or cannot be, is one line with its name" {
    program -1 single-write missing/demo.txt
    assert_output ""
    assert_error "single-write: open missing/demo.txt: $no_such"
    program -1 single-write ''
    assert_error "single-write: open : $no_such"
    program -1 rw-flags missing/demo.txt
    assert_error "rw-flags: open missing/demo.txt: $no_such"
    program -1 single-read missing.txt
    assert_output ""
    assert_error "single-read: open missing.txt: $no_such"
    program -1 durable-write missing/demo.txt
    assert_output ""
    assert_error "durable-write: open missing: $no_such"
}

@test "a folder cannot be written to" {
    local it

    mkdir folder
    for it in single-write durable-write rw-flags; do
        program -1 "$it" folder
        assert_error "$it: open folder: Is a directory"
    done
}

@test "a file that may not be opened is one line with its name" {
    local it

    mkdir folder
    : >read-only.txt
    : >secret.txt
    chmod 444 read-only.txt
    chmod 0 secret.txt
    for it in single-write durable-write rw-flags; do
        run -1 --separate-stderr without_override "$root/$chapter/$it" \
            read-only.txt
        assert_error "$it: open read-only.txt: Permission denied"
    done
    run -1 --separate-stderr without_override "$root/$chapter/single-read" \
        secret.txt
    assert_error "single-read: open secret.txt: Permission denied"
    AIO_FAULT='open@1=EACCES' program -1 durable-write folder/demo.txt
    assert_error "durable-write: open folder: Permission denied"
}

@test "durable-write follows no link: the file's name would be elsewhere" {
    mkdir folder
    ln -s folder/new link
    program -1 durable-write link
    assert_error "durable-write: open link: is a symbolic link"
    [[ ! -e folder/new ]]
    echo old >folder/new
    program -1 durable-write link
    cmp folder/new <(echo old)
    program -1 durable-write folder/
    assert_error "durable-write: open folder/: Is a directory"
}

@test "devices and FIFOs are read and never written to" {
    local it file

    mkfifo fifo
    ln -s fifo link
    for it in single-write durable-write; do
        for file in /dev/null /dev/full fifo; do
            program -1 "$it" "$file"
            assert_output ""
            assert_error "$it: open $file: not a regular file"
        done
    done
    program -1 single-write link
    assert_error "single-write: open link: not a regular file"

    # Nor is a writer of theirs waited for.
    program -1 single-read fifo
    assert_error "single-read: lseek fifo: @(Illegal|Invalid) seek"
    echo Hello >read.txt
    AIO_FAULT='open@1=EAGAIN' program -0 single-read read.txt
    assert_line "data: Hello*"

    # What has no end has no size either.
    program -0 single-read /dev/zero 5 3
    assert_output "\
3 bytes at 5: res 3, all of it
data: ...
1 byte at 0: res 1, all of it
into a constant: taken by io_submit, res -14, Bad address
from descriptor -1: refused by io_submit, Bad file descriptor"

    # A short read of a pipe is not the end of anything.
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 bash -c 'echo Hello | "$1" /dev/stdin' bash \
        "$root/$chapter/single-read"
    same status "$status" 1
    assert_output ""
    assert_error "single-read: lseek /dev/stdin: *seek"
}

@test "single-read of a disk stops at the disk's end, though its st_size is 0" {
    local disk

    truncate -s 8192 image
    disk=$(losetup --find --show image 2>/dev/null) ||
        skip "no right to make a loop device"
    ended 60 "$root/$chapter/single-read" "$disk" 8190 64
    losetup --detach "$disk"
    assert_output "\
64 bytes at 8190: res 2, short: the file ends there
data: ..
1 byte at 8192: res 0, the end of the file
into a constant: taken by io_submit, res -14, Bad address
from descriptor -1: refused by io_submit, Bad file descriptor"
}

@test "a read of a folder, or past the last possible byte, is refused: EINVAL" {
    program -1 single-read .
    assert_error "single-read: io_submit: Invalid argument"
    echo >demo.txt
    # The programs of a 32-bit machine know no number as large as that.
    [[ $(getconf LONG_BIT) == 64 ]] || return 0
    program -1 single-read demo.txt 9223372036854775807
    assert_error "single-read: io_submit: Invalid argument"
    program -1 single-write demo.txt x 9223372036854775807
    assert_output ""
    assert_error "single-write: io_submit: Invalid argument"
}

@test "the file size limit: a short count, then EFBIG; 0 bytes always pass" {
    local it

    fact event_limit "res 4096
res EFBIG
res 0"

    # The programs see both.
    text 1500
    for it in single-write durable-write; do
        limited 1 "$it" "$it.short" "$text"
        same status "$status" 1
        assert_error "$it: IOCB_CMD_PWRITE $it.short: only 1024 of 1500 bytes\
 written: $eio"
        [[ $it != durable-write ]] || assert_output ""
        limited 0 "$it" "$it.none" x
        same status "$status" 1
        assert_error "$it: IOCB_CMD_PWRITE $it.none: File too large"
    done
    file_is single-write.short "${text:0:1024}"
    file_is single-write.none ""
}

@test "a full disk: a short count, then ENOSPC; 0 bytes always pass" {
    on_small_disk 64k "$BATS_FILE_TMPDIR/probe" event_full
    assert_stderr ""
    assert_output "short: yes
res ENOSPC
res 0"

    # shellcheck disable=SC2016 # for the inner shell
    on_small_disk 8k bash -c 'head -c 8192 /dev/zero >all; exec "$@"' bash \
        "$root/$chapter/single-write" demo.txt
    same status "$status" 1
    assert_line "io_submit: 1 request taken"
    assert_error "single-write: IOCB_CMD_PWRITE demo.txt: No space left on\
 device"
}

@test "chapter 2: where there is no AIO one line of each program says so" {
    local it

    echo Hello >demo.txt
    for it in "single-write demo.txt" "single-read demo.txt" \
        "durable-write demo.txt" wait-timeout "rw-flags demo.txt"; do
        # shellcheck disable=SC2086 # a name and its argument
        in_sandbox ENOSYS $it
        same status "$status" 1
        assert_error "${it% *}: io_setup: Function not implemented"
    done
    in_sandbox EPERM single-write demo.txt
    same status "$status" 1
    assert_error "single-write: io_setup: Operation not permitted"
}

@test "single-write and single-read name each call that fails" {
    local event

    each_call_fails EAGAIN "Resource temporarily unavailable" \
        "single-write demo.txt" "open@1 demo.txt" io_setup@1 io_submit@1 \
        io_getevents@1 io_destroy@1 "close@1 demo.txt"

    echo Hello >read.txt
    each_call_fails ENOSPC "No space left on device" "single-read read.txt" \
        "open@1 read.txt" malloc@1 io_setup@1 \
        io_submit@1 io_submit@2 io_submit@3 io_getevents@1 io_getevents@2 \
        io_getevents@3 io_destroy@1 "close@1 read.txt"
    for event in 1 2 3; do
        AIO_FAULT="io_getevents@$event=res=-EIO" program -1 single-read read.txt
        assert_error "single-read: IOCB_CMD_PREAD read.txt: $eio"
    done
}

@test "durable-write and wait-timeout name each call that fails" {
    each_call_fails ENOSPC "No space left on device" "durable-write demo.txt" \
        strdup@1 "open@1 ." "open@2 demo.txt" io_setup@1 \
        io_submit@1 io_submit@2 io_submit@3 io_getevents@1 io_getevents@2 \
        io_getevents@3 io_destroy@1 "close@1 ." "close@2 demo.txt"

    each_call_fails ENOSPC "No space left on device" wait-timeout pipe@1 \
        io_setup@1 io_submit@1 io_submit@9 sigaction@1 \
        setitimer@1 setitimer@2 io_destroy@1 close@1 close@2
}

@test "single-write: an error in the event is one, and so is a short write" {
    local write="single-write: IOCB_CMD_PWRITE demo.txt"

    AIO_FAULT='io_getevents@1=res=-ENOSPC' program -1 single-write demo.txt
    assert_line "  res            -28  bytes written, or a negative errno"
    assert_error "$write: No space left on device"
    AIO_FAULT='io_getevents@1=res=-EIO' program -1 single-write demo.txt
    assert_error "$write: $eio"
    AIO_FAULT='io_getevents@1=res=26' program -1 single-write demo.txt
    assert_error "$write: only 26 of 27 bytes written: $eio"
    AIO_FAULT='io_getevents@1=res=0' program -1 single-write demo.txt
    assert_error "$write: only 0 of 27 bytes written: $eio"
}

@test "single-read: an error in the event is one; a short read is not" {
    echo Hello >read.txt
    AIO_FAULT='io_getevents@1=res=-ENOSPC' program -1 single-read read.txt
    assert_output ""
    assert_error "single-read: IOCB_CMD_PREAD read.txt: No space left on device"
    AIO_FAULT='io_getevents@1=res=3' program -0 single-read read.txt 0 5
    assert_line "data: Hel"
    # And short of what, if the file goes on behind it?
    assert_line "5 bytes at 0: res 3, short"
}

@test "single-write and single-read wait again after a signal" {
    AIO_FAULT='io_getevents@1=EINTR io_getevents@2=EINTR' \
        program -0 single-write demo.txt
    assert_stderr ""
    assert_line "io_getevents: 1 event"

    echo Hello >read.txt
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        program -0 single-read read.txt 0 5
    assert_stderr ""
    assert_line "5 bytes at 0: res 5, all of it"
}

@test "single-write writes TEXT where OFFSET says, and nothing before it" {
    traced single-write demo.txt x 5
    [[ $trace == *": pwrite demo.txt 1@5 data=42"* ]]
    assert_line "  aio_offset       5  bytes from the file's start"
    cmp demo.txt <(printf '\0\0\0\0\0x')
}

@test "EINTR from io_submit is no error: the request is submitted again" {
    local it

    echo Hello >read.txt
    for it in "single-write demo.txt" "single-read read.txt" \
        "durable-write demo.txt" wait-timeout; do
        # shellcheck disable=SC2086 # a name and its argument
        AIO_FAULT='io_submit@1=EINTR io_submit@3=EINTR' program -0 $it
        assert_stderr ""
    done
}

# closed N COMMAND...: runs a program of the chapter without descriptor N, and
# under the fault helper if AIO_FAULT is set.
closed() {
    status=0
    # shellcheck disable=SC2016 # for the inner shell
    output=$(timeout 60 bash -c "exec $1>&-"'; exec env "$@"' bash \
        ${AIO_FAULT:+"LD_PRELOAD=$root/tests/helpers/fault.so"} \
        "$root/$chapter/$2" "${@:3}" 2>&1 3>&-) || status=$?
}

@test "FILE never becomes standard input, output or error, if one is closed" {
    local it n

    for it in single-write durable-write; do
        for n in 0 1 2; do
            closed "$n" "$it" demo.txt hello
            file_is demo.txt hello
            same "status of $it without $n" "$status" $((n == 1))
        done
        closed 1 "$it" demo.txt hello
        same "what $it says without 1" "$output" \
            "$it: standard output: Bad file descriptor"

        # And what is wrong is not written into it.
        AIO_FAULT='io_getevents@1=res=-EIO' closed 2 "$it" demo.txt hello
        same "status of $it" "$status" 1
        file_is demo.txt hello
    done

    echo Hello >read.txt
    closed 0 single-read read.txt
    same "status of single-read without 0" "$status" 0
}

@test "no program is a success if its output does not arrive" {
    echo Hello >read.txt
    output_must_arrive "single-write demo.txt" "single-read read.txt" \
        "durable-write demo.txt" wait-timeout "rw-flags demo.txt"
}

# ---- Facts: io_submit, the call ----

@test "io_submit: no such context is EINVAL, even for no request" {
    fact submit_bad_context "EINVAL
EINVAL
EINVAL"
}

@test "io_submit: a negative number of requests is EINVAL" {
    fact submit_negative EINVAL
}

@test "io_submit: a list that cannot be read is EFAULT" {
    fact submit_bad_list EFAULT
}

@test "io_submit: nr 0 returns 0, and the list is not looked at" {
    fact submit_nothing 0
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

@test "io_submit copies the iocb (the event has its address), and the iovecs" {
    fact submit_copies_iocb "data 42
obj the same
POLLIN set"
    fact submit_copies_iovec "res 131072
xx"
}

@test "requests go on though the thread that submitted them has ended" {
    fact submit_thread_ends "res 4
POLLIN set"
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

@test "an iocb that cannot be read is EFAULT" {
    fact submit_bad_iocb EFAULT
}

@test "an iocb that cannot be written to is EFAULT" {
    fact iocb_read_only EFAULT
}

@test "aio_reserved2 that is not 0 is EINVAL" {
    fact iocb_reserved2 EINVAL
}

@test "aio_nbytes that is negative as a signed number is EINVAL" {
    fact iocb_nbytes EINVAL
}

@test "a negative aio_offset is EINVAL" {
    fact iocb_offset EINVAL
}

@test "offset and length beyond 2^63 - 1 together are EINVAL" {
    fact iocb_overflow "EINVAL
EINVAL"
}

@test "no free slot is EAGAIN, done or not, until an event is reaped" {
    fact iocb_no_slot "EAGAIN
EAGAIN
1"
}

@test "a descriptor that is not open is EBADF, before the opcode is looked at" {
    fact iocb_fd "EBADF
EBADF
EBADF"
}

@test "a descriptor opened with O_PATH is EBADF" {
    fact iocb_path EBADF
}

@test "a descriptor opened for the other direction is EBADF" {
    fact iocb_mode "EBADF
EBADF"
}

@test "IOCB_FLAG_RESFD: a bad descriptor is EBADF, no eventfd EINVAL" {
    fact iocb_resfd "EBADF
EINVAL
res 4"
}

@test "opcodes 4, 6 (NOOP), 9 and above are EINVAL" {
    fact iocb_opcode "EINVAL
EINVAL
EINVAL
EINVAL
EINVAL"
}

@test "IOCB_FLAG_IOPRIO: no such class EINVAL, no right to real time EPERM" {
    fact iocb_ioprio "EINVAL
EPERM
res 1"
}

@test "aio_rw_flags that are not known, or not for this file, are EOPNOTSUPP" {
    fact iocb_rw_flags "EOPNOTSUPP
EOPNOTSUPP
EOPNOTSUPP"
}

@test "reading a directory is EINVAL (but it can be synced)" {
    fact iocb_directory "EINVAL
res 0"
}

@test "a device without asynchronous writes is EINVAL: /dev/full" {
    fact iocb_device EINVAL
}

@test "a file that only read() can read is EINVAL: /proc/self/mem" {
    fact iocb_no_async_read EINVAL
}

@test "iovec: bad pointer EFAULT, 1025 or negative EINVAL; 1024 and 0 pass" {
    fact iocb_iovec "EFAULT
res 1
EINVAL
res 0
EINVAL"
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

@test "POLL of a terminal or a FIFO open for both is EINVAL; of a file: ready" {
    needs_terminals
    # And it is none where no wait is needed. Nor can a file be waited for.
    fact poll_two_queues "EINVAL
EINVAL
res 1
res 4
EINVAL"
}

@test "ignored: unknown aio_flags, resfd and reqprio without flag, aio_key" {
    fact iocb_ignored "res 1
res 1
res 1
res 1
aio_key 0"
}

# ---- Facts: errors in the event ----

@test "a data buffer that is not there is EFAULT in the event" {
    fact event_bad_buffer "res EFAULT
res EFAULT"
}

@test "a 32-bit pointer cast straight to 64 bits is EFAULT, with gcc" {
    cat >cast.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
    int ends[2];
    char data[1] = "x";
    aio_context_t ctx = 0;
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_nbytes = 1 };
    struct iocb *list[1] = { &iocb };

    if (pipe(ends) == -1 || syscall(SYS_io_setup, 2, &ctx) == -1)
        return 1;
    iocb.aio_fildes = ends[1];
    iocb.aio_buf = (uint64_t)data;
    if (syscall(SYS_io_submit, ctx, 1, list) == -1)
        printf("(uint64_t): -1 %d\n", errno == EFAULT);
    iocb.aio_buf = (uintptr_t)data;
    printf("(uintptr_t): %ld\n", syscall(SYS_io_submit, ctx, 1, list));
    return 0;
}
END
    [[ $(uname -m) == x86_64 ]] && gcc -m32 -w -o cast cast.c 2>/dev/null &&
        ./cast >/dev/null || skip "no 32-bit programs on x86-64 here"
    run -0 ./cast
    assert_output "(uint64_t): -1 1
(uintptr_t): 1"
}

@test "a data buffer at an address that no process can have is EFAULT at once" {
    local answer=EFAULT

    # Where each address is one that a process could have, the event says it.
    [[ $(uname -m) != s390x ]] || answer="res EFAULT"
    fact event_no_address "$answer"
}

@test "a buffered write with RWF_DSYNC waits for the disk inside io_submit" {
    fact event_dsync "done by io_submit: yes
parts that are in the page cache only: 0
res 7"
}

@test "a buffer whose second page is bad: the first is transferred, res 4096" {
    fact event_second_page "res 4096
res 4096"
}

@test "a memfd that is sealed against writing is EPERM in the event" {
    fact event_sealed "res EPERM"
}

@test "one request moves at most the whole pages below 2^31 bytes" {
    fact event_most "as many as whole pages below 2^31"
}

@test "the size of the file is right at the event of a write that extends it" {
    fact event_size "res 65536
size 65536
res 65536
size 65536"
}

@test "at the largest offset of a filesystem: short, then EFBIG, no signal" {
    local answer="res 1
res EFBIG"

    # Where that is the last number there is, io_submit looks at it first.
    output=$(<"$BATS_FILE_TMPDIR/event_largest")
    [[ $(filesystem) == ext4 || $output != none* ]] || answer=$output
    [[ $output != *"setrlimit: Operation not permitted" ]] ||
        skip "under a file size limit"
    fact event_largest "$answer"
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
    # and tmpfs was without O_DIRECT before Linux 6.6. pwrite() knows.
    : >new
    if [[ $("$root/tests/helpers/probe-vectored" rejects new) == no ]]; then
        output=$(<"$BATS_FILE_TMPDIR/event_direct")
        [[ $output != "$taken" ]] || answer=$taken
        [[ $output != "no O_DIRECT" ]] || answer="no O_DIRECT"
    fi
    fact event_direct "$answer"
}

@test "a signal that ends a wait in io_submit is EINTR in the event" {
    fact event_interrupted "res EINTR"
}

@test "RWF_NOWAIT that would wait is EAGAIN in the event" {
    run --separate-stderr "$BATS_FILE_TMPDIR/probe" event_nowait
    [[ $output != EOPNOTSUPP ]] ||
        skip "no RWF_NOWAIT on pipes before Linux 6.4, nor on $(filesystem)"
    assert_output "res EAGAIN"
}

@test "RWF_NOWAIT of a pipe with a byte in it reads that" {
    local answer="res 1"

    # Not on pipes before Linux 6.4.
    output=$(<"$BATS_FILE_TMPDIR/event_nowait_ready")
    [[ $output != EOPNOTSUPP ]] || answer=$output
    fact event_nowait_ready "$answer"
}

@test "preadv2 with RWF_NOWAIT reads what is cached, and else says EAGAIN" {
    [[ $(filesystem) == @(ext4|xfs) ]] || skip "on $(filesystem) it depends"
    fact nowait_preadv2 "not cached: EAGAIN
cached: 4096"
}

@test "RWF_NOWAIT of a buffered write on ext4 is EOPNOTSUPP in the event" {
    local answer="res EOPNOTSUPP"

    # Elsewhere it may be had, or not at all, or have to wait.
    output=$(<"$BATS_FILE_TMPDIR/event_nowait_write")
    case $(filesystem):$output in
    ext4:*) ;;
    *:EOPNOTSUPP | *:"res 1" | *:"res EAGAIN") answer=$output ;;
    esac
    fact event_nowait_write "$answer"
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

@test "requests neither use the file's position nor move it" {
    fact event_position "res 4
res 4
position 0"
}

# ---- Facts: io_getevents and io_pgetevents ----

@test "io_getevents: an unreadable time-out is EFAULT, before all else" {
    fact getevents_bad_timeout "EFAULT
EFAULT"
}

@test "io_getevents: a bad place for the events is EFAULT, and none is lost" {
    fact getevents_bad_events "EFAULT
res 4"
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

@test "io_getevents does not count the time-out down, whatever ends the wait" {
    fact getevents_keeps_timeout "0
1
EINTR
0.020000000 10.000000001"
}

@test "io_getevents checks no time-out: a negative one waits for ever" {
    fact getevents_odd_timeout "0
EINTR"
}

@test "Ctrl-Z and fg: EINTR from io_getevents, io_pgetevents waits on" {
    fact getevents_stopped EINTR
    fact pgetevents_stopped 1
}

@test "io_pgetevents without a mask is io_getevents" {
    fact pgetevents_plain "1
1
0"
}

@test "io_pgetevents: a bad mask is EINVAL or EFAULT, before the context" {
    # Ahead of that comes the time-out.
    fact pgetevents_arguments "EFAULT
EFAULT
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
