/*
 * cancel.c - what io_cancel() can do, and what it can't
 *
 * Reads and writes of files are never canceled, not even with O_DIRECT. A
 * POLL request that waits is, but not as the manual page has it: the call
 * fails with EINPROGRESS, `result` is left as it was, and the event comes
 * later, through io_getevents() as all others do.
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

static void cancel_write(aio_context_t ctx, const char *what, int fd);
static void cancel_poll(aio_context_t ctx);
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
    aio_context_t ctx = 0;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* Through the page cache it is done when io_submit() returns: too late. */
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    cancel_write(ctx, "buffered write", fd);
    if (close(fd) == -1)
        err(1, "close %s", path);

    /* The same block, overwritten past the cache, is on its way to the disk. */
    fd = open(path, O_WRONLY | O_DIRECT);
    if (fd == -1 && errno != EINVAL)
        err(1, "open %s", path);
    if (fd == -1) {
        printf("no O_DIRECT on this filesystem\n");
    } else {
        cancel_write(ctx, "O_DIRECT write", fd);
        if (close(fd) == -1)
            err(1, "close %s", path);
    }

    /* This one only waits. */
    cancel_poll(ctx);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return EXIT_SUCCESS;
}

static void submit_one(aio_context_t ctx, struct iocb *iocb)
{
    int n;

    do
        n = io_submit(ctx, 1, &iocb);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_submit");
}

/* Tries to cancel a request; prints and returns the errno, 0 if none. */
static int try_to_cancel(aio_context_t ctx, const char *what, struct iocb *iocb,
                         struct io_event *result)
{
    int error = io_cancel(ctx, iocb, result) == -1 ? errno : 0;

    printf("io_cancel, %s: %s\n", what, error ? strerror(error) : "canceled");
    return error;
}

/* Waits for the one event that must come; ten seconds are for ever. */
static struct io_event wait_for_one(aio_context_t ctx)
{
    struct __kernel_old_timespec timeout = { .tv_sec = 10 };
    struct io_event event;
    int n;

    do
        n = io_getevents(ctx, 1, 1, &event, &timeout);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n != 1)
        err(1, "io_getevents");
    return event;
}

/* Writes a block, and tries to cancel that as soon as it is submitted. */
static void cancel_write(aio_context_t ctx, const char *what, int fd)
{
    struct io_event event, result;
    struct iocb iocb;
    void *data;

    errno = posix_memalign(&data, BLOCK, BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    memset(data, 'c', BLOCK);
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
    };
    submit_one(ctx, &iocb);
    try_to_cancel(ctx, what, &iocb, &result);

    /* Canceled or not, the data is the kernel's until the event is here. */
    event = wait_for_one(ctx);
    if (event.res != BLOCK) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    printf("  and its event: res %lld\n", (long long)event.res);
    free(data);
}

/* Waits until a pipe can be read, which it can't, and gives that up. */
static void cancel_poll(aio_context_t ctx)
{
    struct io_event event, result, before;
    struct iocb iocb;
    int ends[2];

    if (pipe(ends) == -1)
        err(1, "pipe");
    iocb = (struct iocb){
        .aio_data = 42,
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = ends[0],
        .aio_buf = POLLIN,
    };
    submit_one(ctx, &iocb);

    /* The kernel knows it by the iocb's address, and by the key in there. */
    memset(&result, '?', sizeof(result));
    before = result;
    iocb.aio_key = 1;
    try_to_cancel(ctx, "wrong aio_key", &iocb, &result);
    iocb.aio_key = 0;

    /* EINPROGRESS is the success here, and no word of it in `result`. */
    errno = try_to_cancel(ctx, "POLL", &iocb, &result);
    if (errno != 0 && errno != EINPROGRESS)
        err(1, "io_cancel");
    printf("  result: %s\n", memcmp(&result, &before, sizeof(result))
                                 ? "filled in"
                                 : "untouched");
    try_to_cancel(ctx, "a second time", &iocb, &result);

    /* The event may take some milliseconds: wait, don't look once. */
    event = wait_for_one(ctx);
    printf("  and its event: data %lld, res %lld\n", (long long)event.data,
           (long long)event.res);
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
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
    "Makes FILE, or empties it, and tries to cancel writes to it; then a\n"
    "POLL request on a pipe.\n";

/* At exit: output that did not arrive (a full disk, say) is a failure too. */
static void check_output(void)
{
    if (ferror(stdout))
        putchar('\n'); /* fails as well, and errno says why */
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
