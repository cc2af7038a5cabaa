# shellcheck shell=bash disable=SC2016,SC2034,SC2154
name=4-wal
chapter=06-vectored
kind='extend'
title='for a weekend: a write-ahead log, group commit'
reason='*expected: 15 syncs or fewer for 300 records*got: 300*'

# After a crash, what is told to the learner as the way to get there.
after() { given="$1   # and then:"; }

# acked FILE: the last N of the lines "durable: N" there.
acked() { sed -n 's/^durable: //p' "$1" | tail -n 1 | grep . || echo 0; }

# asleep: is the program, with nothing in flight? Then it waits for input. A
# machine that is busy, or a slow disk, make no process sleep like that.
asleep() {
    awk '
    $1 == "submit" { n += NF - 1 }
    $1 == "reap" { n -= $2 }
    END { exit n > 0 }' "$work/watch" || return
    [[ ${process-} && $process/exe -ef $work/$name ]] ||
        for process in /proc/[0-9]*; do
            [[ ! $process/exe -ef $work/$name ]] || break
        done
    [[ $process/exe -ef $work/$name && $(<"$process/stat") == *') S '* ]]
}

# feed N: in the background, N records by the pipe that is the program's
# standard input, each when the one before is durable. If one is not, and the
# program sleeps on (whenever it is looked at, 25 times), its number is in
# $work/missed.
feed() {
    rm -f records.pipe "$work/missed" && mkfifo records.pipe || exit
    : >"$work/out"              # of the run before
    (
        trap '' PIPE
        exec 9>records.pipe
        for ((k = 1; k <= $1; k++)); do
            sed -n "${k}p" records >&9 || exit
            for ((i = 0; i < 25; i++)); do
                [[ $(acked "$work/out") -lt $k ]] || continue 2
                kill -0 $$ && sleep 0.02 || exit
                asleep || i=-1
            done
            echo "$k" >"$work/missed"
            exit
        done 2>/dev/null
    ) &
    feeder=$!
}
one_by_one='(for i in 1 2 3 4 5; do echo $i; sleep 1; done) |'

fed() {
    kill "$feeder" 2>/dev/null
    wait "$feeder" 2>/dev/null
}

# crash ...: a run that may be killed; $work/out and $work/watch are there.
crash() {
    : >"$work/out"
    (watch=yes run write demo.log) >"$work/crash" 2>&1
    [[ -z ${feeder-} ]] || fed
    feeder=''
}

# image COMMAND LOG: makes image.log of a log, as a learner does of demo.log.
image() {
    given=$1
    [[ $2 != whole.log ]] || after "$write"
    [[ $2 != five.log ]] || after "$one_by_one
    $chapter/exercises/$name write demo.log"
    given+=$'\n'"    $1"
    eval "${1//demo.log/$2}"
}

# syncs: how many FDSYNC the last run has reaped.
syncs() {
    requests | awk '
    $1 == "submit" {
        for (i = 2; i <= NF; i++)
            queue[++last] = $i
    }
    $1 == "reap" {
        for (i = 0; i < $2; i++)
            n += queue[++first] ~ /^FD?SYNC/
    }
    END { print n + 0 }'
}

# expect_recovered FILE N: `read` prints N of the records or more, whole and
# in order, and nothing else.
expect_recovered() {
    local nr

    run read "$1"
    expect_success
    nr=$(wc -l <"$work/out")
    head -n "$nr" records | cmp -s - "$work/out" ||
        fail 'records as they were given, from the first one on' \
            "$nr lines; $(awk 'NR == FNR { record[NR] = $0; next }
            $0 != record[FNR] && !n {
                n = FNR
                printf "line %d is \"%.40s\"", n, $0
            }
            END { if (!n) printf "the last one is not whole" }
            ' records "$work/out" | tr -c '\n -~' '?')"
    ((nr >= $2)) ||
        fail "the $2 records that were durable, or more" "$nr of them"
}

# first_write: how many bytes the first write of the last run has.
first_write() {
    requests | grep -m 1 -oE 'PWRITEV?:0:[0-9@/]+' | sed 's/@[0-9]*//g' |
        awk -F '[:/]' '{ for (i = 3; i <= NF; i++) n += $i; print n }'
}

# expect_group_commit: as the watch tells.
expect_group_commit() {
    local wrong

    wrong=$(requests | awk '
    $1 == "submit" {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^FD?SYNC/ && n + i > 2)
                early++
            else if ($i !~ /^FD?SYNC/ && syncing)
                early++
            syncing = syncing || $i ~ /^FD?SYNC/
        }
        n += NF - 1
    }
    $1 == "reap" {
        n -= $2
        if (n == 0)
            syncing = 0
    }
    END { if (early) print early " times" }')
    [[ -z $wrong ]] ||
        fail 'while an FDSYNC is in flight nothing else is' \
            "something was: $wrong"
}

check() {
    local n end first length room size one feeder='' acks i pid process call
    local made write

    pages_are_aligned
    given "seq -f '%.0f: a record, one of three hundred, and of some length' \\
        300 | sed 's/[05]:/&&&&&&&&&&&&&&&&&&&&&&&&&&&&/' >records"
    made=$given
    write="$made
    $chapter/exercises/$name write demo.log <records"

    situation '300 records that are all there:'
    watch=all input=records run write demo.log
    [[ $errors != *'io_submit: Invalid argument' ]] ||
        skip 'this kernel has no IOCB_CMD_FDSYNC'
    expect_success
    n=$(requests | grep -o ' FD\?SYNC:' | wc -l)
    ((n <= 15)) || fail '15 syncs or fewer for 300 records' "$n"
    ((n >= 1)) || fail 'an IOCB_CMD_FDSYNC' "none$(trace)"
    n=$(requests | grep -oE ' PWRITEV?:' | wc -l)
    ((n <= 30)) || fail '30 writes or fewer for 300 records' "$n"
    hint 0
    [[ $(acked "$work/out") == 300 ]] ||
        fail '"durable: 300" in the end' "durable: $(acked "$work/out")"
    awk '!/^durable: [0-9]+$/ || $2 <= n { exit 1 } { n = $2 }' "$work/out" ||
        fail 'lines "durable: N", and N rises'
    expect_group_commit
    [[ $(calls fsync) -ge 1 || $(requests) == *' FSYNC:'* ]] ||
        fail 'the folder is synced: a new file needs its name' "$(trace)"
    hint 3
    expect_aligned
    expect_direct
    n=$(($(calls fallocate) + $(calls posix_fallocate)))
    ((n >= 1)) || fail 'space that is allocated ahead' 'no fallocate()'
    # Where the log ends, and its first write.
    end=$(requests | grep -oE 'PWRITEV?:[0-9]+:[0-9@/]+' | sed 's/@[0-9]*//g' |
        awk -F '[:/]' '{ n = $2; for (i = 3; i <= NF; i++) n += $i }
        n > end { end = n } END { print end }')
    first=$(first_write)
    cp demo.log whole.log
    hint 2
    after "$write"
    expect_recovered demo.log 300

    situation 'demo.log ahead of the first io_submit():' 3
    given=
    echo 0 0 0 >"$work/at"
    AIO_WATCH_AT="1 stat -c '%s %b %B' demo.log >'$work/at'" try="$made
    AIO_WATCH_AT='1 stat demo.log' LD_PRELOAD=tests/helpers/fault.so \\
        $chapter/exercises/$name write demo.log <records" \
        input=records run write demo.log
    read -r length room size <"$work/at"
    ((room * size >= first && length >= first)) ||
        (: >"$work/try" && ! fallocate -l 65536 "$work/try" 2>/dev/null) ||
        fail "it is $first bytes long or more, and has blocks for them: a write
    that makes it longer is waited for" \
            "$length bytes, blocks for $((room * size))"

    situation 'Records that come one by one: none waits for the next:'
    given=
    feed 5
    try="$one_by_one
    $chapter/exercises/$name write demo.log" \
        watch=yes input=records.pipe run write demo.log
    fed
    [[ ! -e $work/missed ]] ||
        fail "\"durable: $(<"$work/missed")\" before another record comes" \
            "$(tail -n 1 "$work/out")"
    expect_success
    expect_output $'durable: 1\ndurable: 2\ndurable: 3\ndurable: 4\ndurable: 5'
    hint 3
    n=$(($(calls fallocate) + $(calls posix_fallocate)))
    ((n <= 3)) || fail 'space for many groups at a time' "$n allocations for 5"
    hint 0
    (($(syncs) >= 5)) || fail 'a sync ahead of each "durable"' "$(syncs)"
    cp demo.log five.log
    one=$(first_write)
    unset EXERCISE_RECORD

    # The power of a kill is at each call, one after the other.
    for call in io_submit io_getevents; do
        for n in 1 2 3 4 5 6; do
            situation "Records one by one, and killed ahead of $call $n:" 0
            feed 3
            AIO_FAULT="$call@$n=kill=9" input=records.pipe crash
            acks=$(acked "$work/out")
            after "$one_by_one
    AIO_FAULT='$call@$n=kill=9' LD_PRELOAD=tests/helpers/fault.so \\
        $chapter/exercises/$name write demo.log"
            command=$given traced=''
            (($(syncs) >= acks)) ||
                fail "\"durable\" is said when the sync's event is there" \
                    "durable: $acks, after $(syncs) syncs"
            hint 2
            expect_recovered demo.log "$acks"
        done
    done
    for n in 1 3; do
        situation 'A crash in the middle of a write of many records:' 2
        AIO_FAULT="io_submit@$n=bytes=4096 io_getevents@$n=kill=9" \
            input=records crash
        after "$made
    AIO_FAULT='io_submit@$n=bytes=4096 io_getevents@$n=kill=9' \\
        LD_PRELOAD=tests/helpers/fault.so \\
        $chapter/exercises/$name write demo.log <records"
        expect_recovered demo.log "$(acked "$work/out")"
    done

    # Killed, and copied, at random moments.
    for ((i = 0; i < 3; i++)); do
        [[ -z ${EXERCISE_UNDER-} ]] || break
        situation 'kill -9 at a random moment, after a copy of the file:' 2
        rm -f records.pipe image.log demo.log && mkfifo records.pipe
        : >"$work/out"
        (
            trap '' PIPE
            while read -r line; do
                echo "$line"
                [[ $line != *5:* ]] || sleep 0.01
            done <records >records.pipe
        ) 2>/dev/null &
        feeder=$!
        (
            while [[ ! -s $work/out ]]; do
                sleep 0.01
                ((n++ < 200)) || break
            done
            sleep "0.$((RANDOM % 3))$((RANDOM % 10))"
            acked "$work/out" >"$work/acks"
            cp demo.log image.log
            for process in /proc/[0-9]*; do
                [[ ! $process/exe -ef $work/$name ]] ||
                    kill -9 "${process##*/}"
            done
        ) 2>/dev/null &
        process=$!
        n=0 input=records.pipe crash
        wait "$process" 2>/dev/null
        after "(while seq 9; do sleep 0.1; done) |
    timeout -s KILL 1.5 $chapter/exercises/$name write demo.log"
        expect_recovered demo.log "$(acked "$work/out")"
        [[ -e image.log ]] || continue # it has not begun in two seconds
        after "(while seq 9; do sleep 0.1; done) |
    timeout -s KILL 3 $chapter/exercises/$name write demo.log &
    sleep 1.5; cp demo.log image.log"
        expect_recovered image.log "$(<"$work/acks")"
    done

    for n in 0 1 100 4095 4096 "$((first / 2))" "$((first - 1))"; do
        situation "A log that ends after $n bytes:" 2
        image "head -c $n demo.log >image.log" whole.log
        expect_recovered image.log 0
    done
    for n in 0 20 300 "$((first / 2 + 7))"; do
        situation "A log with other bytes from $n on, 64 of them:" 2
        image "(head -c $n demo.log; printf %064d 0 | tr 0 7
        tail -c +$((n + 65)) demo.log) >image.log" whole.log
        expect_recovered image.log 0
    done
    situation 'Older records, the same ones, behind the end of the log:' 2
    image "(head -c $end demo.log; cat demo.log) >image.log" whole.log
    expect_recovered image.log 300
    situation 'The log of five records that came one by one:' 2
    image 'cp demo.log image.log' five.log
    expect_recovered image.log 5
    situation 'The same, and the second write stands where the first should:' 2
    image "tail -c +$((one + 1)) demo.log >image.log" five.log
    expect_recovered image.log 0
    situation 'The second of five writes has not arrived, and the third has:' 2
    image "(head -c $one demo.log; head -c $one /dev/zero
        tail -c +$((2 * one + 1)) demo.log) >image.log" five.log
    expect_recovered image.log 1
    situation 'The first of five writes stands where the second should, too:' 2
    image "(head -c $one demo.log; head -c $one demo.log
        tail -c +$((2 * one + 1)) demo.log) >image.log" five.log
    expect_recovered image.log 1

    given=$made
    situation 'The write fails:' 0
    AIO_FAULT='io_getevents@1=res=-ENOSPC' input=records run write demo.log
    expect_error 'IOCB_CMD_PWRITE* demo.log: No space left on device'
    expect_output ''
    situation 'The disk does not confirm:' 0
    AIO_FAULT='io_getevents@2=res=-EIO io_getevents@*=short=1' watch=yes \
        input=records run write demo.log
    [[ $errors == *PWRITE* ]] || expect_error 'IOCB_CMD_FDSYNC demo.log: *'
    expect_output ''
    situation 'The first write comes to 512 bytes:' 0
    AIO_FAULT='io_submit@1=bytes=512' input=records run write demo.log
    if ((status == 0)); then
        after "$command"
        hint 2
        expect_recovered demo.log 300
    else
        expect_error 'IOCB_CMD_PWRITE* demo.log*: I*' \
            'IOCB_CMD_PWRITE demo.log: (the text of EIO)'
        expect_output ''
    fi
    given=$made
    situation 'There is neither O_DIRECT nor fallocate() on this filesystem:' 3
    AIO_FAULT='open:direct@*=EINVAL fallocate@*=EOPNOTSUPP
        posix_fallocate@*=EOPNOTSUPP io_getevents@1=EINTR' \
        input=records run write demo.log
    expect_success
    after "$command"
    expect_recovered demo.log 300
    situation 'A disk that takes its time:'
    given=$made
    late=newest watch=yes input=records run write demo.log
    expect_success
    expect_group_commit
    hint 2
    after "$command"
    expect_recovered demo.log 300
}

hints=(
    'The pipe on standard input gathers for you: while a write and a sync are
waited for, records come in. One read() brings all that are there, and waits
only if there is none. (stdio would, too; but it does not tell how many lines
it has.)'
    'A group: a head with its number, the length, a checksum of all; then the
lines, as they came; zeros up to the next multiple of 4096. What comes behind
the last newline is kept for the next group. `read` goes from group to group,
and ends at the first whose number, length or sum is not right.'
    'O_DIRECT wants one aligned piece of memory: head and text in it. Allocate
as in exercise 4.4, with mode 0: where the file does not get longer, the FDSYNC
has less to do.'
)
notice='Nobody has set the size of a group, or a time to wait: with a slow disk
the groups are large, with a quick one small. That is how databases commit. A
log whose file is used again needs one thing more in each group: a number of
its own. Else an older log shows through behind its end.'

wrong=(
    'it says so before the sync|s/^        sync_file(ctx, fd);$//; s/^        end += length;/        sync_file(ctx, fd);\n&/'
    'it says so before the write|s/^        durable += group.records;$//; /^        printf("durable/d; s/^        length = whole_blocks(group.text.*/&\n        durable += group.records;\n        printf("durable: %lu\\n", durable);/'
    'one sync for all groups, at the end|s/^        sync_file(ctx, fd);$//; s/^    if (io_destroy(ctx) == -1)/    sync_file(ctx, fd);\n&/'
    'nobody syncs|s/^        sync_file(ctx, fd);$//'
    'one line at a time|s/memrchr(group.text,/memchr(group.text,/; s/^        ssize_t n;$/        ssize_t n;\n        if (room > 0 \&\& have < sizeof(group.text) \&\& read(STDIN_FILENO, group.text + have, 1) == 1) { have++; continue; } else return 0;/'
    'it waits until a group is full|s/^    while ((last = memrchr(group.text, .*/    while ((last = memrchr(group.text, 10, have)) == NULL || have < 8192) {/; s/^            return 0;/            { if (last) break; return 0; }/'
    'no checksum: what has a head is whole|s/ || group.sum != sum())/)/'
    'the checksum is of the head only|s/const char \*end = group.text + group.length;/const char *end = group.text;/'
    'the group has no number|s/group.number != number || //'
    'it goes on behind a damaged group|s/^            break;/            { if (n <= 0) break; at += BLOCK; number = 0; continue; }/; s/group.number != number/0/'
    'always through the page cache|s/O_WRONLY | O_DIRECT/O_WRONLY/'
    'O_DIRECT or nothing|s/fd == -1 && errno == EINVAL/0/'
    'nothing is allocated ahead|/^        allocate(fd/d'
    'each group allocates|s/AHEAD = 1 << 20/AHEAD = BLOCK/'
    'without fallocate() it ends|s/ || errno == EOPNOTSUPP)/)/'
    'the folder is not synced|s/^    sync_folder();/    if (0)\n        sync_folder();/'
    'a short write is a write @short|s/res >= 0 && res < length ? -EIO : res/res/'
    'memory as it comes|s/_Alignas(BLOCK) char bytes\[GROUP\];/char bytes[GROUP];/; s/^} group;/} groups[1]; static char odd_memory[2 * GROUP];\n#define group (*(__typeof__(\&groups[0]))(((uintptr_t)odd_memory + 4095) \/ 4096 * 4096 + 512))/'
    'what the sync says is not looked at @failed|s/check("IOCB_CMD_FDSYNC", path, perform(ctx, &iocb));/perform(ctx, \&iocb);/'
)
right=(
    'groups of 16 KiB|s/GROUP = 16 \* BLOCK/GROUP = 4 * BLOCK/'
    'all of it allocated once|s/AHEAD = 1 << 20/AHEAD = 8 << 20/'
    'FSYNC instead of FDSYNC, which does more|s/IOCB_CMD_FDSYNC, .aio_fildes/IOCB_CMD_FSYNC, .aio_fildes/'
    'a sum of another kind|s/sum = (sum ^ (unsigned char)\*byte) \* 16777619;/sum = sum * 31 + (unsigned char)*byte;/'
)
