/*
 * cancel.c - what io_cancel() can do, and what it can't
 *
 * Reads and writes of files are never canceled, not even with O_DIRECT. A
 * POLL request that waits is: then the call fails with EINPROGRESS, `result`
 * is left as it was, and the event comes as all others do.
 *
 * Build:  cc -o cancel cancel.c
 * Usage:  ./cancel FILE
 * Needs:  Linux 4.19 (IOCB_CMD_POLL)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 65536 }; /* bytes a write: aligned for any disk, too */

static const char *path;
static void *data;

static void cancel_write(aio_context_t ctx, const char *what, int fd);
static long cancel(aio_context_t ctx, const char *what, struct iocb *iocb);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);
static int io_cancel(aio_context_t ctx, struct iocb *iocb,
                     struct io_event *result);

int main(int argc, char **argv)
{
    struct iocb poll = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
    aio_context_t ctx = 0;
    int fd, ends[2];

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    data = aligned_alloc(BLOCK, BLOCK);
    if (data == NULL)
        err(1, "aligned_alloc");
    memset(data, 'c', BLOCK);

    /* Through the page cache it is done when io_submit() returns: too late. */
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    cancel_write(ctx, "buffered write", fd);

    /* The same block, overwritten past the cache, is on its way to the disk. */
    fd = open(path, O_WRONLY | O_DIRECT);
    if (fd == -1 && errno != EINVAL)
        err(1, "open %s", path);
    if (fd == -1)
        printf("no O_DIRECT on this filesystem\n");
    else
        cancel_write(ctx, "O_DIRECT write", fd);

    /* This one only waits, until a pipe can be read, which it can't. */
    if (pipe(ends) == -1)
        err(1, "pipe");
    poll.aio_fildes = ends[0];
    cancel(ctx, "POLL", &poll);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    free(data);
    return EXIT_SUCCESS;
}

static void cancel_write(aio_context_t ctx, const char *what, int fd)
{
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
    };
    long res = cancel(ctx, what, &iocb);

    if (res != BLOCK) {
        errno = res < 0 ? -res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/* Submits a request, tries to cancel it, and returns what its event says. */
static long cancel(aio_context_t ctx, const char *what, struct iocb *iocb)
{
    struct __kernel_old_timespec timeout = { .tv_sec = 10 }; /* is for ever */
    struct io_event event, result = { .data = 42 };
    int n, error;

    while (io_submit(ctx, 1, &iocb) == -1)
        if (errno != EINTR)
            err(1, "io_submit");

    /* EINPROGRESS: it is being canceled. EINVAL: it can't be; a POLL can. */
    error = io_cancel(ctx, iocb, &result) == -1 ? errno : 0;
    if (error != 0 && error != EINPROGRESS &&
        (error != EINVAL || iocb->aio_lio_opcode == IOCB_CMD_POLL))
        err(1, "io_cancel");
    printf("io_cancel, %s: %s\n", what, error ? strerror(error) : "done");
    printf("  result: %s\n", result.data == 42 ? "untouched" : "filled in");

    /* It may take some milliseconds: wait, don't look just once. */
    do
        n = io_getevents(ctx, 1, 1, &event, &timeout);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n != 1)
        err(1, "io_getevents");
    printf("  event: res %lld\n", (long long)event.res);
    return event.res;
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

static int io_cancel(aio_context_t ctx, struct iocb *iocb,
                     struct io_event *result)
{
    return syscall(SYS_io_cancel, ctx, iocb, result);
}

static const char usage[] =
    "Usage: cancel FILE\n"
    "Makes FILE, or empties it; tries to cancel writes to it, and a POLL.\n";

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
