/*
 * cancel.c - what io_cancel() can do, and what it can't
 *
 * Reads and writes of files are never cancelled, not even with O_DIRECT. A
 * POLL request that waits is, but not as the manual page has it: the call
 * fails with EINPROGRESS, `result` is left as it was, and the event comes
 * later, through io_getevents() as all others do.
 *
 * Build:  cc -o cancel cancel.c
 * Usage:  ./cancel FILE
 * Needs:  Linux 4.19
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The kernel's timespec is two longs; on 32 bits with a 64-bit time_t it
 * would be another system call. */
_Static_assert(sizeof(struct timespec) == 2 * sizeof(long),
               "use SYS_io_pgetevents_time64 here");

enum { BLOCK = 65536 };         /* bytes a request */

static const char usage[] =
    "Usage: cancel FILE\n"
    "Makes FILE, or empties it, and tries to cancel writes to it; then a\n"
    "POLL request on a pipe.\n";

/*
 * Says "PROGRAM: CALL: reason" on stderr and ends the program with status 1.
 * The reason is errno's. `call` is a format like printf's, so that it can
 * name a file: die("open %s", path).
 */
static _Noreturn void die(const char *call, ...)
{
    int error = errno;
    va_list args;

    fflush(stdout);             /* what was printed first is seen first */
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, call);
    vfprintf(stderr, call, args);
    va_end(args);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(EXIT_FAILURE);
}

/* -h or --help: usage, status 0. Not min to max arguments: status 2. */
static void check_arguments(int argc, char **argv, int min, int max)
{
    int help = argc > 1 &&
               (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));

    if (!help && argc > min && argc <= max + 1 &&
        (argc < 2 || argv[1][0] != '-'))
        return;
    fputs(usage, help ? stdout : stderr);
    if (help && (fflush(stdout) != 0 || ferror(stdout)))
        die("standard output");
    exit(help ? EXIT_SUCCESS : 2);
}

/*
 * No C library has wrappers for these system calls. The parameters' types
 * matter: syscall() takes any number of arguments of any type, and an int
 * -1 passed for a long would arrive as 4294967295. All return -1 and set
 * errno on error.
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

static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

static int io_cancel(aio_context_t ctx, struct iocb *iocb,
                     struct io_event *result)
{
    return syscall(SYS_io_cancel, ctx, iocb, result);
}

/* Tries to cancel a request; prints and returns the errno, 0 if none. */
static int try_to_cancel(const char *what, aio_context_t ctx,
                         struct iocb *iocb, struct io_event *result)
{
    int error = io_cancel(ctx, iocb, result) == -1 ? errno : 0;

    printf("io_cancel, %s: %s\n", what,
           error ? strerror(error) : "cancelled");
    return error;
}

static void submit(aio_context_t ctx, struct iocb *iocb)
{
    int n = io_submit(ctx, 1, &iocb);

    if (n == 0)
        errno = EAGAIN;
    if (n != 1)
        die("io_submit");
}

/* Waits for the one event that must come; ten seconds are for ever. */
static void wait_for(aio_context_t ctx, struct io_event *event)
{
    struct timespec timeout = { .tv_sec = 10 };
    int n;

    do
        n = io_getevents(ctx, 1, 1, event, &timeout);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n != 1)
        die("io_getevents");
}

/* Writes a block, and tries to cancel that as soon as it is submitted. */
static void cancel_write(const char *what, aio_context_t ctx,
                         const char *path, int fd, void *data)
{
    struct iocb iocb;
    struct io_event event, result;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = BLOCK;
    submit(ctx, &iocb);
    try_to_cancel(what, ctx, &iocb, &result);

    /* Cancelled or not, it is in flight until its event is here. */
    wait_for(ctx, &event);
    if (event.res != BLOCK) {
        errno = event.res < 0 ? -event.res : EIO;
        die("IOCB_CMD_PWRITE %s", path);
    }
    printf("  and its event: res %lld\n", (long long)event.res);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    aio_context_t ctx = 0;
    struct iocb iocb;
    struct io_event event, result, before;
    int fd, ends[2];
    void *data;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a context, and a block that O_DIRECT can write too. */
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    errno = posix_memalign(&data, BLOCK, BLOCK);
    if (errno != 0)
        die("posix_memalign");
    memset(data, 'c', BLOCK);

    /* A buffered write is done when io_submit() returns: too late. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    cancel_write("buffered write", ctx, path, fd, data);
    if (close(fd) == -1)
        die("close %s", path);

    /* Written over past the page cache, it is on its way to the disk. */
    fd = open(path, O_WRONLY | O_DIRECT);
    if (fd == -1 && errno != EINVAL)
        die("open %s", path);
    if (fd == -1) {
        printf("no O_DIRECT on this filesystem\n");
    } else {
        cancel_write("O_DIRECT write", ctx, path, fd, data);
        if (close(fd) == -1)
            die("close %s", path);
    }

    /* A request that waits until somebody writes to the pipe. */
    if (pipe(ends) == -1)
        die("pipe");
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_data = 42;
    iocb.aio_lio_opcode = IOCB_CMD_POLL;
    iocb.aio_fildes = ends[0];
    iocb.aio_buf = POLLIN;
    submit(ctx, &iocb);

    /* The kernel knows it by the iocb's address, and by the key in there. */
    memset(&result, '?', sizeof(result));
    before = result;
    iocb.aio_key = 1;
    try_to_cancel("wrong aio_key", ctx, &iocb, &result);
    iocb.aio_key = 0;

    /* EINPROGRESS is the success here, and no word of it in `result`. */
    errno = try_to_cancel("POLL", ctx, &iocb, &result);
    if (errno != 0 && errno != EINPROGRESS)
        die("io_cancel");
    printf("  result: %s\n", memcmp(&result, &before, sizeof(result)) ?
           "filled in" : "untouched");
    try_to_cancel("a second time", ctx, &iocb, &result);

    /* The event may take some milliseconds: wait, don't look once. */
    wait_for(ctx, &event);
    printf("  and its event: data %lld, res %lld\n",
           (long long)event.data, (long long)event.res);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");
    free(data);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
