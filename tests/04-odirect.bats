# Past the page cache: odirect, misaligned, is-it-async, queue-depth, and
# what the kernel does with O_DIRECT.
# seconds: 4

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/probe
load helpers/abreast
chapter=04-odirect

# Made or found out once, for all tests:
#   - the helpers, and what odirect must write: 30 blocks of 65536 bytes, more
#     than there are letters
#   - what probe-4 says to each question, and is-it-async
#   - fs: the filesystem's type; fs_name: as the programs call it
#   - direct: "yes", or empty if there is no O_DIRECT; memory, offset, source:
#     the rules of alignment, and who says so; disk_*: without statx
#   - strict: "yes" if requests are refused that are not aligned
#   - eio, emfile: what the programs' C library says for these
setup_file() {
    local question folder helpers=$BATS_TEST_DIRNAME/helpers

    cp "$helpers/otherfs.so" "$helpers/watch.so" "$helpers/probe-4" \
        "$BATS_FILE_TMPDIR"
    awk 'BEGIN {
        ORS = ""
        for (block = 0; block < 30; block++) {
            letter = sprintf("%c", 97 + block % 26)
            text = "block " block "\n"
            line = letter
            while (length(line) < 65536)
                line = line line
            print text substr(line, length(text) + 1)
        }
    }' >"$BATS_FILE_TMPDIR/blocks" &

    folder=$(mktemp -d "${AIO_TEST_DIR:-$root/tests}/.scratch.XXXXXX")
    cd "$folder" || return
    for question in dioalign ring fsync preallocated end_of_file length_off \
        writes_aligned writes_off part_of_block without_checksums address_512 \
        extending_pair reasons; do
        mkdir "$question"
        (
            cd "$question" || exit
            exec timeout 60 "$BATS_FILE_TMPDIR/probe-4" "$question"
        ) >"$BATS_FILE_TMPDIR/$question" 2>&1 3>&- &
    done
    timeout 60 "$root/$chapter/is-it-async" demo \
        >"$BATS_FILE_TMPDIR/is-it-async" 2>&1 3>&-
    wait

    export fs fs_name direct memory offset source strict eio emfile
    export disk_memory disk_source partition_memory partition_source
    fs=$(filesystem)
    case $fs in
    ext4 | xfs | btrfs | tmpfs | overlayfs | f2fs | zfs | nfs | ramfs)
        fs_name=$fs ;;
    v9fs) fs_name=9p ;;
    fuse*) fs_name=fuse ;;
    *) fs_name='unknown filesystem' ;;
    esac
    read_disk queue ../queue
    disk_memory=$memory disk_source=$source
    read_disk ../queue
    partition_memory=$memory partition_source=$source
    direct=yes
    case $(answer dioalign) in
    'no O_DIRECT' | '0 '*) direct='' memory=1 offset=1 source='' ;;
    unknown) memory=$disk_memory offset=$disk_memory source=$disk_source ;;
    *) read -r memory offset <<<"$(answer dioalign)"; source='says statx' ;;
    esac
    strict=
    [[ $(answer length_off) != refused ]] || strict=yes
    { read -r eio; read -r emfile; } <<<"$(answer reasons)"
    cd "$root" || return
    rm -r "$folder"
}

# answer QUESTION: what probe-4 said, or is-it-async.
answer() { echo "$(<"$BATS_FILE_TMPDIR/$1")"; }

# cached FILE: how many pages of it are in the page cache.
cached() { "$BATS_FILE_TMPDIR/probe-4" cached "$1"; }

# read_disk PLACE...: sets memory and source as they are where statx does not
# know: from the disk that the filesystem is on, if it is on one. It says so in
# "queue" or, for a partition, in "../queue".
read_disk() {
    local place path

    path=/sys/dev/block/$(device)
    memory=4096 source='a guess, for nobody says'
    for place; do
        if [[ -r $path/$place/logical_block_size ]]; then
            memory=$(<"$path/$place/logical_block_size")
            source="the disk's logical block size"
            break
        fi
    done
}

# The device that the filesystem is on, MAJOR:MINOR.
device() {
    local device

    device=$(stat -c %d .)
    echo "$((device >> 8 & 0xfff)):$((device & 0xff | device >> 12 & 0xfff00))"
}

# under LIBRARY NAME [ARGUMENT...]: a program of the chapter, with one of the
# libraries of setup_file preloaded.
under() {
    local preload=$BATS_FILE_TMPDIR/$1

    # First comes the one that counts what the program itself calls.
    [[ ! ${AIO_FAULT-} ]] || preload=$root/tests/helpers/fault.so:$preload
    run --separate-stderr timeout 60 env LD_PRELOAD="$preload" \
        "$root/$chapter/$2" "${@:3}"
}

# mounted TYPE OPTIONS COMMAND...: runs it in an empty folder on a filesystem
# of that type, which is gone afterwards; false if we may not mount one.
mounted() {
    local enter=(unshare --mount)

    [[ $EUID == 0 ]] || enter+=(--map-root-user)
    mkdir -p mounted
    "${enter[@]}" mount -t "$1" -o "$2" none mounted 2>/dev/null || return 1
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 "${enter[@]}" bash -c '
        mount -t "$1" -o "$2" none mounted && cd mounted && "${@:3}"' \
        bash "$@"
}

# each_fails REASON COMMAND CALL@N=ERRNO...: runs COMMAND once for each, and
# sees that it says "CALL: REASON". What else it should say than the call's
# name stands behind a colon: 'pread@1=EIO:pread demo'.
each_fails() {
    local reason=$1 command spec said

    read -ra command <<<"$2"
    shift 2
    for spec; do
        AIO_FAULT=${spec%%:*} EXPECT=${spec##*[@:]} begin "${command[@]}"
    done
    for spec; do
        next
        said=${spec#*:}
        [[ $spec == *:* ]] || said=${spec%%@*}
        assert_status 1
        assert_error "$name: $said: $reason"
    done
}

@test "chapter 4's programs explain themselves, and name a wrong number" {
    local it number

    for it in odirect misaligned is-it-async queue-depth; do
        begin "$it" -h
        begin "$it" --help
    done
    while next; do
        assert_status 0
        [[ $output == "Usage: $name"* ]] || same usage "$output" "Usage: $name"
        assert_stderr ""
    done
    assert_help_fails odirect misaligned is-it-async queue-depth

    for it in odirect misaligned is-it-async queue-depth; do
        begin "$it"
        begin "$it" -x
    done
    begin odirect demo 1 2
    begin misaligned demo more
    begin is-it-async demo more
    begin queue-depth demo 1 2 3 4
    for number in '' x 1x -1 99999999999999999999; do
        EXPECT="'$number' is not a number from 0 to " \
            begin odirect demo "$number"
    done
    for number in 0 x '' 4194305; do
        EXPECT="'$number' is not a number from 1 to 4194304"$'\n' \
            begin queue-depth demo "$number"
    done
    for number in 0 x 60001; do
        EXPECT="'$number' is not a number from 1 to 60000"$'\n' \
            begin queue-depth demo 4096 "$number"
    done
    for number in 0 -1 9999999999999; do
        EXPECT="'$number' is not a number from 1 to " \
            begin queue-depth demo 4096 1 "$number"
    done
    while next; do
        assert_status 2
        assert_output ""
        [[ $stderr == *"Usage: $name"* && ! -e $at/demo ]]
        [[ ! $expect || $stderr == "$name: $expect"* ]] ||
            same stderr "$stderr" "$name: $expect"
    done
}

# ---- odirect ----

# odirect_says SIZE: what it prints.
odirect_says() {
    local size=$1 tail=$(($1 % 65536))

    echo "filesystem: $fs_name"
    if [[ $direct ]]; then
        echo 'O_DIRECT: yes'
        echo "alignment: memory $memory, offset and length $offset ($source)"
    else
        echo 'O_DIRECT: not here, going on through the page cache'
    fi
    ((tail == 0)) || echo "tail: $tail bytes, written as" \
        "$(((tail + offset - 1) / offset * offset))"
    echo "size: $size bytes in $(((size + 65535) / 65536)) requests," \
        "after ftruncate"
    echo "read back: $size bytes, as they were written"
}

# odirect_wrote FILE SIZE: the file has so many bytes, each as it must be.
odirect_wrote() {
    same "size of $1" "$(stat -c %s "$1")" "$2"
    cmp -n "$2" "$1" "$BATS_FILE_TMPDIR/blocks"
}

@test "odirect writes any size, by default 1000000: a padded block, then cut" {
    local size

    umask 027
    for size in 0 1 511 512 513 4095 4096 4097 65535 65536 65537 524288 \
        1000000 1769473; do
        EXPECT=$size begin odirect demo "$size"
    done
    while next; do
        assert_status 0
        assert_stderr ""
        assert_output "$(odirect_says "$expect")"
        odirect_wrote "$at/demo" "$expect"
    done
    same mode "$(stat -c %a run.0/demo)" 640

    # A longer file becomes shorter.
    cat "$BATS_FILE_TMPDIR/blocks" >demo
    traced odirect demo
    same "first calls" "$(head -n 2 <<<"$trace")" "\
signal SIGXFSZ ignored
create demo 666"
    same "waits" "$(sed -n 's/ = .*//; /^io_getevents/p' <<<"$trace" |
        sort -u)" "io_getevents 1 8 -"
    assert_output "$(odirect_says 1000000)"
    odirect_wrote demo 1000000
}

@test "odirect opens with O_DIRECT, and no page goes to the page cache" {
    # It would read the file back, through the cache: so end it before that.
    # And no tail, for ftruncate may cut that off in the cache.
    AIO_FAULT='close@1=EIO' LOG=1 begin odirect demo 983040
    AIO_FAULT='close@1=EIO open:direct@1=EINVAL' LOG=1 begin odirect demo 983040
    next
    assert_status 1
    assert_error "odirect: close demo: $eio"
    same "opens with O_DIRECT" "$(calls open:direct)" 1
    if [[ $direct && ($fs == ext4 || $fs == xfs || $source == *statx) ]]; then
        same "opens" "$(calls open)" 1
        same "pages in the cache" "$(cached "$at/demo")" 0
    fi
    odirect_wrote "$at/demo" 983040

    next
    assert_error "odirect: close demo: $eio"
    compare "$(cached "$at/demo")" '>' 0
    odirect_wrote "$at/demo" 983040
}

@test "odirect goes on in the page cache: O_DIRECT refused, or statx says 0" {
    local size

    direct='' offset=1
    for size in 0 1 65535 65537 1000000; do
        AIO_FAULT='open:direct@1=EINVAL' EXPECT=$size begin odirect demo "$size"
    done
    while next; do
        assert_status 0
        assert_stderr ""
        assert_output "$(odirect_says "$expect")"
        odirect_wrote "$at/demo" "$expect"
    done
    AIO_DIOALIGN='0 0' under otherfs.so odirect demo 70001
    assert_output "$(odirect_says 70001)"
    odirect_wrote demo 70001

    # For real: ext4 has none for files whose data go through the journal.
    : >journaled
    if [[ $fs == ext4 ]] && chattr +j journaled 2>/dev/null &&
        [[ $("$BATS_FILE_TMPDIR/probe-4" dioalign journaled) == '0 0' ]]; then
        program -0 odirect journaled 70001
        assert_output "$(odirect_says 70001)"
        odirect_wrote journaled 70001
    fi

    # And ramfs has no O_DIRECT.
    if mounted ramfs mode=777 "$root/$chapter/odirect" demo 70000; then
        assert_output "\
filesystem: ramfs
O_DIRECT: not here, going on through the page cache
tail: 4464 bytes, written as 4464
size: 70000 bytes in 2 requests, after ftruncate
read back: 70000 bytes, as they were written"
    fi
}

# aligned_to MEMORY SOURCE: odirect and misaligned go by that.
aligned_to() {
    if [[ $direct ]]; then
        memory=$1 offset=$1 source=$2
    fi
    program -0 odirect demo 100
    assert_output "$(odirect_says 100)"
    odirect_wrote demo 100
    program misaligned demo     # may fail, if it is wrong
    [[ ! $direct ]] || assert_line \
        "alignment: memory $1, offset and length $1 ($2)"
}

@test "alignment: as statx says, else the disk's logical block, else 4096" {
    local said

    AIO_FAULT='statx@*=ENOSYS' aligned_to "$disk_memory" "$disk_source"
    AIO_FAULT='statx@*=ENOSYS fopen@1=ENOENT' \
        aligned_to "$partition_memory" "$partition_source"
    AIO_FAULT='statx@*=ENOSYS fopen@1=ENOENT fopen@2=ENOENT' \
        aligned_to 4096 'a guess, for nobody says'

    # odirect's blocks must be a multiple.
    [[ $direct ]] || direct=yes
    source='says statx'
    for said in '4 4096' '4096 8192' '65536 65536'; do
        read -r memory offset <<<"$said"
        AIO_DIOALIGN=$said under otherfs.so odirect demo 65537
        assert_output "$(odirect_says 65537)"
        odirect_wrote demo 65537
    done
    for said in '131072 512' '512 131072' '512 3072'; do
        AIO_DIOALIGN=$said under otherfs.so odirect demo
        assert_error 'odirect: blocks of 65536 bytes on demo: Invalid argument'
        same status "$status" 1
    done
}

@test "each filesystem is called by its name" {
    local known magic name preload line

    preload=$root/tests/helpers/fault.so:$BATS_FILE_TMPDIR/otherfs.so
    known='ef53 ext4|58465342 xfs|9123683e btrfs|01021994 tmpfs|
        794c7630 overlayfs|f2f52010 f2fs|2fc12fc1 zfs|6969 nfs|65735546 fuse|
        01021997 9p|858458f6 ramfs|12345678 unknown filesystem|'
    while read -r -d '|' magic name; do
        AIO_FSTYPE=$magic AIO_FAULT='io_setup@1=EIO' timeout 60 env \
            LD_PRELOAD="$preload" "$root/$chapter/is-it-async" "demo.$magic" \
            >"$magic" 2>&1 3>&- &
    done <<<"$known"
    wait
    while read -r -d '|' magic name; do
        read -r line <"$magic"
        same "$magic" "$line" "filesystem: $name"
    done <<<"$known"
}

@test "odirect loses nothing when io_submit and io_getevents do less" {
    local fault

    for fault in io_submit@*=short={1,2,3,4,5,6,7} io_submit@{1,2}=EINTR \
        io_submit@1=short={1,3}' io_submit@2=EAGAIN' \
        'io_submit@1=short=7 io_submit@2=EINTR io_submit@3=EAGAIN' \
        io_getevents@*=short={1,3} io_getevents@{1,2}=EINTR; do
        AIO_FAULT=$fault begin odirect demo 700000
    done
    while next; do
        assert_status 0
        assert_stderr ""
        same "stdout under $fault" "$output" "$(odirect_says 700000)"
        odirect_wrote "$at/demo" 700000
    done
}

@test "short write: odirect goes on where it is aligned; res < 0: an error" {
    local res

    # It is reported, and not so: what was written is written again.
    for res in "$offset" "$((offset + 1))" "$((2 * offset - 1))" 32768 65535; do
        AIO_FAULT="io_getevents@1=res=$res" begin odirect demo 700000
        AIO_FAULT="io_getevents@2=res=$res" begin odirect demo 700000
    done
    while next; do
        assert_status 0
        assert_output "$(odirect_says 700000)"
        odirect_wrote "$at/demo" 700000
    done

    each_fails "$eio" 'odirect demo' \
        io_getevents@1=res=0':IOCB_CMD_PWRITE demo' \
        io_getevents@1=res=1':IOCB_CMD_PWRITE demo' \
        io_getevents@1=res=$((offset - 1))':IOCB_CMD_PWRITE demo' \
        io_getevents@2=res=-EIO':IOCB_CMD_PWRITE demo'
    each_fails 'No space left on device' 'odirect demo' \
        'io_getevents@1=res=-ENOSPC:IOCB_CMD_PWRITE demo'

    # At a file size limit it may be short, over that it must fail.
    program -0 odirect demo 102400
    limited 100 odirect demo 102400
    same "status at the limit" "$status" 0
    limited 100 odirect demo
    same "status over the limit" "$status" 1
    assert_error 'odirect: IOCB_CMD_PWRITE demo: File too large'
    compare "$(stat -c %s demo)" '<=' 102400
}

@test "on a full disk odirect and queue-depth say so" {
    mounted tmpfs size=256k "$root/$chapter/odirect" demo ||
        on_small_disk 256k "$root/$chapter/odirect" demo
    same status "$status" 1
    assert_error 'odirect: IOCB_CMD_PWRITE demo: No space left on device'

    mounted tmpfs size=1M "$root/$chapter/queue-depth" demo 4096 1 2 ||
        return 0
    same status "$status" 1
    assert_error \
        'queue-depth: posix_fallocate demo: No space left on device'
}

@test "odirect reads back, and notices what is not as it was written" {
    local spoil

    # The first eight blocks are written when the window is filled again.
    for spoil in 'printf B | dd of=demo conv=notrunc' \
        'printf X | dd of=demo conv=notrunc bs=1 seek=65535'; do
        AIO_WATCH_AT="9 $spoil 2>/dev/null" AIO_FAULT='io_submit@*=short=1' \
            under watch.so odirect demo
        same status "$status" 1
        assert_error "odirect: read back block 0 of demo: $eio"
    done
}

@test "odirect: each call that fails, and a wrong FILE, end it in one line" {
    each_fails "$eio" 'odirect demo' \
        'open@1=EIO:open demo' fstatfs@1=EIO posix_memalign@1=EIO \
        io_setup@1=EIO io_submit@1=EIO io_submit@2=EIO io_getevents@1=EIO \
        io_getevents@2=EIO 'ftruncate@1=EIO:ftruncate demo' io_destroy@1=EIO \
        'close@1=EIO:close demo' 'statx@*=ENOSYS fstat@1=EIO:fstat'
    each_fails 'Resource temporarily unavailable' 'odirect demo' \
        io_setup@1=EAGAIN io_submit@1=EAGAIN
    each_fails 'Function not implemented' 'odirect demo' io_setup@1=ENOSYS
    AIO_FAULT='open:direct@1=EACCES' program -1 odirect demo
    assert_error 'odirect: open demo: Permission denied'
    each_fails "$emfile" 'odirect demo' 'fopen@*=EMFILE:open demo'

    mkdir folder
    : >mine
    chmod 444 mine
    program -1 odirect missing/demo
    assert_error 'odirect: open missing/demo: No such file or directory'
    program -1 odirect folder
    assert_error 'odirect: open folder: Is a directory'
    run -1 --separate-stderr without_override "$root/$chapter/odirect" mine
    assert_error 'odirect: open mine: Permission denied'
}

@test "an O_DIRECT read at the end of the file gets what there is, then 0" {
    # Read in blocks of 65536 bytes, from a file of 70000.
    same res "$(answer end_of_file)" $'65536\n4464\n0'
}

# ---- misaligned ----

# misaligned_says: what it prints here.
misaligned_says() {
    local block=$((offset < 512 ? 512 : offset)) relaxed='' name=$fs_name
    local what length why refused='res -22, res2 0: refused: Invalid argument'
    local writes

    writes=$(answer writes_off)
    [[ $writes != 48* ]] || relaxed=yes
    echo "filesystem: $name"
    if [[ $direct ]]; then
        echo "alignment: memory $memory, offset and length $offset ($source)"
    else
        echo 'O_DIRECT: not here, the page cache has no rules'
        name='the page cache' strict=''
    fi

    echo "nothing off: res $block, res2 0: accepted"
    for what in 'length off' 'offset off' 'address off, across pages' \
        'address off, within a page'; do
        [[ $what != *within* ]] || ((16 + block <= $(getconf PAGE_SIZE))) ||
            continue
        length=$block why=''
        [[ $what != length* ]] || length=$((block + 16))
        if [[ ! $strict ]]; then
            why="$name takes anything"
        elif [[ $what == address* ]] && ((16 % memory == 0)); then
            why="16 is a multiple of $memory"
        elif [[ $what == *within* && $relaxed ]]; then
            why='not by all kernels'
        fi
        if [[ $why ]]; then
            echo "$what: res $length, res2 0: accepted ($why)"
        else
            echo "$what: $refused"
        fi
    done

    if [[ ! $strict || $writes == 64* ]]; then
        echo 'the program that asked: all 1024 writes accepted'
    else
        echo "the program that asked: write $((${relaxed:+3} + 1)) of 1024:" \
            "res -22, and it said"
        echo '    write missed bytes expect 1024 got 0'
    fi
}

# letters LETTER FILE FROM LENGTH: how many of them are in that part of it.
letters() {
    tail -c "+$(($3 + 1))" "$2" | head -c "$4" | tr -dc "$1" | wc -c
}

# accepted_only: in demo is what misaligned said was accepted, and no more.
accepted_only() {
    local place=0 letter trials trial accepted last

    mapfile -t trials < <(grep -E '^[a-z]+ off(:|, )' <<<"$output")
    for letter in a b c d e; do
        trial=${trials[place]-}
        [[ $trial ]] || break
        accepted=0
        [[ $trial != *accepted* ]] || accepted=${trial#*res }
        same "$trial" "$(letters "$letter" demo $((place * 65536)) 65536)" \
            "${accepted%%,*}"
        last=$letter
        place=$((place + 1))
    done
    case $output in
    *'all 1024 writes'*) accepted=1024 ;;
    *'write 4 of'*) accepted=3 ;;
    *) accepted=0 ;;
    esac
    same "what the program that asked wrote" \
        "$(letters "$last" demo 327680 1048576)" $((accepted * 1024))
}

@test "misaligned on ext4, xfs: refused in res, never res2, and not written" {
    local block=$((offset < 512 ? 512 : offset))

    # On ext4 and xfs, that is; the others take it.
    case $fs in
    ext4 | xfs) [[ ! $direct ]] || same 'length off' "$strict" yes ;;
    btrfs | tmpfs) same 'length off' "$strict" '' ;;
    esac

    traced misaligned demo
    # Each trial in a place of its own; the last are those of the program.
    same "requests" "$(sed -n 's/^io_submit 1 = 1: pwrite demo //p' \
        <<<"$trace" | sed -n '1,4p; /@327680$/p')" "\
$block@0
$((block + 16))@65536
$block@131088
$block@196608
1024@327680"
    same "first calls" "$(head -n 2 <<<"$trace")" "\
signal SIGXFSZ ignored
create demo 666"
    same "waits" "$(sed -n 's/ = .*//; /^io_getevents/p' <<<"$trace" |
        sort -u)" "io_getevents 1 1 -"
    assert_output "$(misaligned_says)"

    accepted_only
}

@test "of 1 KiB writes out of malloc memory 6.18 takes three in four" {
    same aligned "$(answer writes_aligned)" "$(
        [[ $strict ]] && ((1024 % offset != 0)) &&
            echo '0 accepted, 64 refused' || echo '64 accepted, 0 refused')"
    if [[ ! $strict ]] || ((16 % memory == 0 && 1024 % offset == 0)); then
        same "16 bytes off" "$(answer writes_off)" '64 accepted, 0 refused'
    elif [[ $(answer writes_off) != '48 accepted, 16 refused' ]]; then
        # Another Linux, or a disk that has each request looked at
        same "16 bytes off" "$(answer writes_off)" '0 accepted, 64 refused'
    fi
}

@test "misaligned goes by statx; without O_DIRECT nothing is misaligned" {
    local said block=$((offset < 512 ? 512 : offset)) says

    says=$(direct='' offset=1; misaligned_says)
    AIO_FAULT='open:direct@1=EINVAL' program -0 misaligned demo
    assert_output "$says"
    AIO_FAULT='fcntl@1=EIO' AIO_DIOALIGN='0 0' under otherfs.so misaligned demo
    assert_error "misaligned: fcntl demo: $eio"
    AIO_FAULT='fcntl@1=EIO' AIO_DIOALIGN='0 0' under otherfs.so odirect demo
    assert_error "odirect: fcntl demo: $eio"
    AIO_DIOALIGN='0 0' under otherfs.so misaligned demo
    same status "$status" 0
    assert_output "$says"
    same size "$(stat -c %s demo)" "$((5 * 65536 + 1024 * 1024))"

    [[ $strict ]] || return 0   # there, all is accepted
    AIO_DIOALIGN="4 $offset" under otherfs.so misaligned demo
    same status "$status" 0
    assert_line "alignment: memory 4, offset and length $offset (says statx)"
    if [[ $output == *'within a page: res '"$block"* ]]; then
        assert_line "address off, within a page: res $block, res2 0: accepted\
 (16 is a multiple of 4)"
    fi

    # A block that fills a page cannot be off and within one.
    block=$((block < 4096 ? 4096 : block))
    AIO_DIOALIGN="4096 $block" under otherfs.so misaligned demo
    assert_line "nothing off: res $block, res2 0: accepted"
    assert_line 'address off, across pages: *'
    assert_line 'length off: res -22, res2 0: refused: Invalid argument'
    [[ $output != *within* ]] || (($(getconf PAGE_SIZE) > block))
    for said in '131072 512' '512 131072'; do
        AIO_DIOALIGN=$said under otherfs.so misaligned demo
        same status "$status" 1
        assert_error \
            'misaligned: blocks of 65536 bytes on demo: Invalid argument'
    done
}

@test "misaligned: a call that fails, or no EINVAL for an event, ends it" {
    local n events specs=()

    umask 027
    AIO_FAULT='io_submit@1=EINTR io_getevents@1=EINTR' \
        program -0 misaligned demo
    same mode "$(stat -c %a demo)" 640
    events=$(grep -cE '(off|pages?): res|program that' <<<"$output")

    # What is no EINVAL, or refused though aligned, is a failure.
    each_fails 'Invalid argument' 'misaligned demo' \
        'io_getevents@1=res=-EINVAL:IOCB_CMD_PWRITE demo'
    each_fails "$eio" 'misaligned demo' \
        io_getevents@{1=res=511,1=res=0,"$events"=res=0}':IOCB_CMD_PWRITE demo'
    for ((n = 1; n <= events; n++)); do
        specs+=("io_getevents@$n=res=-ENOSPC:IOCB_CMD_PWRITE demo")
    done
    each_fails 'No space left on device' 'misaligned demo' "${specs[@]}"
    limited 128 misaligned demo
    same status "$status" 1
    assert_error 'misaligned: IOCB_CMD_PWRITE demo: File too large'

    each_fails "$eio" 'misaligned demo' \
        'open@1=EIO:open demo' fstatfs@1=EIO posix_memalign@1=EIO \
        io_setup@1=EIO io_submit@1=EIO io_getevents@1=EIO io_destroy@1=EIO \
        'close@1=EIO:close demo' 'statx@1=ENOSYS fstat@1=EIO:fstat'
    each_fails 'Function not implemented' 'misaligned demo' io_setup@1=ENOSYS
    AIO_FAULT='open:direct@1=EACCES' program -1 misaligned demo
    assert_error 'misaligned: open demo: Permission denied'
    program -1 misaligned missing/demo
    assert_error 'misaligned: open missing/demo: No such file or directory'
}

# ---- is-it-async ----

kinds=('buffered write' 'buffered read' 'buffered read, not cached'
    'O_DIRECT read' 'O_DIRECT overwrite' 'O_DIRECT write at the end'
    'O_DIRECT write into a hole' 'O_DIRECT write, preallocated' 'FDSYNC')

# parse: sets states[KIND] to "done" or "under way" from what is-it-async
# printed. That must be nothing else, with the picture that belongs to it.
parse() {
    local kind rows='' line begin

    begin="filesystem: $fs_name"
    [[ $direct ]] ||
        begin+=$'\nO_DIRECT: not here, all goes through the page cache'
    declare -gA states=()
    for kind in "${kinds[@]}"; do
        case $output in
        *"$kind: still under way "*)
            states[$kind]='under way'
            printf -v line '%-50s[io_submit]~~~~~~~~~' "$kind: still under way"
            ;;
        *"$kind: not on this filesystem"*)
            states[$kind]=none
            line="$kind: not on this filesystem"
            ;;
        *)
            states[$kind]='done'
            printf -v line '%-50s[io_submit ========]' "$kind: done"
            ;;
        esac
        rows+=$line$'\n'
    done
    assert_output "\
$begin
when io_submit returns, the request is
$rows= the call does it or waits for it, ~ it goes on without us"
}

# is STATE KIND...: on the filesystem we are on, all of these are so.
is() {
    local kind

    output=$(answer is-it-async)
    parse
    for kind in "${@:2}"; do
        same "$kind on $fs" "${states[$kind]}" "$1"
    done
}

# asynchronous KIND...: each of them is seen under way, but for a disk that is
# memory, or where there is no O_DIRECT. A machine that has much else to do may
# let nobody look before the disk is done, and that for a while: look again.
asynchronous() {
    local kind name unseen tries

    [[ $direct ]] || return 0
    name=$(sed -n 's/^DEVNAME=//p' "/sys/dev/block/$(device)/uevent" \
        2>/dev/null) || true
    [[ $name != ram* && $name != zram* && $name != pmem* ]] || return 0

    output=$(answer is-it-async)
    for tries in {1..30}; do
        parse
        unseen=()
        for kind; do
            [[ ${states[$kind]} == 'under way' ]] || unseen+=("$kind")
        done
        [[ ${#unseen[@]} != 0 ]] || return 0
        set -- "${unseen[@]}"
        program -0 is-it-async demo
    done
    same "$1 on $fs" "${states[$1]}" 'under way'
}

# on_tmpfs NAME ARGUMENT...: a program of the chapter, in a folder on a tmpfs.
on_tmpfs() {
    local folder

    if [[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs ]] &&
        folder=$(mktemp -d /dev/shm/aio.XXXXXX 2>/dev/null); then
        run --separate-stderr timeout 60 env -C "$folder" \
            "$root/$chapter/$1" "${@:2}"
        rm -r "$folder"
    else
        mounted tmpfs mode=777 "$root/$chapter/$1" "${@:2}" ||
            skip "there is no tmpfs: /dev/shm is none, and we may not mount"
    fi
}

@test "head and tail of the ring tell that a request is done" {
    same 'before, after io_submit, after io_getevents' "$(answer ring)" \
        $'0 0\n0 1\n1 1'
}

@test "a buffered write or read is done when io_submit returns, always" {
    is 'done' 'buffered write' 'buffered read' 'buffered read, not cached'
}

@test "an O_DIRECT read or overwrite is under way when io_submit returns" {
    case $fs in
    ext4 | xfs) asynchronous 'O_DIRECT read' 'O_DIRECT overwrite' ;;
    btrfs) asynchronous 'O_DIRECT read' ;;
    tmpfs) is 'done' 'O_DIRECT read' 'O_DIRECT overwrite' ;;
    *) is 'done' 'buffered read' ;;
    esac
}

@test "an O_DIRECT write that extends the file is done on return, on ext4" {
    case $fs in
    ext4 | tmpfs) is 'done' 'O_DIRECT write at the end' ;;
    xfs)
        # Of several all but the last one are waited for.
        asynchronous 'O_DIRECT write at the end'
        same "the first of two" "$(answer extending_pair)" 'done'
        ;;
    *) is 'done' 'buffered write' ;;
    esac
}

@test "O_DIRECT into a hole or preallocated blocks is under way on return" {
    local these=('O_DIRECT write, preallocated' 'O_DIRECT write into a hole')

    case $fs in
    ext4 | xfs) asynchronous "${these[@]}" ;;
    tmpfs) is 'done' "${these[@]}" ;;
    *) is 'done' 'buffered write' ;;
    esac
}

@test "a part of a new block is waited for on ext4 and xfs, not on btrfs +C" {
    case $fs in
    ext4 | xfs)
        # (On a disk with blocks of 4096 bytes it is misaligned.)
        [[ $(answer part_of_block) == 'res -22' ]] && ((offset > 512)) ||
            same "512 bytes" "$(answer part_of_block)" 'all done'
        # On ext4 so is a whole block from an address of less alignment.
        if [[ $fs == ext4 ]] && ((memory <= 512)); then
            same "address" "$(answer address_512)" 'all done'
        fi
        ;;
    btrfs)
        # Under way is what has no checksums.
        same "chattr +C" "$(answer without_checksums)" 'some under way' ;;
    *) [[ $(answer part_of_block) == *[a-z]* ]] ;;
    esac
}

@test "preallocated blocks are unwritten, and converted by the first write" {
    case $fs in
    ext4 | xfs | btrfs) same blocks "$(answer preallocated)" \
        $'a hole\nunwritten\nwritten' ;;
    *) [[ $(answer preallocated) == *$'\n'*$'\n'* ]] ;;
    esac
}

@test "FDSYNC and FSYNC are under way when io_submit returns" {
    case $fs in
    ext4 | xfs)
        asynchronous FDSYNC
        same FSYNC "$(answer fsync)" 'under way'
        ;;
    *)  # with nothing to write they may be done before we look
        is 'done' 'buffered write'
        ;;
    esac
}

@test "on tmpfs everything is done on return, and nothing is misaligned" {
    local guess='alignment: memory 4096, offset and length 4096 (a guess, *'

    on_tmpfs is-it-async demo
    same status "$status" 0
    assert_line 'filesystem: tmpfs'
    same "requests under way" \
        "$(grep 'still under way' <<<"$output" | grep -v FDSYNC)" ""
    on_tmpfs misaligned demo
    same status "$status" 0
    assert_line 'filesystem: tmpfs'
    [[ $output == *'O_DIRECT: not here'* ]] || assert_line "$guess"
    same "refused on tmpfs" "$(grep refused <<<"$output")" ""
    same "accepted on tmpfs" "$(grep -c 'takes anything' <<<"$output")" \
        "$(grep -cE '^(length|offset|address) off' <<<"$output")"
    on_tmpfs odirect demo
    same status "$status" 0
    assert_line 'filesystem: tmpfs'
    if [[ $output == *'O_DIRECT: yes'* ]]; then
        assert_line "$guess"
    else
        assert_line 'O_DIRECT: not here, going on through the page cache'
    fi
}

@test "what is done on return was so 100 times, each with a block of its own" {
    local tried=800 bytes=1638400 submits

    direct=''
    AIO_FAULT='open:direct@1=EINVAL' LOG=1 begin is-it-async demo
    next
    assert_status 0
    assert_stderr ""
    parse
    [[ ${states[O_DIRECT write, preallocated]} == 'done' ]] ||
        tried=700 bytes=1228800
    submits=$(calls io_submit)
    compare "$submits" '>' "$tried"             # and FDSYNC once
    compare "$submits" '<=' "$((tried + 100))"  # or 100 times
    same io_getevents "$(calls io_getevents)" "$submits"

    # Written: at the beginning, at the end, into the hole, what was allocated.
    same "size of the file" "$(stat -c %s "$at/demo")" "$bytes"
    same "bytes written" "$(tr -dc x <"$at/demo" | wc -c)" "$bytes"

    umask 027
    traced is-it-async new
    same "first calls" "$(head -n 2 <<<"$trace")" "\
signal SIGXFSZ ignored
create new 666"
    [[ $trace != *data=* ]]
    same mode "$(stat -c %a new)" 640
}

@test "is-it-async: each call that fails ends it, and a ring it doesn't know" {
    local word

    AIO_FAULT='io_submit@1=EINTR io_getevents@1=EINTR' EXPECT='*' \
        begin is-it-async demo
    AIO_FAULT='fallocate@1=EOPNOTSUPP' EXPECT='not on this filesystem' \
        begin is-it-async demo
    while next; do
        assert_status 0
        assert_line "O_DIRECT write, preallocated: $expect"
    done
    each_fails "$eio" 'is-it-async demo' \
        'open@1=EIO:open demo' 'open@2=EIO:open demo' fstatfs@1=EIO \
        io_setup@1=EIO io_submit@1=EIO io_getevents@1=EIO \
        'io_getevents@1=res=-EIO:buffered write demo' \
        'io_getevents@101=res=4095:buffered read demo' \
        'io_getevents@102=res=0:buffered read demo' \
        'fsync@1=EIO:fsync demo' 'ftruncate@1=EIO:ftruncate demo' \
        'fallocate@1=EIO:fallocate demo' \
        'pwrite@1=EIO:pwrite demo' io_destroy@1=EIO \
        'close@1=EIO:close demo' 'close@2=EIO:close demo'
    each_fails 'No space left on device' 'is-it-async demo' \
        'pwrite@1=short=4095:pwrite demo'
    each_fails 'Function not implemented' 'is-it-async demo' io_setup@1=ENOSYS
    limited 200 is-it-async demo
    same status "$status" 1
    assert_error 'is-it-async: buffered write demo: File too large'
    program -1 is-it-async missing/demo
    assert_error 'is-it-async: open missing/demo: No such file or directory'
    for word in 4=1 6=1; do     # the magic number, incompat_features
        AIO_WATCH_RING=$word under watch.so is-it-async demo
        same status "$status" 1
        assert_error "is-it-async: the ring of events: Protocol error"
    done
}

# ---- queue-depth ----

# table: checks the table that queue-depth printed, and the line behind it.
table() {
    sed '1,/^depth /d' <<<"$output" | awk '
    /^$/ { getline; footer = $0; next }
    function wrong(what) { print what ": " $0; bad = 1 }
    length > 72 { wrong("wider than 72 columns") }
    NF != 5 && !(NF == 4 && $4 ~ /^[0-9]/) { wrong("not five columns") }
    $1 != (NR == 1 ? "pread" : 2 ^ (NR - 2)) { wrong("not that depth") }
    $2 !~ /^[1-9][0-9]*$/ { wrong("no plain number") }
    NR == 1 { pread = $2 }
    $2 > best { best = $2 }
    $5 !~ /^#*$/ { wrong("no bar") }
    { iops[NR] = $2; gain[NR] = $3; bar[NR] = length($5); row[NR] = $0 }
    # Two calls fill and reap between half of the window and all of it.
    NR == 1 && $4 != 1 || NR == 2 && $4 != 2 { wrong("not that many calls") }
    NR > 2 && ($4 > 4 / $1 + .001 || $4 < 2 / $1 - .001) { wrong("calls") }
    END {
        if (NR != 10)
            wrong("not eight rows, an empty line and another")
        number = "[0-9]+[.][0-9]"
        if (footer !~ "^CPU microseconds a request: pread " number ", 1 " \
            number ", 2 " number ", 4 " number ", 8 " number ", 16 " number \
            ", 32 " number ", 64 " number "$")
            wrong(footer)
        for (i = 1; i <= 8; i++) {
            $0 = row[i]
            difference = gain[i] * pread - iops[i]
            rounding = .0051 * pread + .51 * gain[i] + 1
            if (difference > rounding || difference < -rounding)
                wrong("not the gain over pread")
            if (bar[i] - iops[i] / best * 40 > .1 ||
                iops[i] / best * 40 - bar[i] > 1.1)
                wrong("not the bar for that")
        }
        exit bad
    }' || {
        echo "$output"
        return 1
    }
}

# make_file NAME BYTES: letters, really written.
make_file() {
    head -c "$2" "$BATS_FILE_TMPDIR/blocks" >"$1"
    sync "$1"
}

@test "queue-depth only reads a FILE, by pread and at depth 1 to 64: a table" {
    local before

    make_file demo 1000000
    chmod 444 demo
    before=$(stat -c '%i %s %a %y %z' demo; cksum demo)
    traced queue-depth demo 4096 4
    table
    same "the first lines" "$(head -n 5 <<<"$output")" "\
filesystem: $fs_name
O_DIRECT: ${direct:-not here, so this measures the page cache}
file: 1000000 bytes, as it was

depth     IOPS   gain  calls  (gain over pread, calls a request)"

    # One io_submit and one io_getevents for half a window or more.
    # shellcheck disable=SC2016 # for awk
    same "too many calls" "$(awk '$1 ~ /^[0-9]+$/ && $4 > 4 / $1 + .001' \
        <<<"$output")" ""

    # That can be done by somebody who may not write it.
    run -0 --separate-stderr without_override "$root/$chapter/queue-depth" \
        demo 4096 1
    assert_line 'file: 1000000 bytes, as it was'
    same "the file" "$(stat -c '%i %s %a %y %z' demo; cksum demo)" "$before"
}

@test "queue-depth makes a missing FILE, and leaves nothing, however it ends" {
    local signal pid tries

    LOG=1 begin queue-depth demo 4096 1 3
    AIO_FAULT='posix_fallocate@1=EOPNOTSUPP' LOG=1 begin queue-depth demo \
        4096 1 3
    while next; do
        assert_status 0
        assert_stderr ""
        assert_line "O_DIRECT: ${direct:-not here, so this measures the*}"
        assert_line 'file: 3145728 bytes, made for this, and removed'
        table
        same "$at" "$(echo "$at"/*)" "$at/log $at/stderr $at/stdout"
        same pwrite "$(calls pwrite)" 3
        same posix_fallocate "$(calls posix_fallocate)" 1
        same fsync "$(calls fsync)" 1
    done

    # However it is ended.
    for signal in TERM KILL; do
        "$root/$chapter/queue-depth" demo 4096 2000 1 >/dev/null 3>&- &
        pid=$!
        tries=0
        until [[ $(readlink /proc/$pid/fd/*) == *"/demo (deleted)"* ]]; do
            ((tries++ < 1000)) || same 'open files' "$(readlink \
                /proc/$pid/fd/*)" "/demo (deleted)"
            read -r -t 0.01 <> <(:) || true
        done
        kill -s "$signal" "$pid"
        wait "$pid" || true
        [[ ! -e demo ]]
    done
}

@test "queue-depth makes 256 MiB by default; if it can't, one line says why" {
    local limit

    each_fails "$eio" 'queue-depth demo 4096 1 2' \
        'open@2=EIO:open demo' 'unlink@1=EIO:unlink demo' \
        'posix_fallocate@1=EIO:posix_fallocate demo' posix_memalign@1=EIO \
        'pwrite@1=EIO:pwrite demo' 'pwrite@2=EIO:pwrite demo' \
        'fsync@1=EIO:fsync demo' posix_memalign@2=EIO
    each_fails 'No space left on device' 'queue-depth demo 4096 1 2' \
        'pwrite@2=short=4096:pwrite demo'
    same "made and left" "$(echo run.[!1]/demo)" 'run.[!1]/demo'

    for limit in 262143 262144; do
        # shellcheck disable=SC2016 # for the inner shell
        AIO_FAULT='pwrite@1=EIO' run --separate-stderr bash -o pipefail -c '
            { (ulimit -f "$1"; exec env LD_PRELOAD="$2" "$3" demo) 2>&1 >&3 |
                cat >&2; } 3>&1' bash "$limit" "$root/tests/helpers/fault.so" \
            "$root/$chapter/queue-depth"
        same status "$status" 1
        case $limit in
        262143) assert_error \
            'queue-depth: posix_fallocate demo: File too large' ;;
        *) [[ $stderr == "queue-depth: pwrite demo: $eio" ||
            $stderr == *'posix_fallocate demo: No space left on device' ]] ||
            same stderr "$stderr" "queue-depth: pwrite demo: ..." ;;
        esac
        [[ ! -e demo ]]
    done
}

@test "queue-depth shows progress on a terminal, and nowhere else" {
    command -v script >/dev/null || skip "there is no script(1)"
    make_file demo 8192
    run -0 timeout 60 script -qec "'$root/$chapter/queue-depth' demo 4096 1" \
        /dev/null
    [[ $output == *"reading with pread: ms 1"$'\e[K\r'* ]]
    [[ $output == *$'\r'"reading at depth 64"$'\e[K\r\e[K\r'* ]]
    run -0 timeout 60 script -qec "'$root/$chapter/queue-depth' new 4096 1 2" \
        /dev/null
    [[ $output == *"writing: MiB 1"$'\e[K\r'* ]]

    # 400 ms for each row, if nothing else is asked for.
    run timeout 60 script -qec "env LD_PRELOAD='$root/tests/helpers/fault.so' \
        AIO_FAULT=pread@1=EIO '$root/$chapter/queue-depth' demo" /dev/null
    [[ $output == *"reading with pread: ms 400"$'\e[K\rqueue-depth: pread '* ]]
}

@test "queue-depth reads whole blocks, of an aligned size, and tells of holes" {
    local said

    make_file demo 12287
    program -0 queue-depth demo 4096 2
    table
    program -0 queue-depth demo 8192 2
    table
    program -1 queue-depth demo 16384
    assert_error 'queue-depth: demo: its 12287 bytes are less than a block'
    program -1 queue-depth demo 4194304
    make_file demo 4095
    program -1 queue-depth demo
    assert_error 'queue-depth: demo: its 4095 bytes are less than a block'
    make_file demo 4096
    program -0 queue-depth demo 4096 1
    table

    truncate -s 1M holes
    program -0 queue-depth holes 4096 1
    assert_line 'file: 1048576 bytes, with holes: reading these takes no disk'

    # The block size must be one that O_DIRECT takes.
    make_file demo 100000
    for said in '512 4096 4096' '4096 512 4096' '8 512 512'; do
        AIO_DIOALIGN=${said% *} under otherfs.so queue-depth demo 1000
        same status "$status" 1
        [[ $stderr == "queue-depth: BLOCK_SIZE 1000: demo wants a multiple of \
${said##* }" ]]
    done
    AIO_DIOALIGN='8 12288' under otherfs.so queue-depth demo 24576 1
    same status "$status" 0
    AIO_DIOALIGN='0 0' under otherfs.so queue-depth demo 1000 1
    same status "$status" 0
    assert_line 'O_DIRECT: not here, so this measures the page cache'
    AIO_FAULT='fcntl@1=EINVAL' program -0 queue-depth demo 1000 1
    assert_line 'O_DIRECT: not here, so this measures the page cache'
    table
}

# places WHAT: of those in $trace hardly any comes twice.
places() {
    local all different

    all=$(grep '^io_submit' <<<"$trace" | grep -o '@[0-9]*')
    different=$(sort -u <<<"$all" | wc -l)
    all=$(wc -l <<<"$all")
    ((different * 100 >= all * 95)) ||
        same "$1: different places" "$different" "about $all"
}

@test "queue-depth reads each time in another place, without any order" {
    truncate -s 4G holes
    traced queue-depth holes 4096 4
    places 'whole windows'
    # It waits for half of the window.
    same 'of 2' "$(grep -A 1 -m 1 '^io_submit 2 = 2' <<<"$trace" |
        sed -n 's/^\(io_getevents .*\) = .*/\1/p')" 'io_getevents 1 64 -'
    # More than a window of each depth: what is done is asked for again.
    compare "$(grep -c '^io_submit' <<<"$trace")" '>' 7
    trace=$(grep -m 1 '^io_submit 64 ' <<<"$trace" | grep -o '@[0-9]*')
    compare "$(sort -u <<<"$trace" | wc -l)" '>=' 60    # some may meet
    [[ $(sort -n -k 1.2 <<<"$trace") != "$trace" ]]

    # Where one is taken at a time it goes on with the next.
    ended 60 "LD_PRELOAD=$root/tests/helpers/fault.so:\
$root/tests/helpers/trace.so" AIO_TRACE=trace 'AIO_FAULT=io_submit@*=short=1' \
        "$root/$chapter/queue-depth" holes 4096 1
    same status "$status" 0
    trace=$(<trace)
    places 'one by one'

    # Past the page cache, if it said so.
    [[ ! $strict || $output != *'O_DIRECT: yes'* ]] ||
        same 'pages in the cache' "$(cached holes)" 0
}

@test "queue-depth: partial submits, interruptions" {
    local fault

    make_file demo 100000
    for fault in io_submit@*=short=1 io_submit@{1,2}=EINTR \
        io_getevents@{1,2}=EINTR io_getevents@*=short=1; do
        AIO_FAULT=$fault begin queue-depth ../demo 4096 1
    done
    # The first row is over after one request. The second is told that the
    # context is full, with one of its two in flight.
    AIO_FAULT='io_submit@2=short=1 io_submit@3=EAGAIN' \
        AIO_WATCH_AT='1 sleep 0.01' under watch.so queue-depth demo 4096 1
    same status "$status" 0
    while next; do
        assert_status 0
        assert_stderr ""
        same "rows" "$(grep -cE '^(pread|[0-9]+) ' <<<"$output")" 8
    done
}

@test "queue-depth: each call that fails, and a wrong FILE, end it in a line" {
    make_file demo 100000
    each_fails "$eio" 'queue-depth ../demo 4096 1' \
        'open@1=EIO:open ../demo' 'fstat@1=EIO:fstat ../demo' fstatfs@1=EIO \
        'fcntl@1=EIO:fcntl ../demo' 'lseek@1=EIO:lseek ../demo' \
        posix_memalign@1=EIO io_setup@1=EIO 'pread@1=EIO:pread ../demo' \
        'pread@1=short=0:pread ../demo' io_submit@1=EIO io_submit@2=EIO \
        io_getevents@1=EIO \
        clock_gettime@1=EIO 'io_getevents@1=res=-EIO:IOCB_CMD_PREAD ../demo' \
        'io_getevents@2=res=4095:IOCB_CMD_PREAD ../demo' \
        'io_getevents@1=res=0:IOCB_CMD_PREAD ../demo' io_destroy@1=EIO \
        'close@1=EIO:close ../demo'
    each_fails 'Function not implemented' 'queue-depth ../demo 4096 1' \
        io_setup@1=ENOSYS
    each_fails 'Resource temporarily unavailable' \
        'queue-depth ../demo 4096 1' io_setup@1=EAGAIN io_submit@1=EAGAIN

    program -1 queue-depth missing/demo
    assert_error 'queue-depth: open missing/demo: No such file or directory'
    mkdir folder
    program -1 queue-depth folder
    assert_error 'queue-depth: open folder: Is a directory'
    mkfifo fifo
    program -1 queue-depth fifo
    assert_error 'queue-depth: open fifo: Invalid argument'
    : >mine
    chmod 000 mine
    run -1 --separate-stderr without_override "$root/$chapter/queue-depth" mine
    assert_error 'queue-depth: open mine: Permission denied'
}

@test "output that does not arrive is a failure" {
    output_must_arrive 'odirect demo' 'misaligned demo.2' \
        'is-it-async demo.3' 'queue-depth demo.4 4096 1 1'
}
