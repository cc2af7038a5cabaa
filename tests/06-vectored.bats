# Vectors, the mapped ring, and the copy that brings all together: vectored,
# ring-reap, aio-copy, and what io_submit does with iovec arrays.
# seconds: 14
# halves: [a-e]
#
# shellcheck disable=SC2001,SC2154 # sed where a pattern needs it; from bats

load helpers/common
load helpers/probe
chapter=06-vectored

# probe-vectored asks and measures.
setup_file() {
    local errno folder question helpers=$BATS_TEST_DIRNAME/helpers

    cp "$helpers/probe-vectored" "$BATS_FILE_TMPDIR"
    cp "$helpers/probe-call" "$BATS_FILE_TMPDIR/probe"
    # In $reason_EIO ... is what the programs' C library says for them.
    for errno in EACCES EAGAIN EFBIG EINVAL EIO ENAMETOOLONG ENOENT ENOMEM \
        ENOSPC ENOSYS ENOTDIR EPERM; do
        export "reason_$errno=$(probe reason "$errno")"
    done

    # All questions at once, for each takes only waiting.
    folder=$(mktemp -d "${AIO_TEST_DIR:-$root/tests}/.scratch.XXXXXX")
    for question in three limits reuse bad-segment header taken moved twice \
        round-and-round bad-buffer:cached bad-buffer:direct no-address lengths \
        not-pinned:cached not-pinned:direct forked:private forked:shared \
        forked:dontfork executable moved-mapping protected \
        look-while-destroyed; do
        mkdir "$folder/$question"
        (
            cd "$folder/$question" || exit
            # shellcheck disable=SC2086 # one or two
            exec "$helpers/within" 60 "$BATS_FILE_TMPDIR/probe-vectored" \
                ${question/:/ }
        ) >"$BATS_FILE_TMPDIR/$question" 2>&1 3>&- &
    done
    records 4 >"$BATS_FILE_TMPDIR/records"

    # In how many requests and batches ring-reap goes round the ring.
    output=$("$helpers/within" 60 "$root/$chapter/ring-reap" \
        "$folder/demo") || :
    requests=$(value requests) || requests=0
    export requests batches=$(((requests + 7) / 8))
    wait
    rm -r "$folder"
}

probe() { "$BATS_FILE_TMPDIR/probe-vectored" "$@"; }

# answers QUESTION TEXT: the whole of what the probe said.
answers() { same "answer" "$(<"$BATS_FILE_TMPDIR/$1")" "$2"; }

# in_the_kernel: does this filesystem have an O_DIRECT worth the name? (tmpfs
# and btrfs take what is not aligned, and others have none.)
in_the_kernel() {
    : >aligned
    [[ $(probe rejects aligned) == yes ]]
}

# direct FILE: what a program says of O_DIRECT for it.
direct() {
    if [[ $(probe direct "$1") == yes ]]; then
        echo "O_DIRECT: yes"
    else
        echo "O_DIRECT: not here, going on through the page cache"
    fi
}

# takes LENGTH: is that aligned for the disk here (or the page cache)?
takes() {
    : >aligned
    (($1 % $(probe align aligned) == 0))
}

# files NAME...: there are these in this folder, and no others.
files() {
    local here

    shopt -s dotglob nullglob
    here=(*)
    shopt -u dotglob nullglob
    same "files" "${here[*]}" "$*"
}

# ---- vectored ----

# The first so many records as vectored writes them.
records() {
    local i

    for ((i = 0; i < $1; i++)); do
        # shellcheck disable=SC2059 # an octal number
        { echo "block $i" && head -c 65536 /dev/zero; } |
            tr '\0' "$(printf "\\$(printf %o $((97 + i % 26)))")" |
            head -c 65536
    done
}

# facts: all that vectored says but of the disk.
facts_of_vectored() { sed '/^alignment: /d; /^space ahead: /d' <<<"$output"; }

@test "vectored gathers a record from three places, and scatters it again" {
    local odd="fine, without alignment"

    head -c 100000 /dev/urandom >demo
    traced vectored demo
    ! in_the_kernel || odd=$reason_EINVAL
    same output "$(facts_of_vectored)" "\
$(direct demo)
PWRITEV: 4 records of 16384 + 32768 + 16384 bytes
PREADV: headers, bodies and padding as they were written
PREADV with a segment of 100 bytes: $odd"
    cmp demo "$BATS_FILE_TMPDIR/records"
    [[ $trace == *$'\n'"io_submit 1 = 1: preadv demo\
 16384+100+16384@0 data=pointer"$'\n'* ]]
    same "writes" "$(grep -o 'pwritev demo [0-9+@]*' <<<"$trace")" "\
pwritev demo 16384+32768+16384@0
pwritev demo 16384+32768+16384@65536
pwritev demo 16384+32768+16384@131072
pwritev demo 16384+32768+16384@196608"
    same "reads" "$(grep -o 'preadv demo 16384+3[0-9+@]*' <<<"$trace" | sort)" \
        "$(sed 's/^/preadv demo 16384+32768+16384@/' <<<$'0\n131072\n196608
65536')"
}

@test "vectored submits all that it has with one call, and reads as writes end" {
    AIO_WATCH=log program -0 vectored demo 20
    same "the first call" "$(head -n 1 log | wc -w)" 9
    same "most in flight" "$(awk '
        /^submit/ { n += NF - 1; if (n > most) most = n }
        /^reap/ { n -= $2 }
        END { print most, n }' log)" "8 0"
    assert_line "PWRITEV: 20 records of *"
    cmp demo <(records 20)
}

@test "vectored: the segments of a record lie in another order in memory" {
    AIO_WATCH=log AIO_WATCH_MORE=1 program -0 vectored demo 1
    same "first" "$(head -n 1 log)" "submit 8:0:16384@0/32768@0/16384@0"
    # A copy of the memory as it is would be the header, the padding, the body.
    cmp demo <(records 1)
}

@test "vectored goes on through the page cache without O_DIRECT" {
    umask 0
    AIO_FAULT='open:direct@1=EINVAL' program -0 vectored new
    same output "$(facts_of_vectored)" "\
O_DIRECT: not here, going on through the page cache
PWRITEV: 4 records of 16384 + 32768 + 16384 bytes
PREADV: headers, bodies and padding as they were written
PREADV with a segment of 100 bytes: fine, without alignment"
    cmp new "$BATS_FILE_TMPDIR/records"
    same "mode" "$(stat -c %a new)" 666
}

@test "vectored loses nothing to few events, few taken, EINTR or EAGAIN" {
    local fault

    for fault in 'io_submit@*=short=1' 'io_submit@*=short=3' \
        'io_getevents@*=short=1' 'io_submit@1=EINTR io_submit@3=EINTR' \
        'io_submit@1=short=2 io_submit@2=EAGAIN' \
        'io_getevents@1=EINTR io_getevents@3=EINTR' fallocate@1=EINTR; do
        AIO_FAULT=$fault program -0 vectored demo
        assert_stderr ""
        cmp demo "$BATS_FILE_TMPDIR/records"
    done
}

@test "vectored goes on in the middle of its array after a short count" {
    local bytes

    takes 512 || skip "the disk here is less exact"
    for bytes in 512 16384 20480 49152 65024; do
        AIO_FAULT="io_submit@1=bytes=$bytes io_submit@2=bytes=$bytes" \
            AIO_DIOALIGN='512 512' AIO_WATCH=log.$bytes \
            program -0 vectored demo 1
        assert_stderr ""
        assert_line 'PWRITEV: 1 record of *'
        cmp demo <(records 1)
    done
    # What was left of the second segment, as much as was let through.
    grep -q '^submit 8:20480:20480$' log.20480
    # All of it, and the third; a segment that is done is in it no more.
    grep -q '^submit 8:40960:8192/16384$' log.20480
    grep -qE '^submit 8:49152:16384( |$)' log.49152
}

@test "vectored: an error in an event names the request and the record" {
    local at res reason results=(-ENOSPC:ENOSPC 0:EIO)

    for at in 1 2; do
        for res in "${results[@]}"; do
            AIO_FAULT="io_getevents@$at=res=${res%:*}
                io_getevents@*=short=1" \
                start "$at$res" vectored "demo.$at$res" 1
        done
    done
    for at in 1:IOCB_CMD_PWRITEV 2:IOCB_CMD_PREADV; do
        for res in "${results[@]}"; do
            reason=reason_${res#*:}
            finish "${at%:*}$res" 1
            assert_error "vectored: ${at#*:} record 0: ${!reason}"
        done
    done
}

@test "vectored notices that what it reads is not what it wrote" {
    AIO_WATCH_AT='2 printf X | dd of=demo conv=notrunc bs=1 seek=20000 2>log' \
        program -1 vectored demo 1
    assert_error "vectored: demo: record 0 is not as it was written"
}

@test "vectored asks for the alignment, and says if its blocks do not fit" {
    local line

    [[ $(direct "$BATS_FILE_TMPDIR/records") == *yes ]] || skip "no O_DIRECT"
    AIO_DIOALIGN='4 16384' program -0 vectored demo
    assert_line "alignment: memory 4, offset and length 16384 (says statx)"
    AIO_DIOALIGN='131072 512' program -1 vectored demo
    assert_error "vectored: demo: 65536 is no multiple of the alignment"
}

# ---- Vectors: facts ----

@test "aio_nbytes is the number of segments, 0 to 1024, and res that of bytes" {
    answers three "\
res 30
res 30
third-----second----first-----"
    answers limits "\
res 0
res 1024
EINVAL
res 1024
EINVAL"
}

@test "the iovec array may be overwritten once io_submit returned" {
    answers reuse "\
res 16384
res 16384"
}

@test "O_DIRECT: one segment that is not aligned fails the request as a whole" {
    if in_the_kernel; then
        answers bad-segment "\
address of the first: res EINVAL
length of the first: res EINVAL
address of the middle: res EINVAL
length of the middle: res EINVAL
address of the last: res EINVAL
length of the last: res EINVAL
size: 0"
    else
        # Here they are all good, for they are written otherwise.
        answers bad-segment "\
address of the first: res 12288
length of the first: res 8292
address of the middle: res 12288
length of the middle: res 8292
address of the last: res 12288
length of the last: res 8292
size: 12288"
    fi
}

@test "a bad buffer through the page cache: what lies before it is transferred" {
    answers bad-buffer:cached "\
PWRITEV
the first is bad: res EFAULT
the second is bad: res 4096
the third is bad: res 8192
one, bad in its second page: res 4096
PREADV
the first is bad: res EFAULT
the second is bad: res 4096
the third is bad: res 8192
one, bad in its second page: res 4096"
}

@test "a bad buffer with O_DIRECT: -EFAULT, wherever it is" {
    in_the_kernel || skip "no O_DIRECT worth the name here"
    takes 4096 || skip "the disk here does not take the probe's 4096 bytes"
    answers bad-buffer:direct "\
PWRITEV
the first is bad: res EFAULT
the second is bad: res EFAULT
the third is bad: res EFAULT
one, bad in its second page: res EFAULT
PREADV
the first is bad: res EFAULT
the second is bad: res EFAULT
the third is bad: res EFAULT
one, bad in its second page: res EFAULT"
}

@test "an address that no process can have: EFAULT from io_submit, of 0 bytes too" {
    [[ $(uname -m) == x86_64 ]] || skip "on $(uname -m) there may be none"
    [[ $(<"$BATS_FILE_TMPDIR/no-address") != "32 bits" ]] ||
        skip "a 32-bit process can have all that it can name"
    answers no-address $'EFAULT\nEFAULT'
}

@test "a negative length is EINVAL; one request moves the pages below 2^31" {
    local most=$(((1 << 31) - $(getconf PAGE_SIZE)))

    answers lengths $'EINVAL\nres '"$most"$'\nres '"$most"
}

@test "a buffer that the kernel can't hold on to: no O_DIRECT, but the page cache" {
    answers not-pinned:cached "res 4096"
    in_the_kernel || skip "no O_DIRECT worth the name here"
    takes 4096 || skip "the disk here does not take the probe's 4096 bytes"
    answers not-pinned:direct "res EFAULT"
}

# What the child of private memory gets depends on the kernel.
@test "fork with O_DIRECT reads in flight: shared memory is safe, and the parent" {
    local memory

    in_the_kernel || skip "no O_DIRECT worth the name here"
    cd "$BATS_FILE_TMPDIR"
    for memory in private shared dontfork; do
        grep -qx 'in the parent: all is there' "forked:$memory"
    done
    grep -qx 'in the child: all is there' forked:shared
}

@test "fork: memory with MADV_DONTFORK is not there for the child" {
    in_the_kernel || skip "no O_DIRECT worth the name here"
    [[ $(tail -n 1 "$BATS_FILE_TMPDIR/forked:dontfork") == \
        "in the child: Segmentation fault" ]]
}

# ---- ring-reap ----

@test "ring-reap: events that are there cost no system call" {
    head -c 100000 /dev/zero >demo
    traced ring-reap demo
    same "batches" "$(grep '@114688 data=' <<<"$trace" | cut -d : -f 1 |
        sort -u)" "io_submit 8 = 8"
    same "waits" "$(sed -n 's/^\(io_getevents .*\) = .*/\1/p' <<<"$trace" |
        sort -u)" "io_getevents 1 8 -"
    places=$(sed -n 's/^ring: understood, \([0-9]*\) places for events$/\1/p' \
        <<<"$output")
    compare "$places" ">" 8
    compare "$requests" == "4 * $places"
    same output "$(sed -E '/^reads, .* (first|alone): [0-9]* /{
        /the ring alone/! s/: [0-9]* /: N /}' <<<"$output")" "\
ring: understood, $places places for events
requests: $requests, in batches of 8
writes, io_getevents alone: $batches calls
writes, the ring first: 0 calls
$(direct demo)
reads, io_getevents alone: N calls
reads, the ring first: N calls
reads, the ring alone: 0 calls"
    compare "$(value 'reads, io_getevents alone')" ">=" "$batches"
    compare "$(value 'reads, the ring first')" "<=" "$requests"
    cmp demo <(for letter in a b c d e f g h; do
        head -c 16384 /dev/zero | tr '\0' "$letter"
    done)
}

@test "ring-reap counts right" {
    traced ring-reap demo
    same "calls of io_getevents" "$(grep -c '^io_getevents' <<<"$trace")" \
        "$(awk '/ calls$/ { sum += $(NF - 1) } END { print sum }' <<<"$output")"
    same "calls of io_submit" "$(grep -c '^io_submit' <<<"$trace")" \
        "$((5 * batches))"
}

@test "ring-reap takes statx's word for it that a file has no O_DIRECT" {
    export AIO_DIOALIGN='0 0'
    program -0 ring-reap demo
    assert_line "$(LD_PRELOAD=$root/tests/helpers/fault.so direct demo)"
}

@test "ring-reap passes the page cache only if 16384 fits the alignment" {
    local rules

    [[ $(direct "$BATS_FILE_TMPDIR/records") == *yes ]] || skip "no O_DIRECT"
    AIO_DIOALIGN='4 16384' program -0 ring-reap demo
    assert_line 'O_DIRECT: yes'
    for rules in '4 32768' '32768 512' '12288 512'; do
        AIO_DIOALIGN=$rules program -0 ring-reap demo
        assert_line 'O_DIRECT: not here, going on through the page cache'
    done
}

@test "ring-reap without O_DIRECT: reads cost no system call either" {
    umask 0
    AIO_FAULT='fcntl@1=EINVAL' program -0 ring-reap demo
    assert_line "O_DIRECT: not here, going on through the page cache"
    assert_line "reads, io_getevents alone: $batches calls"
    assert_line "reads, the ring first: 0 calls"
    same "mode" "$(stat -c %a demo)" 666
}

@test "ring-reap waits only when the ring is empty, and loses no request" {
    local fault

    # One event a call, so that the ring has the others.
    AIO_FAULT='io_getevents@*=short=1' program -0 ring-reap demo
    assert_line "writes, io_getevents alone: $requests calls"
    assert_line "writes, the ring first: 0 calls"
    assert_line "reads, io_getevents alone: $requests calls"
    compare "$(value 'reads, the ring first')" "<=" "$requests"

    for fault in 'io_submit@*=short=1' 'io_submit@*=short=5' \
        'io_submit@1=EINTR io_submit@9=EINTR' 'io_submit@2=bytes=4096' \
        'io_submit@1=short=2 io_submit@2=EAGAIN'; do
        AIO_FAULT=$fault program -0 ring-reap demo
        assert_stderr ""
        assert_line "writes, the ring first: 0 calls"
        same "size" "$(stat -c %s demo)" 131072
    done
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        program -0 ring-reap demo
    assert_line "writes, io_getevents alone: $((batches + 2)) calls"
}

@test "ring-reap does not look for ever where nothing comes without a call" {
    AIO_LATE=newest program -0 ring-reap demo
    compare "$(value 'reads, the ring alone')" ">" 0
}

@test "ring-reap falls back for other magic or incompat_features, not compat" {
    local word

    for word in 4=0xa10a10a2 4=0 6=1 6=0x80000000; do
        AIO_WATCH_RING=$word program -0 ring-reap demo
        assert_stderr ""
        same output "$(sed 's/^\(reads, .*\): [0-9]* /\1: N /' <<<"$output")" "\
ring: not understood, so io_getevents does it all
requests: 512, in batches of 8
writes, io_getevents alone: 64 calls
writes, the ring first: 64 calls
$(direct demo)
reads, io_getevents alone: N calls
reads, the ring first: N calls
reads, the ring alone: N calls"
        compare "$(value 'reads, the ring alone')" ">=" 64
    done

    AIO_WATCH_RING=5=3 program -0 ring-reap demo
    assert_line "ring: understood, *"
    assert_line "writes, the ring first: 0 calls"
}

@test "ring-reap notices an event of no request" {
    AIO_WATCH_RING=2=100 program -1 ring-reap demo
    assert_error "ring-reap: an event of no request"
}

@test "ring-reap notices an event that comes a second time" {
    # The head moves back by three, to the last ones that came through
    # io_getevents.
    AIO_WATCH=log AIO_WATCH_RING=2=$((requests / 4 - 3))@$((batches + 1)) \
        program -1 ring-reap demo
    assert_error "ring-reap: an event of no request"
    same "submits" "$(grep -c submit log)" $((batches + 1))
}

@test "ring-reap: an error in an event names the block" {
    local res reason results=(-ENOSPC:ENOSPC 0:EIO)

    for res in "${results[@]}"; do
        AIO_FAULT="io_getevents@1=res=${res%:*}" \
            start "$res" ring-reap "demo.$res"
    done
    for res in "${results[@]}"; do
        reason=reason_${res#*:}
        finish "$res" 1
        assert_error "ring-reap: IOCB_CMD_PWRITE block [0-7]: ${!reason}"
    done
    AIO_FAULT="io_getevents@$((batches + 1))=res=-EIO" \
        program -1 ring-reap demo
    assert_error "ring-reap: IOCB_CMD_PREAD block [0-7]: $reason_EIO"
}

# ---- The ring: facts ----

@test "a context is the address of a ring, whose header is as expected" {
    answers header "\
head 0, tail 0, magic 0xa10a10a1, compat_features 1, incompat_features 0,\
 header_length 32
nr more than asked for: yes"
}

@test "an event in the ring is taken by moving the head, as io_getevents does" {
    answers taken "\
head 0, tail 1
data 7, res 10
io_getevents: 0"
    answers moved "\
io_getevents: 1
head 1, tail 1"
}

@test "two consumers of one ring get the same event" {
    answers twice "\
the second: 1 event, data 7
the first: 1 event, data 7"
}

@test "taken from the ring alone, events never fill it" {
    answers round-and-round "all were taken"
}

@test "the ring is not executable, nor can it become that" {
    answers executable $'rw-s\nmprotect: EACCES\nrw-s'
}

@test "the ring moves with mremap(): its new address is the context; it can't grow" {
    answers moved-mapping "\
growing: EFAULT
the old address: submit EINVAL, getevents EINVAL, cancel EINVAL, destroy EINVAL
the new one: submit 1, getevents 0 or more, cancel EINVAL, destroy 0"
}

@test "a ring that is unmapped or may not be read is no context, and stays charged" {
    answers protected "\
PROT_READ: submit 1, getevents 0 or more, cancel EINVAL, destroy 0
PROT_NONE: submit EINVAL, getevents EINVAL, cancel EINVAL, destroy EINVAL
unmapped: submit EINVAL, getevents EINVAL, cancel EINVAL, destroy EINVAL
aio-nr: still charged"
}

@test "who looks at the ring when io_destroy has begun gets SIGSEGV" {
    answers look-while-destroyed "SIGSEGV, io_destroy has not returned"
}

# ---- aio-copy ----

# data SIZE: so many bytes, no two blocks of them alike.
data() { seq 10000000 | head -c "$1"; }

# copies ARGUMENT...: aio-copy src dst ARGUMENT... is right.
copies() {
    program -0 aio-copy src dst "$@"
    assert_stderr ""
    cmp src dst
    rm dst
}

# fails PATTERN ARGUMENT...: aio-copy src dst ARGUMENT... says only this.
fails() {
    program -1 aio-copy src dst "${@:2}"
    assert_error "aio-copy: $1"
}

# copy_all BLOCK SIZE...: files of these sizes, begun like the file longest,
# at depth 1 and 64.
copy_all() {
    local size depth

    for size in "${@:2}"; do
        head -c "$size" longest >"src.$size"
        for depth in 1 64; do
            start "$size.$depth" aio-copy "src.$size" "dst.$size.$depth" \
                "$depth" "$1"
        done
    done
    for size in "${@:2}"; do
        for depth in 1 64; do
            finish "$size.$depth" 0
            assert_line "copied: $size bytes"
            assert_stderr ""
            cmp "src.$size" "dst.$size.$depth"
        done
    done
}

# way FILE: what aio-copy says of it.
way() {
    if [[ $(probe direct "$1") == yes ]]; then
        echo "$1: O_DIRECT"
    else
        echo "$1: no O_DIRECT here, through the page cache"
    fi
}

# disk_use FILE: in bytes, when all is written.
disk_use() { sync "$1" && echo $(($(stat -c '%b * %B' "$1"))); }

@test "aio-copy says how it went, how much and how fast, and leaves nothing" {
    data 12345 >src
    traced aio-copy src dst
    same stdout "$(sed 's/^time: [0-9]*\.[0-9][0-9] s, [0-9]* MB/time: N/' \
        <<<"$output")" "\
$(way src)
$(way dst)
copied: 12345 bytes
time: N/s"
    files dst src
}

@test "aio-copy tells on a terminal, and there only, how long it will take" {
    local line

    needs_terminals
    data 163840 >src
    AIO_FAULT='io_getevents@*=short=1' ended 60 \
        "$BATS_FILE_TMPDIR/probe-vectored" terminal \
        "$root/$chapter/aio-copy" src dst 1 4096
    same status "$status" 0
    line=${stderr//$'\033[K'/}
    line=${line%%$'\r'*}
    [[ $line =~ ^\ *[0-9]+\ %,\ [0-9]+\ MB/s,\ [0-9]+\ s\ left$ ]]
    # Nothing of it is left in the end.
    [[ ${stderr##*$'\r'} == $'\033[K' ]]
    assert_line "copied: 163840 bytes"
    program -0 aio-copy src dst 1 4096
    assert_stderr ""
}

@test "aio-copy copies files of every size byte for byte, at each depth" {
    data 5000000 >longest
    copy_all 8192 0 1 511 512 513 4095 4096 4097 8191 8192 8193 16384 100000
    # Around a block of the default size.
    copy_all 2097152 2097151 2097152 2097153 4194304 5000000
}

@test "aio-copy copies 64 MiB and a little more" {
    local id

    data 67108867 >src
    start 1 aio-copy src dst.1 1
    start 64 aio-copy src dst.64 64
    for id in 1 64; do
        finish "$id" 0
        assert_line "copied: 67108867 bytes"
        cmp src "dst.$id"
    done
}

@test "aio-copy works with its least and its largest numbers" {
    data 50000 >src
    copies 1 4096
    copies 1024 4096
    copies 1024 67108864
    # Rounded up to 4096.
    AIO_WATCH=log copies 1 1
    [[ $(head -n 1 log) == "submit 0:0:4096" ]]
    AIO_WATCH=log.2 copies 1 4097
    [[ $(head -n 1 log.2) == "submit 0:0:8192" ]]
}

@test "aio-copy: holes stay holes, at the beginning, in the middle, at the end" {
    truncate -s 30000000 src
    printf begin | dd of=src conv=notrunc bs=1 seek=1000000 2>/dev/null
    printf middle | dd of=src conv=notrunc bs=1 seek=19999998 2>/dev/null
    program -0 aio-copy src dst
    cmp src dst
    compare "$(disk_use dst)" "<=" "$(disk_use src) + 8192"
    assert_line "copied: 30000000 bytes"
    assert_line "holes: 29*"
    program -0 aio-copy src dst 1 4096
    cmp src dst
    compare "$(disk_use dst)" "<=" "$(disk_use src) + 8192"
}

@test "aio-copy: what is not on the disk yet is no hole (ext4 without extents)" {
    [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null &&
        truncate -s 64M image &&
        mkfs.ext4 -q -O ^extents,^64bit image 2>/dev/null || return 0
    mkdir mounted
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 unshare --mount bash -c '
        mount -o loop image mounted || exit 77
        cd mounted && truncate -s 1M src &&
            printf middle | dd of=src conv=notrunc bs=1 seek=500000 &&
            "$1" src dst >&2 && cmp src dst' bash "$root/$chapter/aio-copy"
    [[ $status == 77 ]] || same status "$status" 0
    assert_output ""
}

@test "aio-copy: a file that is one hole, or ends in an odd one, needs no room" {
    local size

    for size in 4096 100000 1000003; do
        rm -f src dst
        truncate -s "$size" src
        [[ $(disk_use src) == 0 ]] || skip "there are no holes here"
        program -0 aio-copy src dst
        same "size" "$(stat -c %s dst)" "$size"
        same "blocks" "$(disk_use dst)" 0
        cmp src dst
    done
}

@test "aio-copy: many small pieces between holes, each in its place" {
    local i

    for ((i = 0; i < 50; i++)); do
        printf 'piece %03d' "$i" >>src
        truncate -s +70001 src
    done
    copies
    copies 2 4096
    copies 64 65536
}

@test "aio-copy: an image of 200 GiB that is nearly empty fits on a small disk" {
    # shellcheck disable=SC2016 # for the inner shell
    on_small_disk 8m bash -c 'truncate -s 200G src 2>/dev/null || exit 7
        seq 100000 | dd of=src conv=notrunc bs=1M seek=150000 2>/dev/null
        "$1" src dst | grep copied; stat -c %s dst
        cmp <(tail -c +157286400001 dst | head -c 700000) \
            <(tail -c +157286400001 src | head -c 700000) && echo the same' \
        bash "$root/$chapter/aio-copy"
    [[ $status != 7 ]] || skip "there are no files as long as that"
    assert_output "\
copied: 214748364800 bytes
214748364800
the same"
}

@test "aio-copy submits all that is ready, at most DEPTH, reads beside writes" {
    data 40960 >src
    AIO_WATCH=log program -0 aio-copy src dst 4 4096
    same "first submit" "$(head -n 1 log)" \
        "submit 0:0:4096 0:4096:4096 0:8192:4096 0:12288:4096"
    same "most in flight" "$(awk '
        /^submit/ { n += NF - 1; if (n > most) most = n }
        /^reap/ { n -= $2 }
        END { print most, n }' log)" "4 0"
    same "reads" "$(grep -o ' 0:[0-9]*' log | sort -u | wc -l)" 10
    same "writes" "$(grep -o ' 1:[0-9]*' log | sort -u | wc -l)" 10

    AIO_FAULT='io_getevents@*=short=1' AIO_WATCH=log.2 \
        program -0 aio-copy src dst 4 4096
    # Reads that were submitted and not reaped, when a write is submitted.
    same "reads in flight beside the first write" "$(awk '
        / 1:/ { print reads - reaped; exit }
        /^submit/ { reads += NF - 1 }
        /^reap/ { reaped += $2 }' log.2)" 3
}

@test "aio-copy writes what is less than the alignment without padding" {
    [[ $(probe direct "$BATS_FILE_TMPDIR/records") == yes ]] ||
        skip "no O_DIRECT"
    takes 512 || skip "the disk here is less exact"
    data 10000 >src
    AIO_DIOALIGN='4 512' AIO_WATCH=log copies 1 8192
    same "requests" "$(grep submit log)" "\
submit 0:0:8192
submit 1:0:8192
submit 0:8192:1536
submit 1:8192:1536"
    # The file's end is not a place where a disk of 4096 bytes could write.
    AIO_DIOALIGN='4096 4096' AIO_WATCH=log.2 copies 1 8192
    same "requests" "$(grep submit log.2)" $'submit 0:0:8192\nsubmit 1:0:8192'
}

@test "aio-copy takes the stricter alignment for both files" {
    [[ $(probe direct "$BATS_FILE_TMPDIR/records") == yes ]] ||
        skip "no O_DIRECT"
    data 100000 >src
    AIO_DIOALIGN='512 16384' AIO_WATCH=log copies 1 65536
    same "requests" "$(grep submit log)" "\
submit 0:0:65536
submit 1:0:65536
submit 0:65536:32768
submit 1:65536:32768"
    # Blocks that do not suit it go through the page cache.
    AIO_DIOALIGN='512 16384' program -0 aio-copy src dst 1 4096
    same "lines" "$(grep -c 'no O_DIRECT here' <<<"$output")" 2
    cmp src dst
}

@test "aio-copy: data between holes is read and written from aligned places" {
    [[ $(probe direct "$BATS_FILE_TMPDIR/records") == yes ]] ||
        skip "no O_DIRECT"
    truncate -s 262144 src
    data 4096 | dd of=src conv=notrunc bs=4096 seek=5 2>/dev/null
    data 4096 | dd of=src conv=notrunc bs=4096 seek=41 2>/dev/null
    sync src
    AIO_DIOALIGN='512 16384' AIO_WATCH=log copies 1 65536
    if [[ $(head -n 1 log) != "submit 0:0:65536" ]]; then   # holes are known
        same "requests" "$(grep submit log)" "\
submit 0:16384:16384
submit 1:16384:16384
submit 0:163840:16384
submit 1:163840:16384"
    fi
}

@test "aio-copy goes on after short counts, where it is aligned" {
    data 2097152 >src
    AIO_WATCH=log AIO_FAULT='io_submit@1=bytes=311296 io_submit@3=bytes=16384' \
        program -0 aio-copy src dst 1 1048576
    assert_stderr ""
    cmp src dst
    same "submits" "$(grep submit log)" "\
submit 0:0:311296
submit 0:311296:737280
submit 1:0:16384
submit 1:16384:1032192
submit 0:1048576:1048576
submit 1:1048576:1048576"

    # An odd count: what is beyond the alignment is done once more.
    [[ $(probe direct src) == yes ]] && takes 512 || return 0
    data 16384 >src
    AIO_DIOALIGN='512 512' AIO_WATCH=log.2 \
        AIO_FAULT='io_getevents@1=res=5000 io_getevents@3=res=4999' \
        program -0 aio-copy src dst 1 8192
    assert_stderr ""
    cmp src dst
    same "submits" "$(grep submit log.2 | head -n 4)" "\
submit 0:0:8192
submit 0:4608:3584
submit 1:0:8192
submit 1:4608:3584"
}

@test "aio-copy loses nothing to EINTR, EAGAIN, few events, or few taken" {
    local fault

    data 100000 >src
    for fault in 'io_getevents@*=short=1' 'io_getevents@*=short=2' \
        'io_getevents@1=EINTR io_getevents@2=EINTR io_getevents@9=EINTR' \
        'io_submit@1=EINTR io_submit@2=EINTR io_submit@5=EINTR' \
        'io_submit@*=short='{1,2,3,5,7}; do
        AIO_FAULT=$fault copies 8 4096
    done

    # It reaps where EAGAIN says that the context is full.
    AIO_FAULT='io_getevents@*=short=1 io_submit@2=EAGAIN io_submit@3=EAGAIN
        io_submit@4=EAGAIN io_submit@7=EAGAIN' copies 8 4096
    AIO_FAULT='io_getevents@*=short=1 io_submit@2=EAGAIN' copies 2 4096
    AIO_FAULT='io_submit@1=EAGAIN' fails "io_submit: $reason_EAGAIN"
    # Some have been, but none is in flight now.
    AIO_FAULT='io_submit@2=EAGAIN' fails "io_submit: $reason_EAGAIN" 1 4096
}

# Of the calls of fcntl() the first asks for the lease.
@test "aio-copy goes on without O_DIRECT, or if statx() knows no alignment" {
    local n

    data 100001 >src
    for n in 2 3 '2=EINVAL fcntl@3'; do
        [[ $(probe direct src) == yes ]] || break
        AIO_FAULT="fcntl@$n=EINVAL" program -0 aio-copy src dst 4 16384
        cmp src dst
        [[ $output == *"no O_DIRECT here"* ]]
    done
    rm -f dst
    AIO_FAULT='lseek@*=EINVAL' copies 4 16384
    takes 4096 || return 0      # that is its guess then
    AIO_FAULT='statx@*=ENOSYS' copies 4 16384
    AIO_FAULT='statx@*=ENOSYS' AIO_WATCH=log program -0 aio-copy src dst 1 16384
    if [[ $output == *"dst: O_DIRECT"* ]]; then
        # 98304 bytes, and 1697 that are no 4096.
        [[ $(<log) == *"submit 1:81920:16384"* && $(<log) != *" 1:98304:"* ]]
    fi
}

@test "aio-copy reserves space first, in a file nobody else reads, if it can" {
    local fault

    data 16384 >src
    umask 0
    AIO_WATCH_AT='1 stat -c "%s %a" .aio-copy-?????? >seen; ls -A >>seen' \
        program -0 aio-copy src dst
    same "seen by the way" "$(sed 's/aio-copy-.*/aio-copy/' seen)" "\
16384 600
.aio-copy
seen
src"

    # It goes on where none can be reserved, but not where there is none.
    rm dst seen
    data 100001 >src
    for fault in EOPNOTSUPP ENOSYS EINTR EINVAL EPERM ENOTTY; do
        AIO_FAULT="fallocate@1=$fault" copies 4 4096
    done
    AIO_FAULT='fallocate@1=EINTR fallocate@2=ENOSPC' \
        fails "fallocate dst: $reason_ENOSPC"
    AIO_FAULT='fallocate@1=ENOSPC' fails "fallocate dst: $reason_ENOSPC"
    files src
}

@test "aio-copy: first all is on the disk, then the name, then the folder" {
    mkdir folder
    data 10000 >src
    AIO_WATCH=log program -0 aio-copy src folder/dst
    same "the end" "$(tail -n 2 log | sed 's/aio-copy-....../aio-copy/')" "\
fsync $(pwd -P)/folder/.aio-copy
fsync $(pwd -P)/folder"

    # If the file can't be synced, there is no DST.
    AIO_FAULT='fsync@1=EIO' fails "fsync dst: $reason_EIO"
    files folder log src
    # If the folder can't, DST is whole.
    AIO_FAULT='fsync@2=EIO' fails "fsync the folder of dst: $reason_EIO"
    cmp src dst
    files dst folder log src
}

@test "aio-copy writes into a folder that it may not read" {
    [[ $(stat -f -c %T .) != nfs ]] || skip "the server may know better"
    data 10000 >src
    mkdir drop
    chmod 333 drop
    run -0 --separate-stderr without_override "$root/$chapter/aio-copy" \
        src drop/dst
    chmod 755 drop
    cmp src drop/dst
}

@test "aio-copy leaves nothing in the page cache where it has O_DIRECT" {
    data 3000001 >src
    probe drop src
    program -0 aio-copy src dst
    # tmpfs has files nowhere else; btrfs may write through the page cache, and
    # a journal that has data keeps them there.
    in_the_kernel || return 0
    assert_line 'src: O_DIRECT'
    same "pages of src" "$(probe cached src)" 0
    same "pages of dst" "$(probe cached dst)" 0
    AIO_FAULT='fcntl@2=EINVAL fcntl@3=EINVAL' program -0 aio-copy src dst
    same "pages of dst, through the cache" "$(probe cached dst)" 0
}

@test "aio-copy keeps the permissions, whatever the umask or DST had" {
    data 100 >src
    umask 077
    for mode in 640 755 600 666; do
        chmod "$mode" src
        program -0 aio-copy src dst
        same "mode" "$(stat -c %a dst)" "$mode"
    done
    chmod 4751 src
    program -0 aio-copy src dst
    same "mode, but not set-user-ID" "$(stat -c %a dst)" 751
    same "mode of the source" "$(stat -c %a src)" 4751
}

@test "aio-copy: the owner of a DST stays who he is, with root as well" {
    [[ $EUID == 0 ]] || skip "only root can give files away"
    needs_users
    data 100000 >src
    echo old >dst
    chown 12345:23456 dst
    AIO_WATCH_AT='1 stat -c %u:%g .aio-copy-?????? >seen' \
        program -0 aio-copy src dst
    cmp src dst
    same "owner" "$(stat -c %u:%g dst)" 12345:23456
    same "owner from the start" "$(<seen)" 12345:23456
    # A new one is root's.
    program -0 aio-copy src new
    same "owner" "$(stat -c %u:%g new)" "$(stat -c %u:%g src)"
}

@test "aio-copy: who can't keep DST's owner is told before anything is copied" {
    data 100000 >src
    echo old >dst
    AIO_FAULT='fchown@1=EPERM' AIO_WATCH=log fails "fchown dst: $reason_EPERM"
    [[ ! -s log ]]
    same dst "$(<dst)" old
    rm log
    files dst src
}

@test "aio-copy does not replace a DST that is write-protected" {
    data 100000 >src
    echo old >dst
    chmod 444 dst
    run -1 --separate-stderr without_override "$root/$chapter/aio-copy" src dst
    assert_error "aio-copy: open dst: $reason_EACCES"
    same dst "$(<dst)" old
    files dst src
}

@test "aio-copy: a mount point as DST is refused before anything is copied" {
    [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null ||
        skip "no right to mount"
    data 100000 >src
    echo old >dst
    echo other >mounted
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 unshare --mount bash -c 'mount --bind mounted dst &&
        AIO_WATCH=log LD_PRELOAD=$1 "$2" src dst' bash \
        "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
    same "status" "$status" 1
    assert_error "aio-copy: dst: is a mount point"
    [[ ! -s log ]]
    rm log
    files dst mounted src
}

@test "aio-copy: an immutable DST is refused before anything is copied" {
    data 100000 >src
    echo old >dst
    chattr +i dst 2>/dev/null || skip "no chattr here"
    AIO_WATCH=log program -1 aio-copy src dst
    chattr -i dst
    [[ $stderr == "aio-copy: "*" dst: $reason_EPERM" ]] ||
        same stderr "$stderr" "$reason_EPERM"
    [[ ! -s log ]]
    rm log
    files dst src
}

@test "aio-copy: another's DST in a sticky folder is refused before anything" {
    [[ $EUID == 0 ]] || skip "takes a second user"
    data 100000 >src
    chmod 644 src
    mkdir sticky
    echo old >sticky/dst
    chmod 666 sticky/dst
    chmod 1777 sticky
    chmod 755 .
    cp "$root/$chapter/aio-copy" .
    ended 60 setpriv --reuid 65534 --regid 65534 --clear-groups \
        ./aio-copy src sticky/dst
    [[ $stderr != *setpriv* && $status != 126 ]] || skip "not for others"
    # A folder above may be closed to others: then there is nothing to see.
    [[ $stderr != *'Permission denied' ]] || return 0
    same status "$status" 1
    assert_error "aio-copy: rename to sticky/dst: $reason_EPERM"
    same "in the folder" "$(ls -A sticky)" dst
}

@test "aio-copy replaces DST: who has the old one keeps it" {
    echo old >dst
    ln dst kept
    data 10000 >src
    program -0 aio-copy src dst
    cmp src dst
    same kept "$(<kept)" old
    files dst kept src
}

@test "aio-copy: a symbolic link stays one, and what it links to is replaced" {
    mkdir real
    data 20000 >src
    echo old >real/file
    ln -s real/file link
    AIO_WATCH_AT='1 ls -A real >seen' program -0 aio-copy src link
    same "type" "$(readlink link)" real/file
    cmp src real/file
    [[ $(<seen) == .aio-copy-??????$'\n'file ]]
    ln -s nothing dangling
    program -1 aio-copy src dangling
    assert_error "aio-copy: dangling: is a symbolic link to nothing"
    ln -s loop loop
    program -1 aio-copy src loop
    assert_error "aio-copy: open loop: *ymbolic link*"
    rm loop
    files dangling link real seen src
}

@test "aio-copy puts the copy into a folder, with SRC's name" {
    mkdir folder
    data 10000 >src
    program -0 aio-copy ./src folder
    cmp src folder/src
    # Without a folder in its name as well, and from a folder to here.
    rm src
    program -0 aio-copy folder/src .
    cmp src folder/src
}

@test "aio-copy refuses SRC itself as DST, by any name" {
    local arguments

    data 10000 >src
    cp src expected
    ln src hard
    ln -s src symbolic
    for arguments in 'src src' 'src ./src' 'src hard' 'hard src' \
        'src symbolic' 'symbolic src' 'symbolic symbolic'; do
        # shellcheck disable=SC2086 # two
        program -1 aio-copy $arguments
        assert_output ""
        assert_error "aio-copy: ${arguments#* }: is the same file as the source"
    done
    program -1 aio-copy src .
    assert_error "aio-copy: ./src: is the same file as the source"
    cmp src expected
    files expected hard src symbolic
}

@test "aio-copy refuses folders as SRC, and pipes and devices" {
    local arguments

    data 100 >src
    mkdir folder folder/src
    mkfifo pipe
    for arguments in 'folder dst:folder' 'src folder:folder/src' '. dst:.'; do
        # shellcheck disable=SC2086 # two
        program -1 aio-copy ${arguments%:*}
        assert_error "aio-copy: ${arguments#*:}: is a directory"
    done
    for arguments in 'pipe dst:pipe' 'src pipe:pipe' '/dev/null dst:/dev/null' \
        'src /dev/null:/dev/null'; do
        # shellcheck disable=SC2086 # two
        program -1 aio-copy ${arguments%:*}
        assert_output ""
        assert_error "aio-copy: ${arguments#*:}: is not a regular file"
    done
    [[ -c /dev/null && -p pipe ]]
    files folder pipe src
}

@test "aio-copy names a file that is missing, locked, or has too long a name" {
    local name

    data 100 >src
    program -1 aio-copy missing dst
    assert_error "aio-copy: open missing: $reason_ENOENT"
    program -1 aio-copy src missing/dst
    assert_error "aio-copy: open missing/.: $reason_ENOENT"
    program -1 aio-copy src src/dst
    assert_error "aio-copy: open src/dst: $reason_ENOTDIR"
    program -1 aio-copy src ''
    assert_error "aio-copy: open : $reason_ENOENT"
    program -1 aio-copy src missing/
    assert_error "aio-copy: open missing/.: $reason_ENOENT"
    mkdir locked
    chmod 555 locked
    run -1 --separate-stderr without_override \
        "$root/$chapter/aio-copy" src locked/dst
    assert_error "aio-copy: open a file beside locked/dst: $reason_EACCES"
    chmod 0 src
    run -1 --separate-stderr without_override \
        "$root/$chapter/aio-copy" src dst
    assert_error "aio-copy: open src: $reason_EACCES"
    files locked src

    # A name as long as names can be, and a longer one.
    chmod 644 src
    name=$(printf %0255d 0)
    program -0 aio-copy src "$name"
    cmp src "$name"
    program -1 aio-copy src "0$name"
    assert_error "aio-copy: open 0$name: $reason_ENAMETOOLONG"
}

@test "aio-copy goes on in a folder that is renamed meanwhile" {
    mkdir folder
    data 40000 >src
    AIO_WATCH_AT='3 mv folder moved' program -0 aio-copy src folder/dst 2 4096
    cmp src moved/dst
    same "in the folder" "$(ls -A moved)" dst

    # If it fails there, it removes the unfinished copy there.
    AIO_WATCH_AT='3 mv moved folder' AIO_FAULT='io_getevents@4=res=-EIO' \
        program -1 aio-copy src moved/new 2 4096
    same "in the folder" "$(ls -A folder)" dst
}

# ---- aio-copy: a source that changes ----

# When somebody waits to write to src, /proc/locks has its lease as BREAKING.
waiting="until grep -q \"BREAKING.*:\$(stat -c %i src) \" /proc/locks; do
    sleep 0.02; done"

# lease: can we have one on src?
lease() { probe lease src true 2>/dev/null; }

@test "aio-copy: a source that somebody has open for writing is refused at once" {
    data 100000 >src
    lease || skip "there are no leases here"
    exec 5>>src
    AIO_WATCH=log fails 'src: is open for writing elsewhere'
    exec 5>&-
    [[ ! -s log ]]
    rm log
    # A mapping counts as well, but on overlayfs, which gives a lease beside it.
    ended 60 "$BATS_FILE_TMPDIR/probe-vectored" mapped src \
        "$root/$chapter/aio-copy" src dst
    [[ $status != 0 || $(findmnt -n -o FSTYPE -T .) != overlay ]] || return 0
    same status "$status" 1
    assert_error 'aio-copy: src: is open for writing elsewhere'
    files src
}

@test "aio-copy: a source that somebody opens for writing meanwhile is an error" {
    local at command

    data 100000 >full
    cp full src
    lease || skip "there are no leases here"
    for at in 1 3 40; do
        for command in 'echo more >>src' 'truncate -s 10 src' ': >src' \
            'dd if=/dev/null of=src conv=notrunc 2>/dev/null'; do
            cp full src
            AIO_WATCH_AT="$at ($command) 2>/dev/null 3>&- & $waiting" \
                fails 'src: was opened for writing while it was copied' 1 4096
            wait_for_writer
        done
    done
    files full src
}

# The writer goes on when the lease is gone.
wait_for_writer() {
    while grep -q ":$(stat -c %i src) " /proc/locks; do
        sleep 0.02
    done
}

@test "aio-copy: a source that others only read, or rename, is none" {
    data 100000 >src
    exec 5<src
    AIO_WATCH_AT='3 cat src >/dev/null; mv src other; mv other src' \
        copies 1 4096
    exec 5<&-
}

@test "aio-copy waits for a lease that somebody else has, as cp does" {
    data 100000 >src
    lease || skip "there are no leases here"
    ended 60 "$BATS_FILE_TMPDIR/probe-vectored" lease src \
        "$root/$chapter/aio-copy" src dst
    same status "$status" 0
    same stderr "$stderr" "the lease was wanted"
    cmp src dst
}

# Without a lease: the filesystem has none, say.
@test "aio-copy: without a lease the time of a change tells" {
    local i commands=('echo more >>src' 'truncate -s 9000 src'
        'printf X | dd of=src conv=notrunc 2>/dev/null' 'touch src'
        "touch -d '2001-01-01 00:00:00.5' src" 'touch -r ../old src'
        "touch -d '2002-01-01' src" 'chmod 640 src')

    data 10000 >old
    touch -d '2001-01-01' old
    for i in "${!commands[@]}"; do
        mkdir "$i"
        cp -p old "$i/src"
        AIO_WATCH_AT="4 cd $i; ${commands[i]}" AIO_FAULT='fcntl@1=EINVAL' \
            start "$i" aio-copy "$i/src" "$i/dst" 1 4096
    done
    AIO_FAULT='fcntl@1=EACCES' start fine aio-copy old dst 1 4096
    for i in "${!commands[@]}"; do
        finish "$i" 1
        assert_error "aio-copy: $i/src: changed while it was copied"
        same "in its folder" "$(ls -A "$i")" src
    done
    finish fine 0
    cmp old dst
}

@test "aio-copy: without a lease it waits until a change would show" {
    local from=${EPOCHREALTIME/./} first

    data 10000 >src
    AIO_FAULT='fcntl@1=EINVAL' copies
    first=$((${EPOCHREALTIME/./} - from))
    compare "$first" ">" 900000
    # Now the last change is long ago.
    from=${EPOCHREALTIME/./}
    AIO_FAULT='fcntl@1=EINVAL' copies
    compare "${EPOCHREALTIME/./} - $from" "<" "$first - 500000"
}

@test "aio-copy: a source that is shorter or longer than its size is an error" {
    data 100000 >full
    cp full src
    AIO_FAULT='io_getevents@1=res=0' \
        fails 'src: is shorter than when the copy began' 1 8192
    # With O_DIRECT its end is read in another way.
    [[ $(probe direct src) == no ]] || AIO_FAULT='pread@1=short=0' \
        fails 'src: is shorter than when the copy began'
    program -1 aio-copy /proc/version dst
    assert_error "aio-copy: /proc/version: is longer than when the copy began"
    files full src
}

@test "aio-copy: an error in an event names the file" {
    data 20000 >src
    AIO_FAULT='io_getevents@1=res=-EIO' \
        fails "IOCB_CMD_PREAD src: $reason_EIO" 1 8192
    AIO_FAULT='io_getevents@2=res=-ENOSPC' \
        fails "IOCB_CMD_PWRITE dst: $reason_ENOSPC" 1 8192
    AIO_FAULT='io_getevents@2=res=0' \
        fails "IOCB_CMD_PWRITE dst: $reason_EIO" 1 8192
    files src
}

@test "aio-copy: whatever call fails, DST is as it was and nothing is left" {
    echo old >dst
    data 20000 >src
    each_call_fails EIO "$reason_EIO" "aio-copy src dst 1 8192" \
        "open@1 src" "fstat@1 src" "fchown@1 dst" "ftruncate@1 dst" \
        posix_memalign@1 calloc@1 calloc@2 calloc@3 io_setup@1 io_submit@1 \
        io_submit@3 io_getevents@1 io_getevents@3 io_destroy@1 \
        "fchmod@1 dst" "fsync@1 dst"
    AIO_FAULT='open@2=EIO' fails "open $(pwd -P)/.: $reason_EIO"
    AIO_FAULT='open@3=EIO' fails "open a file beside dst: $reason_EIO"
    AIO_FAULT='renameat@1=EIO' fails "rename to dst: $reason_EIO"
    [[ $(probe direct src) == no ]] ||
        AIO_FAULT='pwrite@1=EIO' fails "write dst: $reason_EIO"
    AIO_FAULT='pread@1=EIO' fails "read src: $reason_EIO"
    same dst "$(<dst)" old
    files dst src
}

@test "aio-copy finds out at the start that there is no room" {
    # shellcheck disable=SC2016 # for the inner shell
    on_small_disk 3m bash -c 'seq 300000 >src
        LD_PRELOAD=$1 "$2" src dst 4 65536 >/dev/null
        echo "status $?"; ls -A' \
        bash "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
    assert_output $'status 1\nsrc'
    assert_error "aio-copy: dst: no room for 1988895 bytes"
}

@test "aio-copy names the call, and leaves nothing, if the disk is full later" {
    local fault call

    # shellcheck disable=SC2016 # for the inner shell
    for call in fallocate IOCB_CMD_PWRITE; do
        fault='fstatfs@2=ENOSYS'
        [[ $call == fallocate ]] || fault+=' fallocate@1=EOPNOTSUPP'
        AIO_FAULT=$fault on_small_disk 3m bash -c 'seq 300000 >src
            LD_PRELOAD=$1 "$2" src dst 4 65536 >/dev/null
            echo "status $?"; ls -A' \
            bash "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
        assert_output $'status 1\nsrc'
        assert_error "aio-copy: $call dst: $reason_ENOSPC"
    done
}

@test "aio-copy: its space is free again before it says why it gave up" {
    # The log is on the same disk, which is full until then.
    # shellcheck disable=SC2016 # for the inner shell
    AIO_FAULT='io_getevents@4=res=-EIO' on_small_disk 3m bash -c '
        seq 100000 >src
        AIO_WATCH_AT="2 cat /dev/zero >filler 2>/dev/null" LD_PRELOAD=$1 \
            "$2" src dst 4 65536 >/dev/null 2>log
        cat log; ls -A' \
        bash "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
    same "the log" "${lines[0]/PREAD src/PWRITE dst}" \
        "aio-copy: IOCB_CMD_PWRITE dst: $reason_EIO"
    same "files" "${lines[*]:1}" "filler log src"
}

@test "aio-copy: a file may be exactly as long as the limit, and no longer" {
    data 102400 >src
    limited 100 aio-copy src dst
    same status "$status" 0
    cmp src dst
    rm dst
    data 102401 >src
    limited 100 aio-copy src dst
    same status "$status" 1
    assert_error "aio-copy: ftruncate dst: $reason_EFBIG"
    files src
    # A limit that is no multiple of anything.
    command -v prlimit >/dev/null || skip "no prlimit"
    ended 60 prlimit --fsize=102401 "$root/$chapter/aio-copy" src dst
    same status "$status" 0
    cmp src dst
    rm dst
    ended 60 prlimit --fsize=102399 "$root/$chapter/aio-copy" src dst
    assert_error "aio-copy: ftruncate dst: $reason_EFBIG"
    files src
}

@test "aio-copy ended by any signal leaves nothing" {
    local signal names=(HUP:129 INT:130 QUIT:131 PIPE:141 TERM:143 ALRM:142
        USR1:138 USR2:140 XCPU:152 VTALRM:154 PROF:155 PWR:158 SYS:159
        RTMIN+1:163 RTMAX:192)

    echo old >dst
    data 40000 >src
    ulimit -c 0
    # In the moment when the copy has been made.
    AIO_FAULT='open@3=then=15' program -143 aio-copy src dst
    files dst src
    for signal in "${names[@]}"; do
        AIO_WATCH_AT="4 ls -A >seen; kill -${signal%:*} \$PPID" \
            program "-${signal#*:}" aio-copy src dst 2 4096
        [[ $(<seen) == .aio-copy-??????$'\ndst\nseen\nsrc' ]]
        same dst "$(<dst)" old
        files dst seen src
    done
}

@test "aio-copy goes on at signals that end nobody, and those it is to ignore" {
    local signal

    data 40000 >src
    for signal in CHLD CONT IO URG WINCH; do
        AIO_WATCH_AT="4 kill -$signal \$PPID" copies 2 4096
    done
    # shellcheck disable=SC2016 # for the inner shell
    AIO_WATCH_AT='4 kill -HUP $PPID' ended 60 bash -c '
        trap "" HUP
        LD_PRELOAD=$1 exec "$2" src dst 2 4096' bash \
        "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
    same status "$status" 0
    cmp src dst
}

@test "aio-copy that is killed leaves its unfinished copy, and DST as it was" {
    echo old >dst
    data 40000 >src
    # shellcheck disable=SC2016 # for the inner shell
    AIO_WATCH_AT='4 kill -KILL $PPID' program -137 aio-copy src dst 2 4096
    same dst "$(<dst)" old
    [[ $(ls -A) == .aio-copy-??????$'\ndst\nsrc' ]]
    # It is in nobody's way.
    program -0 aio-copy src dst
    cmp src dst
}

# ---- All programs ----

@test "aio-copy refuses arguments that make no sense, and touches nothing" {
    local arguments

    data 100 >src
    for arguments in src 'src dst 1 4096 more' '-x dst' 'src dst 0' \
        'src dst x' 'src dst 1 0' 'src dst 1 67108865' 'src -x' '-- src'; do
        # shellcheck disable=SC2086 # some
        assert_usage aio-copy $arguments
    done
    program -0 aio-copy src --help
    assert_usage aio-copy src dst 1025
    [[ $stderr == "aio-copy: '1025' is not a number from 1 to 1024"$'\n'* ]]
    files src
}

@test "vectored and ring-reap: a missing folder, a file that is read-only" {
    local name

    echo text >demo
    chmod 444 demo
    for name in vectored ring-reap; do
        program -1 "$name" missing/demo
        assert_output ""
        assert_error "$name: open missing/demo: $reason_ENOENT"
        run -1 --separate-stderr without_override "$root/$chapter/$name" demo
        assert_error "$name: open demo: $reason_EACCES"
    done
    same demo "$(<demo)" text
}

@test "over the file size limit vectored and ring-reap name what failed" {
    limited 160 vectored demo
    same status "$status" 1
    # (fallocate, if the filesystem can.)
    assert_error "vectored: *: $reason_EFBIG"
    limited 32 ring-reap demo
    same status "$status" 1
    assert_error "ring-reap: IOCB_CMD_PWRITE block 2: $reason_EFBIG"
}

@test "on a full disk vectored and ring-reap name what failed" {
    on_small_disk 160k "$root/$chapter/vectored" demo
    same status "$status" 1
    assert_error "vectored: *: $reason_ENOSPC"
    on_small_disk 32k "$root/$chapter/ring-reap" demo
    same status "$status" 1
    assert_error "ring-reap: IOCB_CMD_PWRITE block 2: $reason_ENOSPC"
}

@test "where there is no AIO, each program of chapter 6 says so" {
    local command

    data 100 >src
    data 100 >demo
    for command in "vectored demo" "ring-reap demo" "aio-copy src demo"; do
        # shellcheck disable=SC2086 # several
        in_sandbox ENOSYS $command
        same status "$status" 1
        assert_error "${command%% *}: io_setup: $reason_ENOSYS"
    done
    files demo src
    cmp demo src
}

@test "output of chapter 6 that does not arrive is a failure" {
    data 100 >src
    output_must_arrive "vectored demo.1" "ring-reap demo.2" "aio-copy src dst"
    files demo.1 demo.2 dst src
}
