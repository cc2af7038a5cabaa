# shellcheck shell=bash disable=SC2034,SC2154
name=3-log-writer
chapter=06-vectored
kind='extend'
title='a log: vectors, a window, and one sync at the end'
reason='*expected: 4 records in flight at some time*got: at most 1*'

# What prepare() makes of $1 records.
records() {
    awk -v nr="$1" '
    function repeat(letter, n) {
        while (length(letter) < n)
            letter = letter letter
        return substr(letter, 1, n)
    }
    BEGIN {
        for (i = 0; i < nr; i++) {
            label = "record " i "\n"
            printf "%s%s", label, repeat(".", 4096 - length(label))
            printf "%s", repeat(sprintf("%c", 97 + i % 26), 8192)
        }
    }'
}

# At the end of the log there is a FDSYNC, submitted when nothing was in
# flight, and there is no other.
expect_one_sync() {
    local wrong

    wrong=$(requests | awk '
    $1 == "submit" {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^FD?SYNC:/) {
                syncs++
                early += n + i - 2
            } else {
                early += syncs > 0
            }
        }
        n += NF - 1
    }
    $1 == "reap" { n -= $2 }
    END {
        if (syncs != 1)
            print (syncs ? syncs : "none") " of them"
        else if (early)
            print "records were in flight then, or came later"
    }')
    [[ -z $wrong ]] ||
        fail 'one FDSYNC, submitted when all records are reaped' "$wrong"
}

expect_no_sync() {
    [[ $(requests) != *SYNC:* ]] ||
        fail 'no FDSYNC after that' 'one was submitted'
}

check() {
    local vectors

    pages_are_aligned
    situation '20 records, with a window of 4:'
    watch=yes run demo.dat
    [[ $errors != *'io_submit: Invalid argument' ]] ||
        skip 'this kernel has no IOCB_CMD_FDSYNC'
    (($(most_in_flight) <= 4)) ||
        fail 'at most 4 records in flight' "$(most_in_flight)"
    (($(most_in_flight) == 4)) ||
        fail '4 records in flight at some time' "at most $(most_in_flight)"
    hint 2
    expect_success
    expect_output 'written: 20 records'
    records 20 >"$work/twenty"
    expect_same demo.dat "$work/twenty" 12288
    vectors=$(requests | grep -o 'PWRITEV:[0-9]*:4096/8192\>' | wc -l)
    ((vectors == 20)) ||
        fail '20 PWRITEV of 4096 and 8192 bytes' "$vectors of them$(trace)"
    expect_one_sync
    hint 3
    expect_direct
    hint 0
    [[ $(calls fsync) -ge 1 || $(requests) == *' FSYNC:'* ]] ||
        fail 'the folder is synced: a new file needs its name' "$(trace)"

    situation 'The filesystem has no O_DIRECT; 7 records, all at once:' 3
    AIO_FAULT='open:direct@*=EINVAL' watch=yes run demo.dat 7 32
    expect_success
    records 7 >expected
    expect_same demo.dat expected 12288
    expect_one_sync

    situation 'A disk that takes its time, with a window of 3:' 2
    AIO_FAULT='io_getevents@2=EINTR io_submit@*=short=1' late=newest \
        watch=yes run demo.dat 10 3
    expect_success
    records 10 >expected
    expect_same demo.dat expected 12288
    expect_one_sync
    expect_window 3 10

    situation 'A disk that takes its time, and does the oldest first:' 2
    late=oldest run demo.dat 10 3
    expect_success
    expect_same demo.dat expected 12288

    situation '5 records, and where their memory lies:' 3
    watch=all run demo.dat 5
    expect_aligned

    situation 'No room for the third record, until one of the others is done:' 2
    AIO_FAULT='io_submit@1=short=2 io_submit@2=EAGAIN' run demo.dat
    expect_success
    expect_same demo.dat "$work/twenty" 12288

    situation 'No room for the third record, nor for any other, ever:' 0
    AIO_FAULT='io_submit@1=short=2 io_submit@2+=EAGAIN' run demo.dat
    expect_error 'io_submit: Resource temporarily unavailable'

    situation 'A record is written in part only:' 2
    AIO_FAULT='io_getevents@2=res=4096' watch=yes run demo.dat
    expect_error 'IOCB_CMD_PWRITEV demo.dat: I*' \
        'IOCB_CMD_PWRITEV demo.dat: (the text of EIO)'
    expect_no_sync

    situation 'The last record fails:' 2
    AIO_FAULT='io_getevents@20=res=-ENOSPC io_getevents@*=short=1' \
        watch=yes run demo.dat
    expect_error 'IOCB_CMD_PWRITEV demo.dat: No space left on device'
    expect_no_sync

    situation 'The disk does not confirm:' 0
    AIO_FAULT='io_getevents@21=res=-ENOSPC io_getevents@*=short=1' run demo.dat
    expect_error 'IOCB_CMD_FDSYNC demo.dat: No space left on device'
}

hints=(
    'Begin with the window, as in exercise 3.2 and ../batch-submit.c of chapter
3: DEPTH places, a list of those that are idle, a list of requests that are
ready to be submitted. Each place is a struct record of its own.'
    'aio_data is the record, so each event knows which place is idle again.
Look at res before that: RECORD, or it is an error (unlike in 3.2, also when
it is a part). Without room, EAGAIN, reap first. sync_file() comes once, behind
the loop.'
    'For O_DIRECT, open with it first, and without if errno is EINVAL. One
posix_memalign() of depth * sizeof(struct record) aligns all of them: see
_Alignas.'
)
notice='Whoever writes a log from one end to the other wants one sync, and can
say "written" only then: after a power cut there may be any of the records, or
none. Exercise 6.4 says it of each record, and has few syncs, too.'

wrong=(
    'the sync is submitted as soon as the last record is|
        s/^        reap(ctx, 1);/\
        static struct iocb sync, *list[1] = { \&sync };\
        if (prepared == records \&\& nr_ready == 0 \&\& !sync.aio_fildes) {\
            sync.aio_lio_opcode = IOCB_CMD_FDSYNC;\
            sync.aio_fildes = fd;\
            io_submit(ctx, 1, list);\
        }\
&/
        s/^        complete(/        if (events[i].data)\n    &/
        s/^    sync_file(.*//
        s/^static void sync_file(\(.* fd)\)$/void sync_file(\1/
        s/^static \(void sync_file(.*\), sync_fo/\1; static void sync_fo/'
    'a short write is fine @short|s/res >= 0 && res < RECORD ? -EIO : res/res/'
    'waits until the window is empty|s/while (nr_idle > 0/while (nr_idle > 0 \&\& in_flight == 0/'
    'it waits for all that are in flight|s/reap(ctx, 1);/reap(ctx, in_flight);/'
    'the place is the number of those in flight @late-oldest|s/idle\[--nr_idle\]/\&window[depth - nr_idle--]/'
    'memory as it comes|s/depth \* sizeof(.window));/depth * sizeof(*window) + 512);/; s/window = memory;/window = (void *)((char *)memory + 512);/; s/^    free(window);//'
    'no room is the end|s/errno == EAGAIN && in_flight > 0/0/'
    'no room is waited for, by asking again and again @full|s/if (n == -1 && errno == EAGAIN && in_flight > 0)/if (n == -1 \&\& errno == EAGAIN)\n            continue;\n        if (0)/'
    'O_DIRECT is taken back|s/^    make_window();/    fcntl(fd, F_SETFL, 0);\n&/'
    'a place is idle as soon as it is submitted @late-newest|s/idle\[--nr_idle\]/\&window[nr_idle--, prepared % 2]/'
    'always through the page cache|s/O_WRONLY | O_DIRECT/O_WRONLY/'
    'O_DIRECT or nothing|s/errno == EINVAL)/errno == 0)/'
    'nobody syncs|s/^    sync_file(ctx, fd);/    if (0)\n        sync_file(ctx, fd);/'
    'the folder is not synced|s/^    sync_folder();/    if (0)\n        sync_folder();/'
)
right=(
    'O_DIRECT is asked about, and set when the file is open|s/O_WRONLY | O_DIRECT/O_WRONLY/; s/^    make_window();/    if (!(fcntl(fd, F_GETFL) \& O_DIRECT))\n        fcntl(fd, F_SETFL, O_DIRECT);\n&/'
    'the newest first, of two or more that are ready|s/ready\[nr_ready++\] = &record->iocb;/{ memmove(ready + 1, ready, nr_ready++ * sizeof(*ready)); ready[0] = \&record->iocb; }/'
    'one io_submit() for each record|s/io_submit(ctx, nr_ready, ready)/io_submit(ctx, 1, ready)/'
    'the folder is synced by its path, ahead of the records|/^    sync_folder();/d; s/^    while (done < records) {/    sync_folder();\n&/'
)
