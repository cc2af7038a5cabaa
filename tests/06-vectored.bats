# Vectors, the mapped ring, and the copy that brings all together: vectored,
# ring-reap, aio-copy, and what io_submit does with iovec arrays.
# seconds: 8
#
# shellcheck disable=SC2001,SC2154 # sed where a pattern needs it; from bats

load helpers/common
load helpers/probe
chapter=06-vectored

# probe-6 asks and measures; fault.so notes what a program does.
setup_file() {
    local errno folder question helpers=$BATS_TEST_DIRNAME/helpers

    cp "$helpers/probe-call" "$helpers/probe-6" "$helpers/fault.so" \
        "$BATS_FILE_TMPDIR"
    # In $reason_EIO ... is what the programs' C library says for them.
    for errno in EACCES EAGAIN EFBIG EINVAL EIO ENAMETOOLONG ENOENT ENOMEM \
        ENOSPC ENOSYS ENOTDIR; do
        export "reason_$errno=$("$helpers/probe-6" reason "$errno")"
    done

    # All questions at once, for each takes only waiting.
    folder=$(mktemp -d "${AIO_TEST_DIR:-$root/tests}/.scratch.XXXXXX")
    for question in three limits reuse bad-segment header taken moved twice \
        round-and-round; do
        mkdir "$folder/$question"
        (
            cd "$folder/$question" || exit
            exec "$helpers/within" 60 "$BATS_FILE_TMPDIR/probe-6" "$question"
        ) >"$BATS_FILE_TMPDIR/$question" 2>&1 3>&- &
    done
    records >"$BATS_FILE_TMPDIR/records"
    blocks >"$BATS_FILE_TMPDIR/blocks"

    # In how many requests and batches ring-reap goes round the ring.
    output=$("$helpers/within" 60 "$root/$chapter/ring-reap" \
        "$folder/demo") || :
    requests=$(value requests) || requests=0
    export requests batches=$(((requests + 7) / 8))
    wait
    rm -r "$folder"
}

probe() { "$BATS_FILE_TMPDIR/probe-6" "$@"; }

# answers QUESTION TEXT: the whole of what probe-6 said.
answers() { same "answer" "$(<"$BATS_FILE_TMPDIR/$1")" "$2"; }

# watched [-N] NAME [ARGUMENT...]: as program, with fault.so, which looks at
# AIO_WATCH, AIO_WATCH_AT and AIO_WATCH_RING.
watched() {
    local preload=$BATS_FILE_TMPDIR/fault.so expected=

    if [[ $1 =~ ^-[0-9]+$ ]]; then
        expected=${1#-}
        shift
    fi
    ended 60 "LD_PRELOAD=$preload" "$root/$chapter/$1" "${@:2}"
    same "status of $1" "$status" "${expected:-$status}"
}

# each_fails NAME ERRNO CALL...: the program says so when that call fails.
each_fails() {
    local name=$1 reason=reason_$2 errno=$2 call file

    shift 2
    for call; do
        AIO_FAULT="$call=$errno" start "$call" "$name" "$name.$call"
    done
    for call; do
        finish "$call" 1
        file=
        [[ $call == io_* || $call == *mem* ]] || file=" $name.$call"
        assert_error "$name: ${call%%[:@]*}$file: ${!reason}"
    done
}

# rejects: does this filesystem refuse O_DIRECT that is not aligned?
rejects() {
    : >aligned
    case $(filesystem) in
    btrfs | tmpfs) return 1 ;;
    ext4 | xfs) return 0 ;;
    *) [[ $(probe rejects aligned) == yes ]] ;;
    esac
}

# direct FILE: the line of a program that says whether O_DIRECT is used.
direct() {
    if [[ $(probe direct "$1") == yes ]]; then
        echo "O_DIRECT: yes"
    else
        echo "O_DIRECT: not here, going on through the page cache"
    fi
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

# The records as vectored writes them.
records() {
    local i letters=(a b c d)

    for i in 0 1 2 3; do
        echo "record $i"
        head -c 4087 /dev/zero
        printf '%8192s' '' | tr ' ' "${letters[i]}"
        head -c 4096 /dev/zero
    done
}

@test "vectored gathers and scatters records, three buffers each, in a batch" {
    local odd="fine, without alignment" i opcode record batch=()

    head -c 100000 /dev/urandom >demo
    traced vectored demo
    for opcode in pwritev preadv; do
        for i in 0 1 2 3; do
            record="demo 4096+8192+4096@$((i * 16384))"
            batch+=("$opcode $record$( ((i == 0)) || echo " data=$i")")
        done
    done
    same calls "$(uniq <<<"$trace" | sed 's/ = [0-9]*$//' | uniq)" "\
signal SIGXFSZ ignored
create demo 666
io_setup 4
io_submit 4 = 4: $(printf '%s, %s, %s, %s' "${batch[@]:0:4}")
io_getevents 1 4 -
io_submit 4 = 4: $(printf '%s, %s, %s, %s' "${batch[@]:4}")
io_getevents 1 4 -
io_submit 1 = 1: preadv demo 4096+100+4096@0
io_getevents 1 4 -
io_destroy"
    ! rejects || odd=$reason_EINVAL
    assert_output "\
$(direct demo)
PWRITEV: 4 records of 4096 + 8192 + 4096 bytes
PREADV: headers, bodies and padding as they were written
PREADV with a segment of 100 bytes: $odd"
    cmp demo "$BATS_FILE_TMPDIR/records"
}

@test "vectored goes on without O_DIRECT, and after few events, or few taken" {
    local fault

    umask 0
    AIO_FAULT='open:direct@1=EINVAL' program -0 vectored new
    assert_output "\
O_DIRECT: not here, going on through the page cache
PWRITEV: 4 records of 4096 + 8192 + 4096 bytes
PREADV: headers, bodies and padding as they were written
PREADV with a segment of 100 bytes: fine, without alignment"
    cmp new "$BATS_FILE_TMPDIR/records"
    same "mode" "$(stat -c %a new)" 666

    for fault in 'io_submit@*=short=1' 'io_submit@*=short=3' \
        'io_getevents@*=short=1' 'io_submit@1=EINTR io_submit@3=EINTR' \
        'io_getevents@1=EINTR io_getevents@3=EINTR'; do
        AIO_FAULT=$fault program -0 vectored demo
        assert_stderr ""
        cmp demo "$BATS_FILE_TMPDIR/records"
    done
}

@test "vectored: an error, a short count or wrong data is an error" {
    local at res reason results=(-ENOSPC:ENOSPC 16383:EIO 16385:EIO 0:EIO)

    # Events 1 to 4 are those of writes, 5 to 8 of reads, if one by one.
    for at in 1 5; do
        for res in "${results[@]}"; do
            AIO_FAULT="io_getevents@$at=res=${res%:*}
                io_getevents@*=short=1" start "$at$res" vectored "demo.$at$res"
        done
    done
    # The ninth is that of the odd segment.
    AIO_FAULT='io_getevents@9=res=0 io_getevents@*=short=1' \
        program -1 vectored demo
    assert_error "vectored: IOCB_CMD_PREADV demo: $reason_EIO"
    for at in 1:IOCB_CMD_PWRITEV 5:IOCB_CMD_PREADV; do
        for res in "${results[@]}"; do
            reason=reason_${res#*:}
            finish "${at%:*}$res" 1
            assert_error "vectored: ${at#*:} record [0-3]: ${!reason}"
        done
    done

    AIO_WATCH_AT='2 printf X | dd of=demo conv=notrunc bs=1 seek=20000 2>log' \
        watched -1 vectored demo
    assert_error "vectored: read back demo: $reason_EIO"
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

@test "O_DIRECT: one bad segment fails the request whole" {
    if rejects; then
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

# ---- ring-reap ----

# The blocks as ring-reap writes them.
blocks() {
    local i letters=(a b c d e f g h)

    for i in {0..7}; do
        echo "block $i"
        printf '%4088s' '' | tr ' ' "${letters[i]}"
    done
}

@test "ring-reap: events that are there cost no system call" {
    head -c 100000 /dev/zero >demo
    traced ring-reap demo
    same "first calls" "$(head -n 2 <<<"$trace")" "\
signal SIGXFSZ ignored
create demo 666"
    same "batches" "$(grep '@28672 data=7$' <<<"$trace" | cut -d : -f 1 |
        sort -u)" "io_submit 8 = 8"
    same "waits" "$(sed -n 's/^\(io_getevents .*\) = .*/\1/p' <<<"$trace" |
        sort -u)" "io_getevents 1 8 -"
    places=$(sed -n 's/^ring: understood, \([0-9]*\) places for events$/\1/p' \
        <<<"$output")
    compare "$places" ">" 8
    compare "$requests" == "4 * $places"
    same output "$(sed 's/^\(reads, .*\): [0-9]* /\1: N /' <<<"$output")" "\
ring: understood, $places places for events
requests: $requests, in batches of 8
writes, io_getevents alone: $batches calls
writes, the ring first: 0 calls
$(direct demo)
reads, io_getevents alone: N calls
reads, the ring first: N calls"
    compare "$(value 'reads, the ring first')" "<=" "$requests"
    cmp demo "$BATS_FILE_TMPDIR/blocks"

    # It has counted right.
    same "calls of io_getevents" "$(grep -c '^io_getevents' <<<"$trace")" \
        "$(awk '/ calls$/ { sum += $(NF - 1) } END { print sum }' <<<"$output")"
    same "calls of io_submit" "$(grep -c '^io_submit' <<<"$trace")" \
        "$((4 * batches))"
}

@test "ring-reap without O_DIRECT: reads cost no system call either" {
    umask 0
    AIO_FAULT='open:direct@1=EINVAL' program -0 ring-reap demo
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
        'io_submit@1=EINTR io_submit@9=EINTR'; do
        AIO_FAULT=$fault program -0 ring-reap demo
        assert_stderr ""
        assert_line "writes, the ring first: 0 calls"
    done
    AIO_FAULT='io_getevents@1=EINTR io_getevents@3=EINTR' \
        program -0 ring-reap demo
    assert_line "writes, io_getevents alone: $((batches + 2)) calls"
}

@test "ring-reap falls back for other magic or incompat_features, not compat" {
    local word

    for word in 4=0xa10a10a2 4=0 6=1 6=0x80000000; do
        AIO_WATCH_RING=$word watched -0 ring-reap demo
        assert_stderr ""
        same output "$(sed 's/^\(reads, .*\): [0-9]* /\1: N /' <<<"$output")" "\
ring: not understood, so io_getevents does it all
requests: 512, in batches of 8
writes, io_getevents alone: 64 calls
writes, the ring first: 64 calls
$(direct demo)
reads, io_getevents alone: N calls
reads, the ring first: N calls"
        compare "$(value 'reads, the ring first')" ">=" 64
    done

    AIO_WATCH_RING=5=3 watched -0 ring-reap demo
    assert_line "ring: understood, *"
    assert_line "writes, the ring first: 0 calls"
}

@test "ring-reap notices events of no request, and takes no more than fit" {
    AIO_WATCH_RING=2=100 watched -1 ring-reap demo
    assert_error "ring-reap: an event of no request: $reason_EIO"
    # An event of its own, a second time: the head moves back by three, to
    # the last ones that came through io_getevents.
    AIO_WATCH=log AIO_WATCH_RING=2=$((requests / 4 - 3))@$((batches + 1)) \
        watched -1 ring-reap demo
    assert_error "ring-reap: an event of no request: $reason_EIO"
    same "submits" "$(grep -c submit log)" $((batches + 1))

    # The head moves back by eight: from then on there are sixteen events, of
    # a batch each. Only the last batch is a smaller one, and does not fit.
    AIO_WATCH=log.2 AIO_WATCH_RING=2=$((requests / 4 - 8))@$((batches + 1)) \
        watched -1 ring-reap demo
    assert_error "ring-reap: an event of no request: $reason_EIO"
    same "submits" "$(grep -c submit log.2)" $((2 * batches))
}

@test "ring-reap: an error, a short count or wrong data is an error" {
    local res reason results=(-ENOSPC:ENOSPC 4095:EIO 4097:EIO 0:EIO)

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

    AIO_WATCH_AT="$((2 * batches + 1)) printf X |
        dd of=demo conv=notrunc bs=1 seek=$((5 * 4096 + 4095)) 2>log" \
        watched -1 ring-reap demo
    assert_error "ring-reap: read back block 5: $reason_EIO"
    # A block that was not read, though its event says so.
    AIO_WATCH_AT="$((2 * batches + 1)) truncate -s 28672 demo" \
        AIO_FAULT="open:direct@1=EINVAL io_getevents@$((requests + 8))=res=4096
        io_getevents@*=short=1" watched -1 ring-reap demo
    assert_error "ring-reap: read back block 7: $reason_EIO"
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

# ---- aio-copy ----

# data SIZE: so many bytes, no two blocks of them alike.
data() { seq 10000000 | head -c "$1"; }

# copies ARGUMENT...: aio-copy src dst ARGUMENT... under $AIO_FAULT is right.
copies() {
    program -0 aio-copy src dst "$@"
    assert_stderr ""
    cmp src dst
    rm dst
}

# fails PATTERN ARGUMENT...: aio-copy src dst ARGUMENT... says only this.
fails() {
    watched -1 aio-copy src dst "${@:2}"
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

@test "aio-copy says how it went, and how fast; how far, on a terminal only" {
    data 12345 >src
    traced aio-copy src dst
    same stdout "$(sed 's/^time: [0-9]*\.[0-9][0-9] s, [0-9]* MB/time: N/' \
        <<<"$output")" "\
$(way src)
$(way dst)
copied: 12345 bytes
time: N/s"
    files dst src

    # On a terminal it says how far it is, and there only.
    data 16384 >src
    ended 60 "$BATS_FILE_TMPDIR/probe-6" terminal \
        "$root/$chapter/aio-copy" src dst 1 4096
    same status "$status" 0
    same "progress" "${stderr//$'\r'/|}" \
        " 20 %| 40 %| 60 %| 80 %|100 %|     |"
    assert_line "copied: 16384 bytes"
    program -0 aio-copy src dst 1 4096
    assert_stderr ""
}

@test "aio-copy copies every size byte for byte, 64 MiB too, at each depth" {
    local id

    data 5000000 >longest
    copy_all 8192 0 1 511 512 513 4095 4096 4097 8191 8192 8193 16384 100000
    # Around a segment, and around a block of the default size.
    copy_all 2097152 262143 262144 262145 2097151 2097152 2097153 5000000

    data 67108867 >src
    start 1 aio-copy src dst.1 1
    start 64 aio-copy src dst.64 64
    for id in 1 64; do
        finish "$id" 0
        assert_line "copied: 67108867 bytes"
        cmp src "dst.$id"
    done
}

@test "aio-copy copies holes as zeros; and with its least and largest numbers" {
    truncate -s 3000000 src
    printf begin | dd of=src conv=notrunc bs=1 seek=100000 2>/dev/null
    printf middle | dd of=src conv=notrunc bs=1 seek=1999998 2>/dev/null
    copies
    copies 64 4096
    truncate -s 4000000 src
    copies 1 8192
    : >src
    truncate -s 100000 src
    copies

    data 50000 >src
    copies 1 4096
    copies 1024 4096
    copies 1024 67108864
}

@test "aio-copy submits all that is ready, at most DEPTH, reads beside writes" {
    data 40000 >src
    AIO_WATCH=log watched -0 aio-copy src dst 4 4096
    same "first submit" "$(head -n 1 log)" \
        "submit 7:0:4096 7:4096:4096 7:8192:4096 7:12288:4096"
    same "most in flight" "$(awk '
        /^submit/ { n += NF - 1; if (n > most) most = n }
        /^reap/ { n -= $2 }
        END { print most, n }' log)" "4 0"
    # 9 blocks, and a last one whose read asks for more than there is.
    same "reads" "$(grep -o ' 7:[0-9]*' log | sort -u | wc -l)" 10
    same "writes" "$(grep -o ' 8:[0-9]*' log | sort -u | wc -l)" 10

    # No more requests than there are blocks.
    data 5000 >src.2
    AIO_WATCH=log.2 watched -0 aio-copy src.2 dst 64 4096
    same "first submit" "$(head -n 1 log.2 | grep -o '7:[0-9]*')" $'7:0\n7:4096'

    AIO_FAULT='io_getevents@*=short=1' AIO_WATCH=log.3 \
        watched -0 aio-copy src dst 4 4096
    # Reads that were submitted and not reaped, when a write is submitted.
    same "reads in flight beside the first write" "$(awk '
        / 8:/ { print reads - reaped; exit }
        /^submit/ { reads += NF - 1 }
        /^reap/ { reaped += $2 }' log.3)" 3
}

@test "aio-copy moves a block in segments, and beyond the end it only reads" {
    data 2000000 >src
    AIO_WATCH=log watched -0 aio-copy src dst 1 1048576
    same "first block" "$(sed -n 1,3p log | grep submit)" "\
submit 7:0:262144/262144/262144/262144
submit 8:0:262144/262144/262144/262144"
    [[ $(sed -n 5p log) == "submit 7:1048576:262144/262144/262144/"[0-9]* ]]

    # Beyond the end.
    data 12288 >src
    AIO_WATCH=log.2 watched -0 aio-copy src dst 1 8192
    run -0 grep submit log.2
    same "the first block" "${lines[0]}|${lines[1]}" \
        "submit 7:0:8192|submit 8:0:8192"
    [[ ${lines[2]} =~ ^submit\ 7:8192:([0-9]*)$ ]]
    compare "${BASH_REMATCH[1]}" '>' 4096
    same "the last write" "${lines[3]}" "submit 8:8192:4096"
    # No byte of it is left over: one more read, for the end alone.
    head -c 8192 src >whole
    AIO_WATCH=log.3 watched -0 aio-copy whole dst 1 8192
    run -0 grep submit log.3
    same "requests" "${#lines[@]}" 3
    [[ ${lines[2]} =~ ^submit\ 7:8192:[1-9][0-9]*$ ]]
}

@test "aio-copy goes on after short counts, and after odd ones where aligned" {
    data 2000000 >src
    AIO_WATCH=log AIO_FAULT='io_getevents@1=res=307200 io_getevents@3=res=4096
        io_getevents@5=res=4096' watched -0 aio-copy src dst 1 1048576
    assert_stderr ""
    cmp src dst
    same "submits" "$(grep submit log | head -n 5)" "\
submit 7:0:262144/262144/262144/262144
submit 7:307200:217088/262144/262144
submit 8:0:262144/262144/262144/262144
submit 8:4096:258048/262144/262144/262144
submit 7:1048576:$(sed -n 's/^submit 7:1048576://p' log)"
    same "the rest of the last block" \
        "$(sed -n 's/^submit 7:1052672:\([0-9]*\).*/\1/p' log)" 258048

    # An odd count.
    data 20000 >src
    AIO_WATCH=log.2 \
        AIO_FAULT='io_getevents@1=res=5000 io_getevents@3=res=4999' \
        watched -0 aio-copy src dst 1 8192
    assert_stderr ""
    cmp src dst
    if [[ $output == *"dst: O_DIRECT"* ]]; then
        run -0 sed -n 's/^submit 7:\(4[0-9]*\):.*/\1/p' log.2
        same "offset modulo 512" "$((output % 512))" 0
        run -0 sed -n 's/^submit 8:\(4[0-9]*\):.*/\1/p' log.2
        same "offset modulo 512" "$((output % 512))" 0
    fi
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

@test "aio-copy goes on without O_DIRECT, or if statx() knows no alignment" {
    data 100001 >src
    AIO_FAULT='fcntl@1=EINVAL' program -0 aio-copy src dst 4 4096
    cmp src dst
    same lines "${lines[0]}|${lines[1]}" \
        "src: no O_DIRECT here, through the page cache|$(way dst)"
    AIO_FAULT='fcntl@2=EINVAL' program -0 aio-copy src dst 4 4096
    cmp src dst
    same lines "${lines[0]}|${lines[1]}" \
        "$(way src)|dst: no O_DIRECT here, through the page cache"
    AIO_FAULT='fcntl@*=EINVAL' program -0 aio-copy src dst 4 4096
    cmp src dst
    same lines "${lines[0]}|${lines[1]}" \
        "src: no O_DIRECT here, through the page cache|\
dst: no O_DIRECT here, through the page cache"
    files dst src

    rm dst
    AIO_FAULT='statx@*=ENOSYS' copies 4 4096
    AIO_FAULT='statx@*=ENOSYS fopen@*=ENOENT' copies 4 4096
    AIO_FAULT='statx@*=ENOSYS fopen@*=ENOENT' AIO_WATCH=log \
        watched -0 aio-copy src dst 1 8192
    if [[ $output == *"dst: O_DIRECT"* ]]; then
        # 98304 + 1697 bytes: up to the next 4096.
        [[ $(<log) == *"submit 8:98304:4096"* ]]
    fi
}

@test "aio-copy reserves space first, in a file nobody else reads, if it can" {
    local fault

    data 12288 >src
    umask 0
    AIO_WATCH_AT='1 stat -c "%s %a" .aio-copy-?????? >seen; ls -A >>seen' \
        watched -0 aio-copy src dst
    same "seen by the way" "$(sed 's/aio-copy-.*/aio-copy/' seen)" "\
12288 600
.aio-copy
seen
src"

    # It goes on where none can be reserved, but not where there is none.
    rm dst seen
    data 100001 >src
    for fault in EOPNOTSUPP ENOSYS EINTR; do
        AIO_FAULT="fallocate@1=$fault" copies 4 4096
    done
    AIO_FAULT='fallocate@1=ENOSPC' fails "fallocate dst: $reason_ENOSPC"
    files src
}

@test "aio-copy: first all is on the disk, then the name, then the folder" {
    mkdir folder
    data 10000 >src
    AIO_WATCH=log watched -0 aio-copy src folder/dst
    same "the end" "$(tail -n 3 log | sed 's/aio-copy-....../aio-copy/')" "\
fsync $(pwd -P)/folder/.aio-copy
rename folder/.aio-copy folder/dst
fsync $(pwd -P)/folder"
    [[ $(tail -n 4 log | head -n 1) == "reap 1" ]]

    # If the folder cannot be written to the disk, DST is whole.
    each_call_fails EIO "$reason_EIO" "aio-copy src dst" \
        "fsync@2 the folder of dst" "close@3 the folder of dst" \
        clock_gettime@2
    cmp src dst
    files dst folder log src
}

@test "aio-copy leaves nothing in the page cache where it has O_DIRECT" {
    data 3000001 >src
    probe drop src
    program -0 aio-copy src dst
    # tmpfs has files nowhere else; btrfs may write through the page cache.
    case $(filesystem) in
    ext4 | xfs | overlayfs) ;;
    *) return 0 ;;
    esac
    if [[ $output == *"src: O_DIRECT"* ]]; then
        same "pages of src" "$(probe cached src)" 0
        same "pages of dst" "$(probe cached dst)" 0
    fi
    AIO_FAULT='fcntl@*=EINVAL' program -0 aio-copy src dst
    same "pages of dst, through the cache" "$(probe cached dst)" 0
}

@test "aio-copy keeps the permissions, whatever the umask or DST had" {
    data 100 >src
    umask 077
    for mode in 640 755 400 666; do
        chmod "$mode" src
        program -0 aio-copy src dst
        same "mode" "$(stat -c %a dst)" "$mode"
    done
    chmod 4751 src
    program -0 aio-copy src dst
    same "mode, but not set-user-ID" "$(stat -c %a dst)" 751
    same "mode of the source" "$(stat -c %a src)" 4751
}

@test "aio-copy replaces DST, or what it links to: who has the old keeps it" {
    echo old >dst
    ln dst kept
    data 10000 >src
    program -0 aio-copy src dst
    cmp src dst
    same kept "$(<kept)" old
    files dst kept src

    # A symbolic link stays one.
    mkdir real
    echo old >real/file
    ln -s real/file link
    AIO_WATCH_AT='1 ls -A real >seen' watched -0 aio-copy src link
    same "type" "$(readlink link)" real/file
    cmp src real/file
    [[ $(<seen) == .aio-copy-??????$'\n'file ]]
    ln -s nothing dangling
    program -1 aio-copy src dangling
    assert_error "aio-copy: dangling: is a symbolic link to nothing"
    files dangling dst kept link real seen src
}

@test "aio-copy refuses SRC itself as DST, and folders, pipes and devices" {
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
    cmp src expected

    mkdir folder
    mkfifo pipe
    for arguments in 'folder dst:folder' 'src folder:folder' '. dst:.'; do
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
    files expected folder hard pipe src symbolic
}

@test "aio-copy names a file that is missing, locked, or has too long a name" {
    local name

    data 100 >src
    program -1 aio-copy missing dst
    assert_error "aio-copy: open missing: $reason_ENOENT"
    program -1 aio-copy src missing/dst
    assert_error "aio-copy: open missing/.: $reason_ENOENT"
    program -1 aio-copy src src/dst
    assert_error "aio-copy: stat src/dst: $reason_ENOTDIR"
    mkdir locked
    chmod 555 locked
    run -1 --separate-stderr without_override \
        "$root/$chapter/aio-copy" src locked/dst
    assert_error "aio-copy: mkstemp beside locked/dst: $reason_EACCES"
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
    assert_error "aio-copy: stat 0$name: $reason_ENAMETOOLONG"
}

@test "aio-copy: a source that is cut, grows or changes meanwhile is an error" {
    local command

    data 100000 >full
    touch -d '2001-01-01' full
    cp -p full src
    AIO_WATCH_AT='1 truncate -s 10 src' \
        fails 'src: is shorter than when the copy began' 1 4096
    cp -p full src
    AIO_WATCH_AT='3 truncate -s 6000 src' \
        fails 'src: is shorter than when the copy began' 1 4096
    cp -p full src
    AIO_WATCH_AT='1 truncate -s 98304 src' \
        fails 'src: is shorter than when the copy began' 1 4096
    cp -p full src
    AIO_WATCH_AT='1 echo more >>src' \
        fails 'src: is longer than when the copy began' 1 4096
    head -c 8192 full >src
    AIO_WATCH_AT='1 echo more >>src' \
        fails 'src: is longer than when the copy began' 1 4096
    files full src
    program -1 aio-copy /proc/version dst
    line=$(way src)
    assert_output "\
/proc/version: no O_DIRECT here, through the page cache
${line/src/dst}"
    assert_error "aio-copy: /proc/version: is longer than when the copy began"

    # Ahead of the last write, when all is read.
    truncate -s 10000 full
    touch -d '2001-01-01' full
    for command in 'echo more >>src' 'truncate -s 9000 src' \
        'printf X | dd of=src conv=notrunc 2>/dev/null' 'touch src' \
        "touch -d '2001-01-01 00:00:00.5' src" "touch -r full src" \
        "touch -d '2002-01-01' src"; do
        cp -p full src
        AIO_WATCH_AT="6 $command" \
            fails 'src: changed while it was copied' 1 4096
    done
    files full src
}

@test "aio-copy: an error in an event names the file" {
    data 20000 >src
    AIO_FAULT='io_getevents@1=res=-EIO' \
        fails "IOCB_CMD_PREADV src: $reason_EIO" 1 8192
    AIO_FAULT='io_getevents@2=res=-ENOSPC' \
        fails "IOCB_CMD_PWRITEV dst: $reason_ENOSPC" 1 8192
    AIO_FAULT='io_getevents@2=res=0' \
        fails "IOCB_CMD_PWRITEV dst: $reason_EIO" 1 8192
    AIO_FAULT='io_getevents@1=res=0' \
        fails "src: is shorter than when the copy began" 1 8192
    AIO_FAULT='io_getevents@5=res=3617' \
        fails "src: is longer than when the copy began" 1 8192
    AIO_FAULT='io_getevents@3=res=8193' \
        fails "src: is longer than when the copy began" 1 8192
    files src
}

@test "aio-copy: whatever call fails, DST is as it was and nothing is left" {
    local last

    echo old >dst
    data 20000 >src
    AIO_FAULT=' ' AIO_FAULT_LOG=log program -0 aio-copy src new 1 8192
    same "io_submit" "$(grep io_submit log)" "io_submit 6"
    # How many there are depends on whether statx knows the alignment.
    last=$(sed -n 's/^fstat //p' log)
    # These are below, or cannot fail, or matter not if they do.
    run -1 grep -Evxf - log <<<"($(tr ' ' '|' <<<"open fstat stat mkstemp\
 fcntl fallocate posix_memalign calloc io_setup io_submit io_getevents\
 io_destroy close ftruncate fchmod fsync rename statx signal isatty fflush\
 clock_gettime strdup realpath asprintf lstat atexit madvise\
 posix_fadvise fopen fclose")) [0-9]+"
    rm new log
    each_call_fails EIO "$reason_EIO" "aio-copy src dst 1 8192" \
        clock_gettime@1 "open@1 src" "fstat@1 src" "stat@1 dst" \
        "mkstemp@1 beside dst" "fcntl@1 src" "fcntl@2 dst" "fallocate@1 dst" \
        posix_memalign@1 calloc@1 calloc@2 calloc@3 calloc@4 io_setup@1 \
        io_submit@1 io_submit@3 io_submit@6 io_getevents@1 io_getevents@3 \
        io_getevents@6 io_destroy@1 "fstat@$last src" "close@1 src" \
        "ftruncate@1 dst" "fchmod@1 dst" "fsync@1 dst" "close@2 dst" \
        "rename@1 to dst"
    AIO_FAULT='open@2=EIO' fails "open $(pwd -P)/.: $reason_EIO"
    same dst "$(<dst)" old
    files dst src
    AIO_FAULT='strdup@1=ENOMEM' program -1 aio-copy src new
    assert_error "aio-copy: strdup: $reason_ENOMEM"
    files dst src
}

@test "aio-copy interrupted leaves nothing; it ignores what it is to ignore" {
    local signal

    echo old >dst
    data 40000 >src
    ulimit -c 0
    for signal in HUP:129 INT:130 QUIT:131 PIPE:141 TERM:143 ALRM:142 \
        USR1:138 USR2:140 XCPU:152 VTALRM:154 PROF:155; do
        AIO_WATCH_AT="4 ls -A >seen; kill -${signal%:*} \$PPID" \
            watched "-${signal#*:}" aio-copy src dst 2 4096
        [[ $(<seen) == .aio-copy-??????$'\ndst\nseen\nsrc' ]]
        same dst "$(<dst)" old
        files dst seen src
    done

    # One that it was started to ignore.
    # shellcheck disable=SC2016 # for the inner shell
    AIO_WATCH_AT='4 kill -HUP $PPID' ended 60 bash -c '
        trap "" HUP
        LD_PRELOAD=$1 exec "$2" src dst 2 4096' bash \
        "$BATS_FILE_TMPDIR/fault.so" "$root/$chapter/aio-copy"
    same status "$status" 0
    cmp src dst
}

@test "aio-copy that is killed leaves its unfinished copy, and DST as it was" {
    echo old >dst
    data 40000 >src
    # shellcheck disable=SC2016 # for the inner shell
    AIO_WATCH_AT='4 kill -KILL $PPID' watched -137 aio-copy src dst 2 4096
    same dst "$(<dst)" old
    [[ $(ls -A) == .aio-copy-??????$'\ndst\nsrc' ]]
}

# ---- All programs ----

@test "the programs of chapter 6 explain themselves, and name wrong arguments" {
    local name arguments

    data 100 >src
    for name in vectored ring-reap aio-copy; do
        assert_help "$name"
        assert_usage "$name"
    done
    assert_help_fails vectored ring-reap aio-copy
    for name in vectored ring-reap; do
        assert_usage "$name" demo more
        assert_usage "$name" -x
    done
    for arguments in src 'src dst 1 4096 more' '-x dst' 'src dst 0' \
        'src dst x' 'src dst 1 0' 'src dst 1 4097' 'src dst 1 67108865' \
        'src dst 1 67112960'; do
        # shellcheck disable=SC2086 # some
        assert_usage aio-copy $arguments
    done

    assert_usage aio-copy src dst 1025
    [[ $stderr == "aio-copy: '1025' is not a number from 1 to 1024"$'\n'* ]]
    assert_usage aio-copy src dst 1 4095
    [[ $stderr == "aio-copy: '4095' is not a number from 4096 to 67108864"* ]]
    assert_usage aio-copy src dst 1 5000
    [[ $stderr == "aio-copy: '5000' is not a multiple of 4096"$'\n'Usage:* ]]
    files src
}

@test "vectored and ring-reap name each call that fails" {
    each_fails vectored ENOMEM io_setup@1 io_submit@1 io_submit@2 \
        io_submit@3 io_getevents@1 io_destroy@1 posix_memalign@1 \
        posix_memalign@2
    each_fails vectored EIO open@1 open:direct@1 close@1
    each_fails ring-reap EINVAL io_setup@1 io_submit@1 io_submit@70 \
        io_getevents@1 io_getevents@70 io_destroy@1
    each_fails ring-reap EIO open@1 open@2 open:direct@1 close@1 close@2
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

@test "over the file size limit each program names the write that failed" {
    limited 40 vectored demo
    same status "$status" 1
    assert_error "vectored: IOCB_CMD_PWRITEV record 2: *"
    limited 8 ring-reap demo
    same status "$status" 1
    assert_error "ring-reap: IOCB_CMD_PWRITE block 2: $reason_EFBIG"
    rm demo

    # aio-copy leaves nothing.
    data 200000 >src
    limited 100 aio-copy src dst
    same status "$status" 1
    assert_error "aio-copy: fallocate dst: $reason_EFBIG"
    # shellcheck disable=SC2016 # for the inner shell
    AIO_FAULT='fallocate@1=EOPNOTSUPP' ended 60 \
        bash -c 'ulimit -f 100; LD_PRELOAD=$1 exec "$2" src dst' bash \
        "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
    same status "$status" 1
    assert_error "aio-copy: IOCB_CMD_PWRITEV dst: $reason_EFBIG"
    files src
}

@test "on a full disk each program names the write, and aio-copy cleans up" {
    local fault call=fallocate

    on_small_disk 40k "$root/$chapter/vectored" demo
    same status "$status" 1
    assert_error "vectored: IOCB_CMD_PWRITEV record 2: *"
    on_small_disk 8k "$root/$chapter/ring-reap" demo
    same status "$status" 1
    assert_error "ring-reap: IOCB_CMD_PWRITE block 2: $reason_ENOSPC"

    # shellcheck disable=SC2016 # for the inner shell
    for fault in ' ' 'fallocate@1=EOPNOTSUPP'; do
        AIO_FAULT=$fault on_small_disk 3m bash -c 'seq 300000 >src
            LD_PRELOAD=$1 "$2" src dst 4 65536 >/dev/null
            echo "status $?"; ls -A' \
            bash "$root/tests/helpers/fault.so" "$root/$chapter/aio-copy"
        assert_output $'status 1\nsrc'
        assert_error "aio-copy: $call dst: $reason_ENOSPC"
        call=IOCB_CMD_PWRITEV
    done
}

@test "where there is no AIO, and where output does not arrive, is a failure" {
    local command

    data 100 >src
    for command in "vectored demo.1" "ring-reap demo.2" "aio-copy src dst"; do
        # shellcheck disable=SC2086 # several
        in_sandbox ENOSYS $command
        same status "$status" 1
        assert_error "${command%% *}: io_setup: $reason_ENOSYS"
    done
    files demo.1 demo.2 src
    output_must_arrive "vectored demo.1" "ring-reap demo.2" "aio-copy src dst"
    files demo.1 demo.2 dst src
}
