/*
 * 4-refused.c - solution 3.4, one way out of AIO
 *
 * A sandbox has a rule for each call, so each is asked whether it was refused,
 * and the answer is the same in all places: leave AIO. io_destroy() waits for
 * what is in flight; nobody can be told of it, so these blocks are read again.
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
static int refused(const char *call);
static int reap_batch(aio_context_t ctx, int nr, long long *res);
static void read_on(int fd, long long at);
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
    int fd, by_aio;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);

    by_aio = io_setup(BATCH, &ctx) == 0;
    if (by_aio) {
        int more;

        while ((more = read_by_aio(ctx, fd, &at)) == 1)
            ;
        by_aio = more == 0;
        if (io_destroy(ctx) == -1) /* waits for what is in flight */
            err(1, "io_destroy");
    } else
        refused("io_setup");
    if (!by_aio)
        read_on(fd, at);
    printf("lines: %ld, by %s\n", lines, by_aio ? "AIO" : "pread");

    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Reads and counts up to four blocks. 0: the end of the file. -1: refused. */
static int read_by_aio(aio_context_t ctx, int fd, long long *at)
{
    struct iocb iocbs[BATCH], *list[BATCH];
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
        return refused("io_submit");
    if (reap_batch(ctx, n, res) == -1)
        return -1;

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

/* Waits for all of them: only then is a buffer counted. -1: refused. */
static int reap_batch(aio_context_t ctx, int nr, long long *res)
{
    struct io_event event;

    while (nr > 0) {
        int n = io_getevents(ctx, 1, 1, &event, NULL);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return refused("io_getevents");
        res[event.data] = event.res;
        nr--;
    }
    return 0;
}

/* -1 if the last error means that the call is forbidden, or is not there. */
static int refused(const char *call)
{
    if (errno != EPERM && errno != ENOSYS)
        err(1, "%s", call);
    return -1;
}

/* Reads the rest without AIO. A short read is followed by another. */
static void read_on(int fd, long long at)
{
    ssize_t n;

    while ((n = pread(fd, data[0], BLOCK, at)) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            err(1, "read %s", path);
        count(data[0], n);
        at += n;
    }
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
