# shellcheck shell=bash disable=SC2034,SC2154
name=5-beside
chapter=04-odirect
kind='find the bug'
title='two ways to one file: notes lost, old versions read'
reason='*expected: line 1 of 16*page 0: version 1*got:*page 0: version 0*'

# lines: what is printed.
lines() {
    local round page note

    for round in 1 2; do
        for page in 0 1 2 3 4 5 6 7; do
            note='no note'
            ((round == 1 && page % 2 == 0)) ||
                note="note of round $((page % 2 == 1 ? 1 : 2))"
            echo "round $round: page $page: version $round, $note"
        done
    done
}

# pages: what demo.dat holds in the end.
pages() {
    awk '
    function dots(n,    text) {
        while (length(text) < n)
            text = text "................................"
        return substr(text, 1, n)
    }
    BEGIN {
        for (page = 0; page < 8; page++) {
            label = "page " page " version 2\n"
            note = "note of round " (page % 2 ? 1 : 2) "\n"
            printf "%s%s", label, dots(4096 - 64 - length(label))
            printf "%s%s", note, dots(64 - length(note))
        }
    }'
}

# expect_all: as it should be.
expect_all() {
    expect_success
    expect_output "$(lines)"
    expect_same demo.dat "$work/pages" 4096
}

# expect_untouched: no page was changed in memory while it was in flight.
expect_untouched() {
    grep -q '^changed' "$work/torment" || return 0
    hint 1
    watched='' command="AIO_TORMENT=/dev/stderr $command"
    fail 'from io_submit() to its event, no page is changed in memory' \
        "$(grep -m 1 '^changed' "$work/torment") (bytes@offset)"
}

check() {
    local n order

    pages_are_aligned
    pages >"$work/pages"
    for order in newest oldest; do
        situation "A disk that takes its time, and does the $order first:"
        : >"$work/torment"
        AIO_TORMENT=$work/torment late=$order watch=yes run demo.dat
        [[ $errors != *'open demo.dat: Invalid argument' ]] ||
            skip 'there is no O_DIRECT on this filesystem'
        [[ $output != "$(lines | head -n 8)"* ]] || hint 2
        expect_all
        hint 0
        (($(most_in_flight) == 8)) ||
            fail '8 requests in flight at some time' \
                "at most $(most_in_flight)"
        expect_untouched
    done

    situation 'Eight pages, two rounds, and the disk as it is:'
    watch=yes run demo.dat
    expect_all
    (($(most_in_flight) == 8)) ||
        fail '8 requests in flight at some time' "at most $(most_in_flight)"
    hint 0
    n=$(requests | grep -oE ' PWRITEV?:[0-9]+:4096\>' | wc -l)
    ((n >= 16)) ||
        fail '16 PWRITE requests or more, one for each page and round' \
            "$n$(trace)"
    # (A note may be a request as well, through the page cache.)
    n=$(requests | grep -oE ' PWRITEV?:' | wc -l)
    ((n - $(calls io_submit:cached) >= 16)) || expect_direct
    expect_calls pread 16+

    situation 'A write fails:' 0
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: No space left on device'
    situation 'Requests are taken one at a time, and a wait is interrupted:' 0
    AIO_FAULT='io_submit@*=short=1 io_getevents@1=EINTR' run demo.dat
    expect_all
}

hints=(
    'When does a write in flight read its memory, and when is it in the file?
Between io_submit() and the event, nobody can tell. What do the notes and the
report do in that time?'
    'Move reap() ahead of what goes through the page cache. The first round is
right now. In the second, odd pages lose their note: who writes to the place
where it is, and with what?'
    'submit() writes the whole page, as it is in pages[]. A note that is only in
FILE is undone by the next version: put it into pages[page] + NOTE as well.
(Then it could be written with the page, and the pwrite() is not needed.)'
)
notice='The kernel keeps both ways in step only one after the other. And what
is read, changed and written as a whole loses what others changed meanwhile,
whichever way they took: that is no matter of caches.'

wrong=(
    'first the events, but the copy in memory is old|/^    memcpy(pages\[page\] + NOTE/d'
    'the copy is right, but the notes do not wait @late-newest|/^        reap();$/d; s/^            report(page, round);/&\n        reap();/'
    'the report waits, but the notes do not @late-newest|/^        reap();$/d; s/^        for (int page = 0;/        reap();\n&/'
    'the notes wait, but the report does not @late-newest|/^        for (int page = 0;/,+1d; s/^        submit(round);/&\n        for (int page = 0; page < PAGES; page++)\n            report(page, round);/'
    'fsync() instead of a wait @late-newest|/^        reap();$/d; s/^        submit(round);/&\n        if (fsync(cached) == -1)\n            err(1, "fsync %s", path);/; s/^            report(page, round);/&\n        reap();/'
    'the cache is dropped instead of a wait @late-newest|/^        reap();$/d; s/^        submit(round);/&\n        posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);/; s/^            report(page, round);/&\n        reap();/'
    'no O_DIRECT, no mistake|s/ | O_DIRECT//'
    'one request at a time|s/^        int n = io_submit(ctx, PAGES - submitted, list + submitted);/        int n = io_submit(ctx, 1, list + submitted);\n        struct io_event event;\n        if (n == 1 \&\& submitted < PAGES - 1)\n            io_getevents(ctx, 1, 1, \&event, NULL);/; s/int reaped = 0;/int reaped = PAGES - 1;/; s/for (int i = 0; i < PAGES; i++)$/for (int i = PAGES - 1; i < PAGES; i++)/'
    'the report tells what is in memory|s/if (pread(cached, text, PAGE, page \* PAGE) != PAGE)/memcpy(text, pages[page], PAGE);\n    if (0)/'
    'the note is in memory only, until the next round|s/if (pwrite(cached, note, length, page \* PAGE + NOTE) != length)/if (0)/'
)
right=(
    'the notes go with the page, and no other way|/^        for (int page = round % 2/,+1d; s/^        submit(round);/        for (int page = round % 2; page < PAGES; page += 2)\n            annotate(page, round);\n&/; s/if (pwrite(cached, note, length, page \* PAGE + NOTE) != length)/if (0)/'
    'each round reads the pages first|/^    memcpy(pages\[page\] + NOTE/d; s/^        submit(round);/        if (round > 1 \&\& pread(cached, pages, sizeof(pages), 0) == -1)\n            err(1, "pread %s", path);\n&/'
    'a note is stored through a mapping|s/^    if (pwrite(cached, note, length, page \* PAGE + NOTE) != length)/    char *map = mmap(NULL, sizeof(pages), PROT_WRITE, MAP_SHARED, cached, 0);\n    memcpy(map + page * PAGE + NOTE, note, length);\n    if (munmap(map, sizeof(pages)) == -1)/; s/^#include <sys.stat.h>/#include <sys\/mman.h>\n&/'
    'a note is written by a request, too|s/^    if (pwrite(cached, note, length, page \* PAGE + NOTE) != length)/    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = cached, .aio_buf = (uintptr_t)note, .aio_nbytes = length, .aio_offset = page * PAGE + NOTE }, *list[1] = { \&iocb };\n    struct io_event event;\n    if (io_submit(ctx, 1, list) != 1 || io_getevents(ctx, 1, 1, \&event, NULL) != 1 || event.res != length)/'
)
