# Past the page cache: odirect, misaligned, is-it-async, queue-depth, and
# what the kernel does with O_DIRECT.
# seconds: 4
# halves: [a-n]

# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # bats and helpers set these
load helpers/common
load helpers/probe
load helpers/abreast
chapter=04-odirect

# Made or found out once, for all tests:
#   - the helpers, and what odirect must write: 30 blocks of 65536 bytes, more
#     than there are letters
#   - what probe-4 says to each question, and is-it-async
#   - fs: the filesystem's type, by its number; fs_type: as mount has it,
#     empty where it has none (in a folder that is root)
#   - direct: "yes", or empty if there is no O_DIRECT; memory, offset, source:
#     the rules of alignment, and who says so
#   - bs: a block to read: of 4096 bytes, or what is the least here
#   - ahead: "yes" if space can be allocated ahead (not on ext2, and not on ext4
#     without extents)
#   - strict: "yes" if requests are refused that are not aligned
#   - eio, emfile: what the programs' C library says for these
setup_file() {
    local question folder helpers=$BATS_TEST_DIRNAME/helpers

    cp "$helpers/fault.so" "$helpers/probe-4" "$BATS_FILE_TMPDIR"
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
    for question in ahead dioalign ring fsync preallocated \
        end_of_file length_off writes_aligned writes_off part_of_block \
        without_checksums address_512 address_block overwrite_512 \
        extending_pair mapped end_at_once untouched beside_writer \
        beside_clean reasons; do
        mkdir "$question"
        (
            cd "$question" || exit
            exec timeout 60 "$BATS_FILE_TMPDIR/probe-4" "$question"
        ) >"$BATS_FILE_TMPDIR/$question" 2>&1 3>&- &
    done
    timeout 60 "$root/$chapter/is-it-async" demo \
        >"$BATS_FILE_TMPDIR/is-it-async" 2>&1 3>&-
    wait

    export fs fs_type direct ahead memory offset source strict eio emfile bs
    fs=$(filesystem)
    fs_type=$(findmnt --noheadings --output FSTYPE --target . | tail -n 1)
    direct=yes
    case $(answer dioalign) in
    'no O_DIRECT' | '0 '*) direct='' memory=1 offset=1 source='' ;;
    unknown) memory=4096 offset=4096 source=$guess ;;
    *) read -r memory offset <<<"$(answer dioalign)"; source='says statx' ;;
    esac
    bs=$((offset < 4096 ? 4096 : offset))
    ahead=
    [[ $(answer ahead) != yes ]] || ahead=yes
    strict=
    [[ $(answer length_off) != refused ]] || strict=yes
    { read -r eio; read -r emfile; } <<<"$(answer reasons)"
    cd "$root" || return
    rm -r "$folder"
}

guess='a guess: statx does not say'

# answer QUESTION: what probe-4 said, or is-it-async.
answer() { echo "$(<"$BATS_FILE_TMPDIR/$1")"; }

# cached FILE: how many pages of it are in the page cache.
cached() { "$BATS_FILE_TMPDIR/probe-4" cached "$1"; }

# The device that the filesystem is on, MAJOR:MINOR.
device() {
    local device

    device=$(stat -c %d .)
    echo "$((device >> 8 & 0xfff)):$((device & 0xff | device >> 12 & 0xfff00))"
}

# under LIBRARY NAME [ARGUMENT...]: a program of the chapter, with the library
# of setup_file preloaded.
under() {
    local preload=$BATS_FILE_TMPDIR/$1

    run --separate-stderr timeout 60 env LD_PRELOAD="$preload" \
        "$root/$chapter/$2" "${@:3}"
}

# since VERSION: is this kernel as new as that?
since() {
    [[ $(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1) == "$1" ]]
}

# The name of that, as sda1.
disk() {
    sed -n 's/^DEVNAME=//p' "/sys/dev/block/$(device)/uevent" 2>/dev/null ||
        true
}

# memory_disk: is the disk memory? Then the call itself does the transfer.
memory_disk() {
    local name

    name=$(disk)
    [[ $name == ram* || $name == zram* || $name == pmem* ]]
}

# throttled N NAME [ARGUMENT...]: a program of the chapter, with N transfers a
# second to and from the disk: so none is quick. False if that can't be had:
# it takes root, and a cgroup.
throttled() {
    local n=$1 group file

    for group in /sys/fs/cgroup/blkio /sys/fs/cgroup; do
        [[ ! -e $group/blkio.throttle.read_iops_device &&
            ! -e $group/io.pressure && ! -e $group/cgroup.controllers ]] ||
            break
    done
    [[ $EUID == 0 ]] && mkdir "$group/aio.$$" 2>/dev/null || return 1
    group+=/aio.$$
    if [[ -e $group/blkio.throttle.read_iops_device ]]; then
        for file in read write; do
            echo "$(device) $n" >"$group/blkio.throttle.${file}_iops_device"
        done
    else
        echo "$(device) riops=$n wiops=$n" >"$group/io.max" 2>/dev/null || {
            rmdir "$group"
            return 1
        }
    fi
    # shellcheck disable=SC2016 # for the inner shell
    ended 60 bash -c 'echo $$ >"$1/cgroup.procs" && exec env "${@:2}"' \
        bash "$group" ${AIO_FAULT:+"LD_PRELOAD=$root/tests/helpers/fault.so"} \
        "$root/$chapter/$2" "${@:3}"
    until rmdir "$group" 2>/dev/null; do
        sleep 0.05
    done
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

# mounted_image IMAGE COMMAND...: the same on an image of a disk, as root.
mounted_image() {
    [[ $EUID == 0 ]] && unshare --mount true 2>/dev/null || return 1
    mkdir -p mounted
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 unshare --mount bash -c '
        mount -o loop "$1" mounted || exit 77
        cd mounted && "${@:2}"' bash "$@"
    ((status != 77))
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

@test "a number that is none, or out of range, is named" {
    local number

    for number in '' x 1x -1 99999999999999999999; do
        EXPECT="'$number' is not a number from 0 to " \
            begin odirect demo "$number"
    done
    # With a 32-bit off_t there is no room for more than 32767 blocks.
    EXPECT="'2147418113' is not a number from 0 to 2147418112" \
        begin odirect demo 2147418113
    for number in 0 x '' 4194305; do
        EXPECT="'$number' is not a number from 1 to 4194304"$'\n' \
            begin queue-depth demo "$number"
    done
    for number in 0 x 60001; do
        EXPECT="'$number' is not a number from 1 to 60000"$'\n' \
            begin queue-depth demo "$bs" "$number"
    done
    for number in 0 -1 9999999999999999; do
        EXPECT="'$number' is not a number from 1 to " \
            begin queue-depth demo "$bs" 1 "$number"
    done
    while next; do
        assert_status 2
        assert_output ""
        [[ $stderr == "$name: $expect"*"Usage: $name"* && ! -e $at/demo ]] ||
            same stderr "$stderr" "$name: $expect"
    done
}

# ---- odirect ----

# said: the output, with N where numbers depend on how quick the disk is, or
# on faults.
said() {
    sed -E 's/^(io_submit returned:|io_[a-z]+ calls:) [0-9]+/\1 N/
        s/^(io_submit returned: N of) [0-9]+/\1 N/
        s/(in flight at most:) [1-8]$/\1 N/' <<<"$output"
}

# odirect_says SIZE: what it prints, as `said` has it.
odirect_says() {
    local size=$1 tail=$(($1 % 65536)) requests=$((($1 + 65535) / 65536))
    local padding most=N
    local returned='io_submit returned: N of N requests still under way'

    if [[ $direct ]]; then
        echo 'O_DIRECT: yes'
        echo "alignment: memory $memory, offset and length $offset ($source)"
    else
        echo 'O_DIRECT: not here, going on through the page cache'
    fi
    [[ $ahead || $size == 0 ]] || echo 'space ahead: not on this filesystem'
    ((requests <= 8)) || echo "$returned"
    ((tail == 0)) || {
        padding=$(((tail + offset - 1) / offset * offset))
        echo "tail: $tail bytes, written as $padding"
    }
    ((requests > 8 || requests == 0)) || echo "$returned"
    ((requests > 0)) || most=0
    echo "requests: $requests, in flight at most: $most"
    echo 'io_submit calls: N'
    echo 'io_getevents calls: N'
}

# odirect_wrote FILE SIZE: the file has so many bytes, each as it must be.
odirect_wrote() {
    same "size of $1" "$(stat -c %s "$1")" "$2"
    cmp -n "$2" "$1" "$BATS_FILE_TMPDIR/blocks"
}

# odirect_did SIZE: it ended well, said so, and wrote that to demo in $at.
odirect_did() {
    assert_status 0
    assert_stderr ""
    same stdout "$(said)" "$(odirect_says "$1")"
    odirect_wrote "${at:-.}/demo" "$1"
}

@test "odirect writes any size: the last block is padded, and then cut" {
    local size

    for size in 0 1 511 512 513 4095 4096 4097 65535 65536 65537 524288 \
        1000000 1769473; do
        EXPECT=$size begin odirect demo "$size"
    done
    while next; do
        odirect_did "$expect"
    done
}

@test "odirect writes 1000000 bytes by default, with 8 requests in flight" {
    program -0 odirect demo
    same stdout "$(said)" "$(odirect_says 1000000)"
    assert_line 'requests: 16, in flight at most: 8'
    odirect_wrote demo 1000000
}

@test "odirect makes its file as the umask has it, and shortens a longer one" {
    umask 027
    program -0 odirect demo
    same mode "$(stat -c %a demo)" 640
    cat "$BATS_FILE_TMPDIR/blocks" >demo
    program -0 odirect demo 700000
    odirect_wrote demo 700000
}

@test "odirect waits for one event, and takes up to 64" {
    traced odirect demo
    same "first calls" "$(head -n 3 <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 8 = 0
create demo 666"
    same "waits" "$(sed -n 's/ = .*//; /^io_getevents/p' <<<"$trace" |
        sort -u)" "io_getevents 1 64 -"
}

@test "odirect opens with O_DIRECT, and no page goes to the page cache" {
    # No tail, for ftruncate may cut that off in the cache.
    LOG=1 begin odirect demo 983040
    AIO_FAULT='open:direct@1=EINVAL' LOG=1 begin odirect demo 983040
    next
    assert_status 0
    same "opens with O_DIRECT" "$(calls open:direct)" 1
    if [[ $direct && ($fs == ext4 || $fs == xfs || $source == *statx) ]]; then
        same "opens" "$(calls open)" 1
        same "pages in the cache" "$(cached "$at/demo")" 0
    fi

    next
    assert_status 0
    compare "$(cached "$at/demo")" '>' 0
}

@test "when io_submit returns, odirect's eight writes are still under way" {
    local tries

    case $fs$ahead in
    ext4yes | xfsyes) ;;
    *) program -0 odirect demo
        assert_line 'io_submit returned: [0-8] of 8 requests still under way'
        return 0 ;;
    esac
    # What a loop device writes goes to the page cache, and may be done.
    [[ $direct && $(disk) != loop* ]] && ! memory_disk || return 0
    for tries in {1..30}; do
        program -0 odirect demo
        [[ $output != *'returned: 8 of 8 requests still under way'* ]] ||
            return 0
    done
    assert_line 'io_submit returned: 8 of 8 requests still under way'
}

@test "on a throttled disk that is certain, and none is through the page cache" {
    [[ $fs == ext4 && $direct && $ahead ]] || return 0
    throttled 20 odirect demo || return 0   # two may go at once
    same status "$status" 0
    assert_line 'io_submit returned: [678] of 8 requests still under way'
    AIO_FAULT='open:direct@1=EINVAL' throttled 20 odirect demo
    same status "$status" 0
    assert_line 'io_submit returned: 0 of 8 requests still under way'
}

@test "without space ahead ext4 has odirect's writes done inside io_submit" {
    [[ $fs == ext4 && $direct ]] || return 0
    AIO_FAULT='fallocate@1=EOPNOTSUPP' program -0 odirect demo
    assert_line 'space ahead: not on this filesystem'
    # The last one is seen to be done before the look, as are those before.
    assert_line 'io_submit returned: 0 of 8 requests still under way'
    odirect_wrote demo 1000000
}

@test "odirect does not look at a ring of another kind" {
    local word

    for word in 4=1 6=1; do # the magic number, incompat_features
        AIO_WATCH_RING=$word under fault.so odirect demo
        same status "$status" 0
        same "under way" "$(grep 'under way' <<<"$output")" ''
    done
}

@test "odirect goes on through the page cache where O_DIRECT is refused" {
    local size

    direct='' offset=1
    for size in 0 1 65535 65537 1000000; do
        AIO_FAULT='open:direct@1=EINVAL' EXPECT=$size begin odirect demo "$size"
    done
    while next; do
        odirect_did "$expect"
    done
}

@test "odirect goes on through the page cache where statx says 0" {
    direct='' offset=1
    AIO_DIOALIGN='0 0' under fault.so odirect demo 70001
    odirect_did 70001
}

@test "odirect goes on through the page cache for a journaled file of ext4" {
    : >demo
    [[ $fs == ext4 ]] && chattr +j demo 2>/dev/null &&
        [[ $("$BATS_FILE_TMPDIR/probe-4" dioalign demo) == '0 0' ]] || return 0
    direct='' offset=1
    program -0 odirect demo 70001
    odirect_did 70001
}

@test "on ramfs odirect says that there is no O_DIRECT, and no space ahead" {
    mounted ramfs mode=777 "$root/$chapter/odirect" demo 70000 || return 0
    same stdout "$(said)" "\
O_DIRECT: not here, going on through the page cache
space ahead: not on this filesystem
tail: 4464 bytes, written as 4464
io_submit returned: N of N requests still under way
requests: 2, in flight at most: N
io_submit calls: N
io_getevents calls: N"
}

@test "the alignment is what statx says, and 4096 where it says nothing" {
    local said least=$bs

    [[ $direct ]] || return 0
    memory=4096 offset=4096 source=$guess
    if ((least > 4096)); then   # nobody knows that this disk wants more
        AIO_FAULT='statx@*=ENOSYS' program -1 odirect demo 100
        assert_error 'odirect: IOCB_CMD_PWRITE demo: Invalid argument'
    else
        AIO_FAULT='statx@*=ENOSYS' program -0 odirect demo 100
        odirect_did 100
    fi
    AIO_FAULT='statx@*=ENOSYS' program misaligned demo
    assert_line "alignment: memory 4096, offset and length 4096 ($guess)"

    source='says statx'
    for said in '4 4096' '4096 8192' '65536 65536'; do
        read -r memory offset <<<"$said"
        ((offset >= least)) || continue
        AIO_DIOALIGN=$said under fault.so odirect demo 65537
        odirect_did 65537
    done
}

@test "where statx says 0 no experiment claims to go past the page cache" {
    local it

    for it in would-it-wait beside-the-cache; do
        AIO_DIOALIGN='0 0' program -0 "$it" demo
        assert_output 'O_DIRECT: not with this file'
    done
}

@test "an alignment that 64 KiB is no multiple of is too much for odirect" {
    local said

    for said in '131072 512' '512 131072' '512 3072'; do
        AIO_DIOALIGN=$said under fault.so odirect demo
        same status "$status" 1
        assert_error 'odirect: demo: 65536 is no multiple of the alignment'
    done
}

@test "odirect loses nothing when io_submit and io_getevents do less" {
    local fault

    for fault in io_submit@*=short={1,2,3,4,5,6,7} io_submit@{1,2}=EINTR \
        io_submit@1=short={1,3}' io_submit@2=EAGAIN' \
        'io_submit@1=short=7 io_submit@2=EINTR io_submit@3=EAGAIN' \
        io_getevents@*=short={1,3} io_getevents@{1,2}=EINTR \
        fallocate@{1,2}=EINTR; do
        AIO_FAULT=$fault begin odirect demo 700000
    done
    while next; do
        odirect_did 700000
    done
}

@test "after a short write odirect goes on at a place that is aligned" {
    local res

    # It is reported, and not so: what was written is written again.
    for res in "$offset" "$((offset + 1))" "$((2 * offset - 1))" 32768 65535; do
        AIO_FAULT="io_getevents@1=res=$res" begin odirect demo 700000
        AIO_FAULT="io_getevents@2=res=$res" begin odirect demo 700000
    done
    while next; do
        odirect_did 700000
    done
}

@test "odirect names an event's error; a write of nothing is one as well" {
    each_fails "$eio" 'odirect demo' \
        io_getevents@1=res=0':IOCB_CMD_PWRITE demo' \
        io_getevents@2=res=-EIO':IOCB_CMD_PWRITE demo'
    # So is less than the alignment (through the page cache that is 1).
    ((offset == 1)) || each_fails "$eio" 'odirect demo' \
        io_getevents@1=res=1':IOCB_CMD_PWRITE demo' \
        io_getevents@1=res=$((offset - 1))':IOCB_CMD_PWRITE demo'
    each_fails 'No space left on device' 'odirect demo' \
        'io_getevents@1=res=-ENOSPC:IOCB_CMD_PWRITE demo'
}

@test "at a file size limit odirect succeeds, over it says File too large" {
    limited 128 odirect demo 131072
    same "status at the limit" "$status" 0
    limited 128 odirect demo
    same "status over the limit" "$status" 1
    [[ $ahead ]] || fallocate='IOCB_CMD_PWRITE'
    assert_error "odirect: ${fallocate:-fallocate} demo: File too large"
    compare "$(stat -c %s demo)" '<=' 131072
}

@test "at a size limit that is not aligned odirect says File too large, too" {
    [[ $ahead ]] || return 0
    for limit in 99999 100001 65537; do
        run --separate-stderr prlimit --fsize="$limit" \
            "$root/$chapter/odirect" demo 200000
        same status "$status" 1
        assert_error 'odirect: fallocate demo: File too large'
    done
}

@test "a size limit with room for the file, and none for padding: odirect writes it" {
    [[ $ahead ]] || return 0
    ended 60 prlimit --fsize=200001 "$root/$chapter/odirect" demo 200001
    same status "$status" 0
    odirect_wrote demo 200001
    ((offset == 1)) ||
        assert_line 'no room for padding: going on through the page cache'
    ended 60 prlimit --fsize=200000 "$root/$chapter/odirect" demo 200001
    same status "$status" 1
    assert_error 'odirect: fallocate demo: File too large'
}

@test "on a full disk odirect and queue-depth say so" {
    mounted tmpfs size=256k "$root/$chapter/odirect" demo ||
        on_small_disk 256k "$root/$chapter/odirect" demo
    same status "$status" 1
    assert_error 'odirect: fallocate demo: No space left on device'

    mounted tmpfs size=1M "$root/$chapter/queue-depth" demo 4096 1 2 ||
        return 0
    same status "$status" 1
    assert_error 'queue-depth: pwrite demo: No space left on device'
}

@test "odirect leaves devices and pipes as they are" {
    mkfifo fifo
    program -1 odirect fifo
    assert_error 'odirect: open fifo: not a regular file'
    program -1 odirect /dev/null
    assert_error 'odirect: open /dev/null: not a regular file'
}

@test "odirect: a wrong FILE ends it in one line" {
    mkdir folder
    : >mine
    chmod 444 mine
    AIO_FAULT='open:direct@1=EACCES' program -1 odirect demo
    assert_error 'odirect: open demo: Permission denied'
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
    local block=$((offset < 512 ? 512 : offset)) relaxed=''
    local name='this filesystem'
    local what length why refused='res -22, res2 0: refused: Invalid argument'
    local writes

    writes=$(answer writes_off)
    [[ $writes != 48* ]] || relaxed=yes
    if [[ $direct ]]; then
        echo 'O_DIRECT: yes'
        echo "alignment: memory $memory, offset and length $offset ($source)"
    else
        echo 'O_DIRECT: not here, going on through the page cache'
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
    same "first calls" "$(head -n 3 <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 1 = 0
create demo 666"
    same "waits" "$(sed -n 's/ = .*//; /^io_getevents/p' <<<"$trace" |
        sort -u)" "io_getevents 1 1 -"
    assert_output "$(misaligned_says)"

    accepted_only
}

@test "of 1 KiB writes out of malloc memory 6.18 takes three in four" {
    # (Before 6.1 nobody says what the disk's blocks are.)
    [[ $source != 'says statx' ]] ||
        same aligned "$(answer writes_aligned)" "$(
            [[ $strict ]] && ((1024 % offset != 0)) &&
                echo '0 accepted, 64 refused' ||
                echo '64 accepted, 0 refused')"
    if [[ ! $strict ]] || ((16 % memory == 0 && 1024 % offset == 0)); then
        same "16 bytes off" "$(answer writes_off)" '64 accepted, 0 refused'
    elif [[ $(answer writes_off) != '48 accepted, 16 refused' ]]; then
        # Another Linux, or a disk that has each request looked at
        same "16 bytes off" "$(answer writes_off)" '0 accepted, 64 refused'
    fi
}

@test "without O_DIRECT nothing is misaligned" {
    local says

    says=$(direct='' offset=1; misaligned_says)
    AIO_FAULT='open:direct@1=EINVAL' program -0 misaligned demo
    assert_output "$says"
    AIO_DIOALIGN='0 0' under fault.so misaligned demo
    same status "$status" 0
    assert_output "$says"
    same size "$(stat -c %s demo)" "$((5 * 65536 + 1024 * 1024))"
}

@test "16 bytes off are none where statx says that memory may be at 4" {
    local block=$((offset < 512 ? 512 : offset))

    [[ $strict ]] || return 0   # there, all is accepted
    AIO_DIOALIGN="4 $offset" under fault.so misaligned demo
    same status "$status" 0
    assert_line "alignment: memory 4, offset and length $offset (says statx)"
    if [[ $output == *'within a page: res '"$block"* ]]; then
        assert_line "address off, within a page: res $block, res2 0: accepted\
 (16 is a multiple of 4)"
    fi
}

@test "a block that fills a page cannot be off and within one" {
    local block=$((offset < 4096 ? 4096 : offset))

    [[ $strict ]] || return 0
    AIO_DIOALIGN="4096 $block" under fault.so misaligned demo
    assert_line "nothing off: res $block, res2 0: accepted"
    assert_line 'address off, across pages: *'
    assert_line 'length off: res -22, res2 0: refused: Invalid argument'
    [[ $output != *within* ]] || (($(getconf PAGE_SIZE) > block))
}

@test "misaligned and odirect end where statx says 0 and O_DIRECT stays" {
    local it

    for it in misaligned odirect; do
        AIO_FAULT='fcntl@1=EIO' AIO_DIOALIGN='0 0' under fault.so "$it" demo
        assert_error "$it: fcntl demo: $eio"
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
}

# ---- is-it-async ----

kinds=('buffered write' 'buffered read' 'buffered read, not cached'
    'O_DIRECT read' 'O_DIRECT overwrite' 'O_DIRECT write at the end'
    'O_DIRECT write into a hole' 'O_DIRECT write, preallocated' 'FDSYNC')

# parse: sets states[KIND] to "done", "slept", "under way", "quick" or "none"
# from what is-it-async printed. That must be nothing else, with the picture
# that belongs to it.
parse() {
    local kind rows='' text begin

    begin=${fs_type:+filesystem: $fs_type$'\n'}
    if [[ $direct ]]; then
        begin+=$'O_DIRECT: yes\n'
        begin+="alignment: memory $memory, offset and length $offset ($source)"
    else
        begin+='O_DIRECT: not here, going on through the page cache'
    fi
    declare -gA states=()
    for kind in "${kinds[@]}"; do
        case $output in
        *"$kind: still under way "*)
            states[$kind]='under way'
            text='still under way [io_submit]~~~~~~~~~' ;;
        *"$kind: done, the call slept "*)
            states[$kind]=slept
            text='done, the call slept [io_submit zzzzzzzz]' ;;
        *"$kind: done, too quick to tell "*)
            states[$kind]=quick
            text='done, too quick to tell [io_submit ????????]' ;;
        *"$kind: not on this filesystem"*)
            states[$kind]=none
            rows+="$kind: not on this filesystem"$'\n'
            continue ;;
        *)
            states[$kind]='done'
            text='done [io_submit ========]' ;;
        esac
        printf -v text '%-52s%s' "$kind: ${text%% \[*}" "[${text#*\[}"
        rows+=$text$'\n'
    done
    assert_output "\
$begin
when io_submit returns, the request is
$rows= the call does it, z the call sleeps until it is done,
~ it goes on without us, ? nobody can tell"
}

# is STATES KIND...: on the filesystem we are on, all of these are one of so.
is() {
    local kind

    output=$(answer is-it-async)
    parse
    for kind in "${@:2}"; do
        [[ " $1 " == *" ${states[$kind]} "* ]] ||
            same "$kind on $fs" "${states[$kind]}" "$1"
    done
}

# asynchronous KIND...: each of them is seen under way, but for a disk that is
# memory, or where there is no O_DIRECT. A machine that has much else to do may
# let nobody look before the disk is done, and that for a while: look again.
asynchronous() {
    local kind unseen tries

    [[ $direct ]] && ! memory_disk || return 0
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

@test "a buffered write or read is done by io_submit itself, always" {
    is 'done' 'buffered write' 'buffered read'
    is 'done slept' 'buffered read, not cached'
}

@test "on a throttled disk is-it-async is certain: who waits has slept" {
    local slept=$'buffered read, not cached\nO_DIRECT write at the end'
    local under_way=$'O_DIRECT read\nO_DIRECT overwrite'
    local new=$'O_DIRECT write into a hole'

    [[ $fs == ext4 && $direct ]] && ! memory_disk || return 0
    if [[ $ahead ]]; then
        under_way+=$'\n'$new$'\nO_DIRECT write, preallocated'
    else
        slept+=$'\n'$new
    fi
    throttled 200 is-it-async demo || return 0
    same status "$status" 0
    parse
    same 'what slept' "$(sed -n 's/: done, the call slept .*//p' \
        <<<"$output")" "$slept"
    same 'what is under way' "$(sed -n 's/: still under way .*//p' \
        <<<"$output")" "$under_way"$'\nFDSYNC'
}

@test "is-it-async calls the filesystem by the type that mount has for it" {
    local type

    program -0 is-it-async demo
    same type "$(grep filesystem: <<<"$output")" \
        "${fs_type:+filesystem: $fs_type}"
    for type in tmpfs ramfs; do
        mounted "$type" mode=777 "$root/$chapter/is-it-async" demo || return 0
        assert_line "filesystem: $type"
    done
    AIO_FAULT='fopen@1=ENOENT' program -0 is-it-async demo
    same 'without /proc' "$(grep filesystem: <<<"$output")" ''
    AIO_FAULT='fopen@2=ENOENT' program -0 is-it-async demo
    same 'without /proc' "$(grep filesystem: <<<"$output")" ''
}

# As on 9p (seen on Linux 6.12): the reads that follow need all blocks.
@test "is-it-async writes all blocks even if the first is seen under way" {
    AIO_LATE=newest traced is-it-async demo
    assert_line 'buffered write: still under way *'
    same 'blocks written' "$(grep -o 'pwrite demo 65536@.*' <<<"$trace" |
        awk -F@ '$2 < 50 * 65536' | sort -u | wc -l)" 50
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
    ext4 | tmpfs) is 'done slept' 'O_DIRECT write at the end' ;;
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

    case $fs$ahead in
    ext4yes | xfsyes) asynchronous "${these[@]}" ;;
    ext4) # it writes nothing beyond what is allocated and written
        is none "${these[0]}"
        is 'done slept' "${these[1]}"
        ;;
    tmpfs*) is 'done' "${these[@]}" ;;
    *) is 'done' 'buffered write' ;;
    esac
}

@test "a part of a new block is waited for on ext4 and xfs, not on btrfs +C" {
    case $fs$ahead in
    ext4yes | xfsyes)
        # (On a disk with blocks of 4096 bytes it is misaligned.)
        [[ $(answer part_of_block) == 'res -22' ]] && ((offset > 512)) ||
            same "512 bytes" "$(answer part_of_block)" 'all done'
        # On ext4 so is a whole block from an address of less alignment.
        if [[ $fs == ext4 ]] && ((memory <= 512)); then
            same "address" "$(answer address_512)" 'all done'
        fi
        # (A block is of 4096 bytes as a rule, but not always.)
        [[ ! $direct ]] || memory_disk ||
            same "a block's" "$(answer address_block)" 'some under way'
        ;;
    btrfs*)
        # Under way is what has no checksums.
        same "chattr +C" "$(answer without_checksums)" 'some under way' ;;
    *) [[ $(answer part_of_block) == *[a-z]* ]] ;;
    esac
}

@test "preallocated blocks are unwritten, and converted by the first write" {
    case $fs$ahead in
    ext4yes | xfsyes | btrfsyes) same blocks "$(answer preallocated)" \
        $'a hole\nunwritten\nwritten' ;;
    ext4) # where they can't be, the C library writes into each
        same blocks "$(answer preallocated)" $'a hole\nwritten\nwritten' ;;
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
    local guess="alignment: memory 4096, offset and length 4096 ($guess)"

    on_tmpfs is-it-async demo
    same status "$status" 0
    assert_line 'filesystem: *tmpfs' # or devtmpfs
    same "requests under way" \
        "$(grep 'still under way' <<<"$output" | grep -v FDSYNC)" ""
    on_tmpfs misaligned demo
    same status "$status" 0
    [[ $output == *'O_DIRECT: not here'* ]] || assert_line "$guess"
    same "refused on tmpfs" "$(grep refused <<<"$output")" ""
    same "accepted on tmpfs" "$(grep -c 'takes anything' <<<"$output")" \
        "$(grep -cE '^(length|offset|address) off' <<<"$output")"
    on_tmpfs odirect demo
    same status "$status" 0
    assert_line 'io_submit returned: 0 of 8 requests still under way'
    if [[ $output == *'O_DIRECT: yes'* ]]; then
        assert_line "$guess"
    else
        assert_line 'O_DIRECT: not here, going on through the page cache'
    fi
}

@test "what is done on return was so 50 times, each with a block of its own" {
    local tried=400 bytes=13107200 submits

    direct=''
    AIO_FAULT='open:direct@1=EINVAL' LOG=1 begin is-it-async demo
    next
    assert_status 0
    assert_stderr ""
    parse
    [[ ${states[O_DIRECT write, preallocated]} != none ]] ||
        tried=350 bytes=9830400
    submits=$(calls io_submit)
    compare "$submits" '>' "$tried"             # and FDSYNC once
    compare "$submits" '<=' "$((tried + 50))"   # or 50 times
    same io_getevents "$(calls io_getevents)" "$submits"

    # Written: at the beginning, at the end, into the hole, what was allocated.
    same "size of the file" "$(stat -c %s "$at/demo")" "$bytes"
    same "bytes written" "$(tr -dc x <"$at/demo" | wc -c)" "$bytes"

    umask 027
    traced is-it-async new
    same "first calls" "$(head -n 3 <<<"$trace")" "\
signal SIGXFSZ ignored
io_setup 1 = 0
create new 666"
    [[ $trace != *data=* ]]
    same mode "$(stat -c %a new)" 640
}

@test "is-it-async retries after EINTR, and does without fallocate" {
    AIO_FAULT='io_submit@1=EINTR io_getevents@1=EINTR' EXPECT='*' \
        begin is-it-async demo
    AIO_FAULT='fallocate@1=EOPNOTSUPP' EXPECT='not on this filesystem' \
        begin is-it-async demo
    while next; do
        assert_status 0
        assert_line "O_DIRECT write, preallocated: $expect"
    done
}

@test "is-it-async names what fails, and a ring that it doesn't know" {
    local word

    each_fails "$eio" 'is-it-async demo' \
        'open@2=EIO:open demo' 'io_getevents@1=res=-EIO:buffered write demo' \
        'io_getevents@51=res=65535:buffered read demo' \
        'io_getevents@52=res=0:buffered read demo' 'close@2=EIO:close demo'
    each_fails 'No space left on device' 'is-it-async demo' \
        'pwrite@1=short=4095 pwrite@2=ENOSPC:pwrite demo'
    AIO_FAULT='pwrite@1=short=4095' program -0 is-it-async demo
    limited 192 is-it-async demo
    same status "$status" 1
    assert_error 'is-it-async: buffered write demo: File too large'
    for word in 4=1 6=1; do     # the magic number, incompat_features
        AIO_WATCH_RING=$word under fault.so is-it-async demo
        same status "$status" 1
        assert_error "is-it-async: the ring of events: Protocol error"
    done
}

# ---- queue-depth ----

# table: checks the table that queue-depth printed: a row for pread and for
# each depth, the gain over pread, and the calls that half a window at a time
# takes: two for each half, and two more when the time is up.
table() {
    sed '1,/^depth /d' <<<"$output" | awk '
    function wrong(what) { print what ": " $0; bad = 1 }
    NF != 5 { wrong("not five columns") }
    $1 != (NR == 1 ? "pread" : 2 ^ (NR - 2)) { wrong("not that depth") }
    $2 !~ /^[1-9][0-9]*$/ { wrong("no plain number") }
    $5 !~ /^[0-9]+[.][0-9]$/ { wrong("no CPU time") }
    NR == 1 { pread = $2 }
    {
        difference = $3 * pread - $2
        rounding = .0051 * pread + .51 * $3 + 1
        if (difference > rounding || difference < -rounding)
            wrong("not the gain over pread")
    }
    NR == 1 && $4 != 1 || NR == 2 && $4 != 2 { wrong("not that many calls") }
    NR > 2 && ($4 > 4 / $1 + .001 || $4 < 2 / $1 - .001) { wrong("calls") }
    END {
        if (NR != 8)
            wrong("not eight rows")
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

@test "queue-depth reads by pread and at depth 1 to 64, and makes a table" {
    local before

    make_file demo 1000000
    chmod 444 demo
    before=$(stat -c '%i %s %a %y %z' demo; cksum demo)
    traced queue-depth demo "$bs" 4
    table
    same "the first lines" "$(sed '/^depth/q' <<<"$output")" "\
$(if [[ $direct ]]; then
    echo 'O_DIRECT: yes'
    echo "alignment: memory $memory, offset and length $offset ($source)"
else
    echo 'O_DIRECT: not here, going on through the page cache'
fi)
file demo: 1000000 bytes, as it was
depth     IOPS   gain  calls  CPU us (a request)"
    same "the file" "$(stat -c '%i %s %a %y %z' demo; cksum demo)" "$before"
}

@test "queue-depth reads a file that it may not write" {
    make_file demo 100000
    chmod 444 demo
    run -0 --separate-stderr without_override "$root/$chapter/queue-depth" \
        demo "$bs" 1
    assert_line 'file demo: 100000 bytes, as it was'
}

@test "queue-depth takes half of the window at a call, even if all is done" {
    # On holes everything is done when io_submit returns.
    truncate -s 1M demo
    traced queue-depth demo "$bs" 1
    same 'of 64' "$(sed -n 's/^\(io_getevents .*\) = .*/\1/p' <<<"$trace" |
        grep -m 1 ' 32 ')" 'io_getevents 32 32 -'
}

@test "queue-depth makes a missing FILE, really written, and removes it" {
    LOG=1 begin queue-depth demo "$bs" 1 3
    next
    assert_status 0
    assert_stderr ""
    assert_line 'file demo: 3145728 bytes, made for this, and removed'
    table
    same "$at" "$(echo "$at"/*)" "$at/log $at/stderr $at/stdout"
    same pwrite "$(calls pwrite)" 3
    same fsync "$(calls fsync)" 1
}

@test "queue-depth leaves no FILE, however it is ended" {
    local signal pid tries

    for signal in TERM KILL; do
        "$root/$chapter/queue-depth" demo "$bs" 2000 1 >/dev/null 3>&- &
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

@test "a FILE that queue-depth cannot make is named in a line, and gone" {
    each_fails "$eio" "queue-depth demo $bs 1 2" \
        'open@1=EIO:open demo' 'unlink@1=EIO:unlink demo' \
        posix_memalign@1=EIO \
        'pwrite@1=EIO:pwrite demo' 'pwrite@2=EIO:pwrite demo' \
        'fsync@1=EIO:fsync demo' posix_memalign@2=EIO
    each_fails 'No space left on device' "queue-depth demo $bs 1 2" \
        "pwrite@2=short=$bs pwrite@3=ENOSPC:pwrite demo"
    same "made and left" "$(echo run.[!1]/demo)" 'run.[!1]/demo'
    limited 1024 queue-depth demo "$bs" 1 2
    same status "$status" 1
    assert_error 'queue-depth: pwrite demo: File too large'
}

@test "a FILE that is a link to nothing is not made by queue-depth" {
    ln -s nothing link
    program -1 queue-depth link "$bs" 1 1
    assert_error 'queue-depth: open link: is a symbolic link to nothing'
    [[ ! -e nothing ]]
}

@test "queue-depth makes 256 MiB by default, and each row takes 400 ms" {
    local started

    # shellcheck disable=SC2016 # for the inner shell
    AIO_FAULT='pwrite@256=EIO' program queue-depth demo
    [[ $stderr == "queue-depth: pwrite demo: $eio" ||
        $stderr == *'pwrite demo: No space left on device' ]] ||
        same stderr "$stderr" "queue-depth: pwrite demo: $eio"
    make_file demo 100000
    started=$(date +%s%N)
    AIO_FAULT='io_submit@1=EIO' LOG=1 begin queue-depth ../demo
    next
    compare "$(($(date +%s%N) - started))" '>=' 390000000
    assert_error "queue-depth: io_submit: $eio"
}

@test "queue-depth reads whole blocks only" {
    local size=$((3 * bs - 1))

    make_file demo "$size"
    program -0 queue-depth demo "$bs" 2
    table
    program -0 queue-depth demo $((2 * bs)) 2
    table
    program -1 queue-depth demo $((4 * bs))
    assert_error "queue-depth: demo: its $size bytes are less than a block"
    program -1 queue-depth demo 4194304
    make_file demo 4095
    program -1 queue-depth demo "$bs"
    assert_error 'queue-depth: demo: its 4095 bytes are less than a block'
    make_file demo "$bs"
    program -0 queue-depth demo "$bs" 1
    table
}

@test "queue-depth tells of holes, which no disk is read for" {
    truncate -s 1M holes
    program -0 queue-depth holes "$bs" 1
    assert_line 'file holes: 1048576 bytes, with holes, or compressed: *'
}

@test "queue-depth's block size must be one that O_DIRECT takes" {
    local said

    make_file demo 100000
    AIO_FAULT='fcntl@1=EINVAL' program -0 queue-depth demo 1000 1
    assert_line 'O_DIRECT: not here, going on through the page cache'
    table
    for said in '512 4096 4096' '4096 512 4096' '8 512 512'; do
        AIO_DIOALIGN=${said% *} under fault.so queue-depth demo 1000
        same status "$status" 1
        [[ $stderr == "queue-depth: BLOCK_SIZE 1000: demo wants a multiple of \
${said##* }" ]]
    done
    AIO_DIOALIGN='8 12288' under fault.so queue-depth demo 24576 1
    same status "$status" 1
    assert_error 'queue-depth: demo: 4194304 is no multiple of the alignment'
    AIO_DIOALIGN='0 0' under fault.so queue-depth demo 1000 1
    same status "$status" 0
    assert_line 'O_DIRECT: not here, going on through the page cache'
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
    traced queue-depth holes "$bs" 4
    places 'whole windows'
    # It waits for half of the window.
    same 'of 2' "$(grep -A 1 -m 1 '^io_submit 2 = 2' <<<"$trace" |
        sed -n 's/^\(io_getevents .*\) = .*/\1/p')" 'io_getevents 1 1 -'
    # More than a window of each depth: what is done is asked for again.
    compare "$(grep -c '^io_submit' <<<"$trace")" '>' 7
    trace=$(grep -m 1 '^io_submit 64 ' <<<"$trace" | grep -o '@[0-9]*')
    compare "$(sort -u <<<"$trace" | wc -l)" '>=' 60    # some may meet
    [[ $(sort -n -k 1.2 <<<"$trace") != "$trace" ]]

    # Past the page cache, if it said so.
    [[ ! $strict || $output != *'O_DIRECT: yes'* ]] ||
        same 'pages in the cache' "$(cached holes)" 0
}

@test "where io_submit takes one at a time queue-depth goes on with the next" {
    truncate -s 4G holes
    ended 60 "LD_PRELOAD=$root/tests/helpers/fault.so" AIO_TRACE=trace \
        'AIO_FAULT=io_submit@*=short=1' \
        "$root/$chapter/queue-depth" holes "$bs" 1
    same status "$status" 0
    trace=$(<trace)
    places 'one by one'
}

@test "queue-depth goes on after partial submits and interruptions" {
    local fault

    make_file demo 100000
    for fault in io_submit@*=short=1 io_submit@{1,2}=EINTR \
        io_getevents@{1,2}=EINTR io_getevents@*=short=1; do
        AIO_FAULT=$fault begin queue-depth ../demo "$bs" 1
    done
    # Depth 1 is over after two requests. Depth 2 is told that the context is
    # full, with one of its two in flight.
    AIO_FAULT='io_submit@3=short=1 io_submit@4=EAGAIN' \
        AIO_WATCH_AT='1 sleep 0.01' under fault.so queue-depth demo "$bs" 1
    same status "$status" 0
    while next; do
        assert_status 0
        assert_stderr ""
        same "rows" "$(grep -cE '^(pread|[0-9]+) ' <<<"$output")" 8
    done
}

@test "queue-depth takes a short read for the failure that it is" {
    make_file demo 100000
    each_fails "$eio" "queue-depth ../demo $bs 1" \
        'pread@1=short=0:pread ../demo' \
        'io_getevents@1=res=-EIO:IOCB_CMD_PREAD ../demo' \
        'io_getevents@2=res=4095:IOCB_CMD_PREAD ../demo' \
        'io_getevents@1=res=0:IOCB_CMD_PREAD ../demo'
    each_fails 'Resource temporarily unavailable' \
        "queue-depth ../demo $bs 1" io_setup@1=EAGAIN io_submit@1=EAGAIN
}

@test "queue-depth names a FILE that it cannot read" {
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

@test "queue-depth waits for a FILE that somebody has a lease on" {
    local holder

    make_file demo 100000
    "$BATS_FILE_TMPDIR/probe-4" lease demo >leased 3>&- &
    holder=$!
    until [[ -s leased ]]; do
        kill -0 "$holder" || skip "no lease is given here: $(<leased)"
        sleep 0.02
    done
    program -0 queue-depth demo "$bs" 1
    table
    wait "$holder"
}

@test "queue-depth measures a disk, names it, and leaves it as it was" {
    truncate -s 1M image
    cp image copy
    # shellcheck disable=SC2016 # for the inner shell
    output=$(on_disk "$PWD/image" bash -c '"$1/queue-depth" "$2" 4096 2' \
        bash "$root/$chapter") || return 0
    assert_line 'disk /dev/*: 1048576 bytes, as it was'
    table
    cmp image copy
}

# ---- would-it-wait ----

# waits FILE: what would-it-wait says, as "KIND|yes", "|no" or "|?".
waits() {
    sed -E 's/  +/|/; s/\|does not wait.*/|no/; s/\|would wait.*/|yes/
        s/\|cannot be asked: .*/|?/' <<<"$output"
}

@test "RWF_NOWAIT tells which requests would wait inside io_submit" {
    local write=no buffered='[?]'

    program -0 would-it-wait demo
    assert_stderr ""
    case $fs in
    ext4) [[ $direct ]] || return 0 ;;
    xfs) write=yes buffered='*' ;;  # each write wants a new time stamp
    *)  # What is cached can be read without a wait, if one can be asked.
        [[ ! $direct ]] || assert_line 'buffered read  *'
        return 0 ;;
    esac
    output=$(waits)
    # Another's sync() cleans pages that we have dirtied; and since 6.12 the
    # asking has a disk start, which may be quick: once more, then.
    for _ in {1..20}; do
        [[ $output == *@(beside dirty pages|not cached)'|no'* ]] || break
        program -0 would-it-wait demo
        output=$(waits)
    done
    assert_line "buffered write|$buffered"
    assert_line 'buffered read|no'
    assert_line 'buffered read, not cached|yes'
    assert_line 'O_DIRECT read|no'
    assert_line 'O_DIRECT read beside dirty pages|yes'
    same lines "${#lines[@]}" 10
    since 6.6 || return 0       # before, some writes waited all the same
    assert_line "O_DIRECT overwrite|$write"
    assert_line 'O_DIRECT overwrite beside dirty pages|yes'
    [[ $ahead ]] || write='not on this filesystem'
    assert_line "O_DIRECT write, preallocated|$write"
    assert_line 'O_DIRECT write into a hole|yes'
    assert_line 'O_DIRECT write at the end|yes'
}

@test "would-it-wait says so where O_DIRECT or the flag is not taken" {
    AIO_FAULT='open:direct@1=EINVAL' program -0 would-it-wait demo
    assert_output 'O_DIRECT: not with this file'
    AIO_FAULT='io_submit@1=EOPNOTSUPP' program would-it-wait demo
    [[ ! $direct ]] || assert_line \
        'buffered write  *cannot be asked: *upported'
    AIO_FAULT='io_submit@1=EINVAL' program would-it-wait demo
    [[ ! $direct ]] ||
        assert_line 'buffered write  *cannot be asked: Invalid argument'
}

@test "would-it-wait counts what came without a wait, and names errors" {
    [[ $direct && $fs == @(ext4|xfs) ]] || return 0
    AIO_FAULT='io_getevents@3=res=4096' program would-it-wait demo
    assert_line '*does not wait for the first 4096 of 65536 bytes'
    each_fails "$eio" 'would-it-wait demo' \
        'io_getevents@1=res=-EIO:RWF_NOWAIT demo' \
        'io_getevents@1=res=0:RWF_NOWAIT demo' io_submit@1=EIO
    each_fails 'Invalid argument' 'would-it-wait demo' \
        'io_getevents@1=res=-EAGAIN io_submit@2=EINVAL:io_submit'
    AIO_FAULT='io_getevents@1=res=-EAGAIN io_getevents@2=res=-ENOSPC' \
        program -1 would-it-wait demo
    assert_error 'would-it-wait: without RWF_NOWAIT demo: No space left*'
}

# ---- beside-the-cache ----

@test "one after the other O_DIRECT, the page cache and mmap see the same" {
    program -0 beside-the-cache demo
    assert_stderr ""
    [[ $direct ]] || return 0
    same "in turn" "$(head -n 4 <<<"$output")" "\
buffered write of a, O_DIRECT read: a
store of b by mmap, O_DIRECT read: b
O_DIRECT write of c, load by mmap: c
O_DIRECT write of d, buffered read: d"
    same size "$(stat -c %s demo)" 16777216
}

@test "a store by mmap undoes an O_DIRECT write beside it, and fsync says EIO" {
    local tries

    [[ $direct && $fs == @(ext4|xfs) ]] && (($(nproc) > 1)) || return 0
    for tries in {1..5}; do
        program -0 beside-the-cache demo
        [[ $output == *'nothing lost'* ]] || break
    done
    same "at the same time" "$(tail -n +5 <<<"$output")" "\
O_DIRECT write of n, and a store of s meanwhile: res 16777216
the file afterwards: nnnn... and in the last page sooo...
fsync: $eio"
    same "in the file" "$(tail -c 4096 demo | head -c 4)" sooo
    same "in the file" "$(head -c 4 demo)" nnnn
}

@test "a child of beside-the-cache that is killed is told, not taken for done" {
    [[ $direct ]] || return 0
    AIO_FAULT='usleep@1=kill=9' program -1 beside-the-cache demo
    assert_error 'beside-the-cache: child: Killed'
    # Also if SIGCHLD is ignored.
    AIO_FAULT='usleep@1=kill=9' run -1 --separate-stderr \
        env --ignore-signal=CHLD LD_PRELOAD="$root/tests/helpers/fault.so" \
        "$root/$chapter/beside-the-cache" demo
    assert_error 'beside-the-cache: child: Killed'
}

@test "beside-the-cache says so where there is no O_DIRECT, or nothing lost" {
    AIO_FAULT='open:direct@1=EINVAL' program -0 beside-the-cache demo
    assert_output 'O_DIRECT: not with this file'
    on_tmpfs beside-the-cache demo
    same status "$status" 0
    [[ $output == 'O_DIRECT: not with'* ]] ||
        assert_line 'both at the same time: nothing lost in 20 tries'
}

# ---- torn-write ----

@test "RWF_ATOMIC is refused where nothing is promised, by whoever can't" {
    program -0 torn-write demo
    assert_stderr ""
    [[ $direct ]] || return 0
    if [[ $output == 'promised never to be torn: nothing'* ]]; then
        same "kinds that are done" "$(grep -c ': done$' <<<"$output")" 0
        same refused "$(grep -c ': refused' <<<"$output")" 6
    else
        assert_line '*, as it should be: done'
    fi
    assert_line '*, a read: refused by io_submit: *'
}

@test "on xfs an atomic write has a length of 2^N, and stands at a multiple" {
    local image=$BATS_TEST_TMPDIR/image

    # In software, where the disk can't, since Linux 6.16.
    [[ $EUID == 0 ]] && command -v mkfs.xfs || return 0
    truncate -s 300M "$image"
    mkfs.xfs -q "$image" 2>/dev/null || return 0
    mounted_image "$image" "$root/$chapter/torn-write" demo || return 0
    same status "$status" 0
    [[ $output != *'to be torn: nothing'* ]] || return 0
    assert_line 'promised never to be torn: 4096 to * bytes, buffers: 1'
    same requests "$(sed '1d; s/: Operation not s/: Not s/' <<<"$output")" "\
16384 bytes at 16384, as it should be: done
16384 bytes at 8192, not at a multiple of the length: refused: Invalid argument
24576 bytes at 0, not a power of two: refused: Invalid argument
16384 bytes at 16384, from two buffers: refused: Invalid argument
16384 bytes at 16384, a read: refused by io_submit: Not supported
16384 bytes at 16384, through the page cache: refused: Not supported"
}

@test "torn-write says so where there is no O_DIRECT, or no such statx" {
    AIO_FAULT='open:direct@1=EINVAL' program -0 torn-write demo
    assert_output 'O_DIRECT: not with this file'
    [[ $direct ]] || return 0
    AIO_FAULT='statx@*=ENOSYS' program -0 torn-write demo
    assert_line 'promised never to be torn: nothing'

    # Only EINVAL and EOPNOTSUPP are refusals.
    each_fails "$eio" 'torn-write demo' io_submit@1=EIO
    AIO_FAULT='io_submit@1=EINVAL' program -0 torn-write demo
    assert_line "16384 bytes at 16384, as it should be: refused by io_submit: \
Invalid argument"
    [[ $output == *': done'* ]] || return 0
    each_fails "$eio" 'torn-write demo' \
        'io_getevents@1=res=-EIO:request for demo' \
        'io_getevents@1=res=512:request for demo'
}

# ---- the buffer, the process, the disk ----

@test "a mapping of the same place is a good buffer for O_DIRECT" {
    [[ $direct ]] || return 0
    same "read, write" "$(answer mapped | cut -d ' ' -f 1,2)" '65536 65536'
}

@test "a read into memory that is read-only says EFAULT in its event" {
    same "read" "$(answer mapped | cut -d ' ' -f 3)" -14
}

@test "O_DIRECT overwrites arrive though their process has ended at once" {
    # By _exit() right after io_submit, and by SIGKILL.
    same "of 8 blocks" "$(answer end_at_once | cut -d ' ' -f 1,2)" '8 8'
}

@test "exec waits for O_DIRECT overwrites: the new program finds all of them" {
    same "of 8 blocks" "$(answer end_at_once | cut -d ' ' -f 3)" 8
}

@test "an overwrite from an address of 512 is not waited for, since Linux 6.5" {
    [[ $fs == ext4 && $direct ]] && since 6.6 && ((memory <= 512)) &&
        ! memory_disk || return 0
    same "overwrite" "$(answer overwrite_512)" 'some under way'
}

# on_disk IMAGE COMMAND...: runs COMMAND with a loop device of that image as
# its last argument; false if there is none to be had: it takes root.
on_disk() {
    local loop fd

    [[ $EUID == 0 ]] && loop=$(losetup --find --show "$1" 2>/dev/null) ||
        return 1
    # Detached while it is open, it goes when that ends, in any way.
    exec {fd}<"$loop"
    losetup --detach "$loop"
    "${@:2}" "$loop" || true
    exec {fd}<&-
}

# at_end DISK: what probe-4 says of it; then it becomes read-only, then empty.
at_end() {
    {
        sleep 0.3
        blockdev --setro "$1"
        echo
        sleep 0.3
        blockdev --setrw "$1"
        truncate -s 0 image
        losetup --set-capacity "$1"
        echo
    } | "$BATS_FILE_TMPDIR/probe-4" disk "$1"
}

@test "a block device ends where lseek says: 0 for a read, ENOSPC for a write" {
    truncate -s 4M image
    output=$(on_disk "$PWD/image" at_end) || return 0
    same "at the end" "$(head -n 6 <<<"$output")" "\
stat 0, lseek 4194304
read across the end: 4096
write across the end: 4096
read at the end: 0
write at the end: -28
FDSYNC: 0"
    assert_line 'a write is under way'
}

@test "io_submit has the page faults of memory that nobody has touched yet" {
    local pages=$((65536 / $(getconf PAGE_SIZE)))

    [[ $direct ]] && [[ $fs == @(ext4|xfs) ]] || return 0
    mapfile -t lines <<<"$(answer untouched)"
    compare "${lines[0]% pages}" '>=' "$pages"
    compare "${lines[1]% pages}" '<' "$pages"
}

@test "a page in the cache, though it is clean, is in an O_DIRECT write's way" {
    [[ $fs == @(ext4|xfs) && $direct ]] || return 0
    same "res with RWF_NOWAIT" "$(answer beside_clean)" -11
}

@test "a writer through the page cache makes others wait for the file's lock" {
    [[ $fs == ext4 && $direct ]] || return 0
    same "an overwrite beside it" "$(answer beside_writer)" waits
}

# full_queue N DISK: with a queue that has room for N requests.
full_queue() {
    echo none >"/sys/block/${2##*/}/queue/scheduler"
    echo "$1" >"/sys/block/${2##*/}/queue/nr_requests"
    "$BATS_FILE_TMPDIR/probe-4" full_queue "$2"
}

@test "io_submit sleeps where the disk's queue has no room for a request" {
    truncate -s 16M image
    same 'room for 4' "$(on_disk "$PWD/image" full_queue 4 || echo sleeps)" \
        sleeps
}

@test "RWF_NOWAIT tells of a disk that its queue is full" {
    truncate -s 16M image
    same 'room for 4' "$(NOWAIT=1 on_disk "$PWD/image" full_queue 4 ||
        echo EAGAIN)" EAGAIN
}

@test "RWF_NOWAIT of what is not cached has the disk start, since Linux 6.12" {
    since 6.12 && [[ $fs == @(ext4|xfs) ]] || return 0
    run -0 "$BATS_FILE_TMPDIR/probe-4" nowait_again demo
    assert_line '*, then it is there'
}

@test "a disk made read-only refuses writes; one that is gone reads as 0" {
    truncate -s 4M image
    output=$(on_disk "$PWD/image" at_end) || return 0
    same "read-only, gone" "$(tail -n 2 <<<"$output")" "\
read: 65536, write: -1
read: 0, write: -28"
}

# survivors [DSYNC=1]: FILE on a disk has a block that is overwritten, one
# that was allocated, and one behind the end. When the events have come, the
# disk is copied: what is there?
survivors() {
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 env "$@" unshare --mount bash -c '
        mkdir disk copied && truncate -s 24M image && mkfs.ext4 -q image &&
            mount -o loop image disk || exit 77
        head -c 65536 /dev/zero | tr "\0" o >disk/demo
        fallocate -o 65536 -l 65536 disk/demo && sync -f disk
        "$1" three_writes disk/demo && cp image copy
        mount -o loop copy copied || exit 77
        for at in 0 65536 131072; do
            tail -c +$((at + 1)) copied/demo | head -c 1 | tr "\0" 0
            echo " at $at"
        done' bash "$BATS_FILE_TMPDIR/probe-4"
    ((status != 77 && status != 1))
}

@test "an O_DIRECT write into new space is not durable, an overwrite is" {
    survivors A= || return 0
    assert_output "\
65536
65536
65536
n at 0
0 at 65536
 at 131072"
}

# overwritten CLONE MKFS...: a block of old data is overwritten on such a disk,
# whose file was cloned if there is a CLONE. What would be left?
overwritten() {
    truncate -s 300M image
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 unshare --mount bash -c '
        mkdir disk && "${@:2}" image >/dev/null && mount -o loop image disk ||
            exit 77
        head -c 65536 /dev/zero | tr "\0" o >disk/demo && sync disk/demo
        [[ ! $1 ]] || cp --reflink disk/demo "disk/$1"
        sync -f disk
        head -c 65536 /dev/zero | tr "\0" n >new
        dd if=new of=disk/demo bs=65536 oflag=direct conv=notrunc 2>/dev/null
        cp image copy && umount disk
        mount -o loop copy disk && head -c 1 disk/demo' bash "$@" 2>/dev/null
    ((status != 77 && status != 1 && status != 127))
}

@test "an O_DIRECT overwrite on btrfs, or of a clone on xfs, is not durable" {
    if command -v mkfs.xfs >/dev/null && overwritten '' mkfs.xfs -q; then
        assert_output n
    fi
    rm -rf image copy new disk
    if command -v mkfs.xfs >/dev/null && overwritten b mkfs.xfs -q; then
        assert_output o
    fi
    rm -rf image copy new disk
    if command -v mkfs.btrfs >/dev/null && overwritten '' mkfs.btrfs -q; then
        assert_output o
    fi
}

@test "with RWF_DSYNC an O_DIRECT write into new space is durable, too" {
    survivors DSYNC=1 || return 0
    assert_output "\
65536
65536
65536
n at 0
n at 65536
n at 131072"
}

@test "FDSYNC says an error once: tried again, it says 0, and data are lost" {
    # shellcheck disable=SC2016 # for the inner shell
    run --separate-stderr timeout 60 unshare --mount bash -c '
        mkdir small disk && mount -t tmpfs -o size=1M none small &&
            truncate -s 16M small/image && mkfs.ext4 -q \
            -E nodiscard,lazy_itable_init=1 -O ^has_journal small/image &&
            mount -o loop small/image disk || exit 77
        "$1" sync_errors disk/demo
        umount disk && mount -o loop small/image disk
        tail -c 4 disk/demo | tr "\0" 0' bash "$BATS_FILE_TMPDIR/probe-4"
    ((status != 77 && status != 1)) || return 0
    output=${lines[0]}
    assert_line '24 written, syncs: -* 0, opened before: -*, later: 0'
    same "the last bytes" "${lines[1]}" 0000
}

@test "xfs: after cp --reflink O_DIRECT writes of less than 4096 are cached" {
    truncate -s 300M image
    command -v mkfs.xfs >/dev/null && mkfs.xfs -q image 2>/dev/null || return 0
    # shellcheck disable=SC2016 # for the inner shell
    mounted_image image bash -c '
        head -c 65536 /dev/zero >demo && "$1" dioalign demo &&
            cp --reflink demo copy && "$1" dioalign demo
        for size in 4096 512; do
            sync demo && dd if=demo iflag=nocache count=0 2>/dev/null
            dd if=copy of=demo bs=$size seek=1 count=1 oflag=direct \
                conv=notrunc 2>/dev/null && "$1" cached demo
        done' bash "$BATS_FILE_TMPDIR/probe-4" || return 0
    [[ ${lines[0]} != *' 4096' ]] || return 0
    ! since 6.14 || same "offset_align" "${lines[1]##* }" 4096
    same "pages cached" "${lines[2]} ${lines[3]}" "0 1"
}

@test "ext4 without extents: a write into a hole is done by io_submit" {
    truncate -s 64M image
    mkfs.ext4 -q -O ^extents,^64bit image 2>/dev/null || return 0
    mounted_image image "$root/$chapter/is-it-async" demo || return 0
    assert_line 'O_DIRECT write into a hole: done*'
    assert_line 'O_DIRECT write, preallocated: not on this filesystem'
    # Not waited for: on a loop device it may be done before the call returns.
    [[ $output != *'overwrite: done, the call slept'* ]]
}

@test "vfat: addresses must be multiples of the logical block" {
    truncate -s 64M image
    command -v mkfs.vfat >/dev/null && mkfs.vfat image >/dev/null || return 0
    mounted_image image "$root/$chapter/misaligned" demo || return 0
    assert_line 'address off, within a page: res -22, *'
}

# ---- all ----

@test "each program ends at a call that fails, and names it" {
    local it

    [[ $direct ]] || return 0
    for it in odirect misaligned is-it-async would-it-wait beside-the-cache \
        torn-write "queue-depth ../probe $bs 1"; do
        printf '%065536d' 0 >probe
        [[ $it == queue* ]] || it+=' demo'
        each_fails "$eio" "$it" posix_memalign@1=EIO io_setup@1=EIO \
            io_destroy@1=EIO
        # Where torn-write is refused all there is no event.
        [[ $it == torn* ]] || each_fails "$eio" "$it" io_getevents@1=EIO
    done
}

@test "a call that a signal interrupts is made again" {
    local it

    for it in would-it-wait beside-the-cache torn-write misaligned; do
        AIO_FAULT='io_submit@1=EINTR io_getevents@1=EINTR' begin "$it" demo
    done
    # And what a short write leaves is written by the next one.
    for it in would-it-wait beside-the-cache; do
        AIO_FAULT='pwrite@1=short=100' begin "$it" demo
    done
    while next; do
        assert_status 0
        assert_stderr ""
    done
    for it in would-it-wait beside-the-cache is-it-async; do
        each_fails "$eio" "$it demo" 'pwrite@1=short=0:pwrite demo'
    done
}

@test "with standard output or error closed no message goes into FILE" {
    local it

    # shellcheck disable=SC2016 # $1 is the inner shell's
    run --separate-stderr bash -c '"$1" demo >&-' bash "$root/$chapter/odirect"
    same status "$status" 1
    odirect_wrote demo 1000000
    # shellcheck disable=SC2016
    run --separate-stderr bash -c '"$1" demo 2>&-' bash "$root/$chapter/odirect"
    same status "$status" 0
    odirect_wrote demo 1000000
    for it in misaligned is-it-async would-it-wait torn-write; do
        bash -c '"$1" demo >&-' bash "$root/$chapter/$it" 2>/dev/null ||
            status=$?
        same "status of $it" "$status" 1
        same "messages in FILE of $it" \
            "$(grep -aoE 'O_DIRECT|buffered|promised' demo)" ''
    done
}

@test "output that does not arrive is a failure" {
    output_must_arrive 'odirect demo' 'misaligned demo.2' \
        'is-it-async demo.3' "queue-depth demo.4 $bs 1 1" \
        'would-it-wait demo.5' 'beside-the-cache demo.6' 'torn-write demo.7'
}
