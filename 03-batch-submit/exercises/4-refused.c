/*
 * 4-refused.c - exercise 3.4, extend (medium)
 *
 * Counts the lines of FILE, as `wc -l` does: it reads four blocks at a time,
 * with one io_submit(). In some containers it ends with "Operation not
 * permitted" or "Function not implemented": a sandbox refuses a call, and has
 * a rule of its own for each.
 *
 * Task:   Where io_setup(), io_submit() or io_getevents() is refused (EPERM or
 *         ENOSYS), at whatever time, go on with pread(). Each line counts once,
 *         and no block that is counted is read again. No context is left
 *         behind: if there is one, it is destroyed before the first pread().
 *         (What io_submit() has taken when io_getevents() is refused is in
 *         flight, and its buffers are the kernel's: whom do you wait for?)
 * Output: "lines: N, by AIO" or, if there was any pread(), "lines: N, by
 *         pread"; status 0. Any other error of these calls, and any error that
 *         an event or pread() brings: status 1, and on stderr "4-refused: CALL:
 *         reason", or "4-refused: read FILE: reason". Short reads are gone on
 *         with, interrupted calls made again.
 * Try:    tests/helpers/sandbox io_submit=EPERM -- \
 *             03-batch-submit/exercises/4-refused LICENSE
 * Read:   TUTORIAL.md, Appendix L;
 *         03-batch-submit/README.md, line 239 (What can go wrong)
 * Check:  make exercise-3.4
 *
 * Build:  cc -o 4-refused 4-refused.c
 * Usage:  ./4-refused FILE
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
#include <sys/syscall.h>
#include <unistd.h>

enum { BATCH = 4, BLOCK = 4096 }; /* requests at a time, bytes each */

static const char *path;
static long lines;
static char data[BATCH][BLOCK];

static int read_by_aio(aio_context_t ctx, int fd, long long *at);
static void count(const char *text, long long length);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    long long at = 0; /* up to here all is counted */
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* EDIT HERE, and further down: each call can be refused. */
    if (io_setup(BATCH, &ctx) == -1)
        err(1, "io_setup");
    while (read_by_aio(ctx, fd, &at))
        ;
    printf("lines: %ld, by AIO\n", lines);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Reads and counts up to four blocks. 0: that was the end of the file. */
static int read_by_aio(aio_context_t ctx, int fd, long long *at)
{
    struct iocb iocbs[BATCH], *list[BATCH];
    struct io_event event;
    long long res[BATCH];
    int n;

    for (int i = 0; i < BATCH; i++) {
        iocbs[i] = (struct iocb){
            .aio_data = i,
            .aio_lio_opcode = IOCB_CMD_PREAD,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = *at + i * BLOCK,
        };
        list[i] = &iocbs[i];
    }
    do
        n = io_submit(ctx, BATCH, list);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_submit");
    for (int left = n; left > 0; left--) {
        while (io_getevents(ctx, 1, 1, &event, NULL) != 1)
            if (errno != EINTR)
                err(1, "io_getevents");
        res[event.data] = event.res;
    }

    /* Those that were taken, as far as there is no gap. */
    for (int i = 0; i < n; i++) {
        if (res[i] < 0) {
            errno = -res[i];
            err(1, "read %s", path);
        }
        count(data[i], res[i]);
        *at += res[i];
        if (res[i] < BLOCK)
            return res[i] > 0;
    }
    return 1;
}

static void count(const char *text, long long length)
{
    for (long long i = 0; i < length; i++)
        lines += text[i] == '\n';
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

static const char usage[] = "Usage: 4-refused FILE\n"
                            "Counts the lines of FILE.\n";

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
