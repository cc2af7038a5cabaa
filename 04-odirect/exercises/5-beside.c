/*
 * 5-beside.c - exercise 4.5, find the bug (hard)
 *
 * Keeps eight pages in FILE. In each of two rounds all pages get a new version,
 * by O_DIRECT and AIO; half of them get a note, a few bytes, through the page
 * cache; and a report reads them all back, through the page cache. The kernel
 * keeps both ways in step, it is said. But notes get lost, and what is
 * reported may be the version of the round before.
 *
 * Task:   Find out where the two ways collide: there are two mistakes. Each
 *         round's report must show the new version of each page and the last
 *         note that it was given, and FILE must hold the same. The versions
 *         are still written by O_DIRECT, eight in flight together, and the
 *         report still reads each page with pread() through the page cache;
 *         how and when a note gets there is yours.
 * Output: As it is, a line "round R: page N: version R, NOTE" for each page,
 *         in order, status 0. If a write fails: status 1 and "5-beside:
 *         IOCB_CMD_PWRITE FILE: reason".
 * Try:    AIO_LATE=newest LD_PRELOAD=tests/helpers/fault.so \
 *             04-odirect/exercises/5-beside demo.dat
 *         (a slow disk: writes are done when they are waited for, no earlier)
 * Read:   04-odirect/README.md, line 719 (Buffered, direct, mapped: who sees
 *         what, and what gets lost?);
 *         04-odirect/beside-the-cache.c
 * Check:  make exercise-4.5
 *
 * Build:  cc -o 5-beside 5-beside.c
 * Usage:  ./5-beside FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGES = 8, PAGE = 4096, ROUNDS = 2 };
enum { NOTE = PAGE - 64 }; /* where in a page its note is */

static const char *path;
static aio_context_t ctx = 0;
static _Alignas(PAGE) char pages[PAGES][PAGE]; /* for O_DIRECT */
static int direct, cached;                     /* FILE, opened twice */

static void submit(int round), reap(void);
static void annotate(int page, int round), report(int page, int round);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(PAGES, &ctx) == -1)
        err(1, "io_setup");
    cached = create(O_RDWR);
    if (cached == -1 || ftruncate(cached, sizeof(pages)) == -1)
        err(1, "open %s", path);
    direct = open(path, O_RDWR | O_DIRECT);
    if (direct == -1)
        err(1, "open %s", path);
    memset(pages, '.', sizeof(pages));

    /* EDIT HERE: who writes what, and when, and who reads it? */
    for (int round = 1; round <= ROUNDS; round++) {
        submit(round);
        for (int page = round % 2; page < PAGES; page += 2)
            annotate(page, round);
        for (int page = 0; page < PAGES; page++)
            report(page, round);
        reap();
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(direct) == -1 || close(cached) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Has the next version of all pages written. */
static void submit(int round)
{
    struct iocb iocbs[PAGES], *list[PAGES];
    int submitted = 0;

    for (int i = 0; i < PAGES; i++) {
        int length = snprintf(pages[i], NOTE, "page %d version %d\n", i, round);

        pages[i][length] = '.';
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = direct,
            .aio_buf = (uintptr_t)pages[i],
            .aio_nbytes = PAGE,
            .aio_offset = i * PAGE,
        };
        list[i] = &iocbs[i];
    }
    while (submitted < PAGES) {
        int n = io_submit(ctx, PAGES - submitted, list + submitted);

        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        if (n > 0)
            submitted += n;
    }
}

/* Waits for all of them. */
static void reap(void)
{
    struct io_event events[PAGES];
    int reaped = 0;

    while (reaped < PAGES) {
        int n = io_getevents(ctx, 1, PAGES - reaped, events + reaped, NULL);

        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        if (n > 0)
            reaped += n;
    }
    for (int i = 0; i < PAGES; i++)
        if (events[i].res != PAGE) {
            errno = events[i].res < 0 ? -events[i].res : EIO;
            err(1, "IOCB_CMD_PWRITE %s", path);
        }
}

/* Puts a note into a page of FILE. */
static void annotate(int page, int round)
{
    char note[64];
    int length = snprintf(note, sizeof(note), "note of round %d\n", round);

    errno = ENOSPC; /* in case it is short */
    if (pwrite(cached, note, length, page * PAGE + NOTE) != length)
        err(1, "pwrite %s", path);
}

/* What a reader finds in FILE. */
static void report(int page, int round)
{
    char text[PAGE + 1] = "";
    int version = 0, has_note;

    errno = EIO; /* in case it is short */
    if (pread(cached, text, PAGE, page * PAGE) != PAGE)
        err(1, "pread %s", path);
    sscanf(text, "page %*d version %d", &version);
    has_note = !strncmp(text + NOTE, "note", 4);
    printf("round %d: page %d: version %d, %.15s\n", round, page, version,
           has_note ? text + NOTE : "no note");
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

/*
 * No C library has functions for these system calls. The types matter:
 * syscall() converts nothing. All return -1 and set errno on error.
 */
static int io_setup(unsigned nr_events, aio_context_t *ctxp)
{
    return syscall(SYS_io_setup, nr_events, ctxp);
}

static int io_destroy(aio_context_t ctx)
{
    return syscall(SYS_io_destroy, ctx);
}

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

/* The timespec is the kernel's: two longs, however long time_t is. */
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

static const char usage[] =
    "Usage: 5-beside FILE\n"
    "Makes FILE, or empties it, and keeps eight pages in it, for two rounds.\n";

/* At exit: output that did not arrive (a full disk, say) is a failure too. */
static void check_output(void)
{
    if (ferror(stdout) && putchar('\n') != EOF && fflush(stdout) == 0)
        errno = EIO; /* else it failed again, and errno says why */
    if (ferror(stdout) || fflush(stdout) != 0) {
        warn("standard output");
        _exit(EXIT_FAILURE);
    }
}

/* What every program does first; status 2 if its arguments are not right. */
static void start(int argc, char **argv, int min, int max)
{
    const char *first = argc > 1 ? argv[1] : "";
    int help = !strcmp(first, "-h") || !strcmp(first, "--help");

    for (int fd = 0; fd <= 2; fd++) /* closed, it would become FILE's */
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", O_RDONLY);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    atexit(check_output);
    signal(SIGXFSZ, SIG_IGN); /* over `ulimit -f`: an error, no kill */
    if (help || argc <= min || argc > max + 1 || first[0] == '-') {
        fputs(usage, help ? stdout : stderr);
        exit(help ? EXIT_SUCCESS : 2);
    }
}
