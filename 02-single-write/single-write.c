/*
 * single-write.c - one request, one event
 *
 * Writes TEXT, and shows each field of the request and of its event. Errors are
 * in two places: io_submit() refuses a request, or `res` of the event has one.
 *
 * Build:  cc -o single-write single-write.c
 * Usage:  ./single-write FILE [TEXT [OFFSET]]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

static const char *path;

static void show_both(const struct iocb *iocb, const struct io_event *event);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    const char *text = argc > 2 ? argv[2] : "Hello, asynchronous world!\n";
    aio_context_t ctx = 0;
    long offset;
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    int fd, n;

    start(argc, argv, 1, 3);
    path = argv[1];
    offset = argc > 3 ? number(argv[3], 0, LONG_MAX) : 0;
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* Prepare: what is not named here is 0, and the kernel checks that. */
    iocb = (struct iocb){
        .aio_data = 42,
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)text,
        .aio_nbytes = strlen(text),
        .aio_offset = offset,
    };

    /* Submit: the first place for errors. The request was not taken. */
    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_submit");

    /* Wait for one event. Ctrl-Z and fg are enough to interrupt it. */
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");
    show_both(&iocb, &event);

    /* Check: the second place for errors. `res` tells, errno does not. */
    if (event.res < 0) {
        errno = -event.res;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    if ((size_t)event.res != strlen(text)) {
        errno = EIO;
        err(1, "IOCB_CMD_PWRITE %s: only %lld of %zu bytes written", path,
            (long long)event.res, strlen(text));
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

static void show(const char *field, long long value, const char *meaning)
{
    printf("  %-14s %3lld  %s\n", field, value, meaning);
}

/* The request, as the kernel has left it, and the event. */
static void show_both(const struct iocb *iocb, const struct io_event *event)
{
    printf("struct iocb, 64 bytes:\n");
    show("aio_data", iocb->aio_data, "ours: comes back in the event");
    show("aio_key", iocb->aio_key, "the kernel's: it writes 0 here");
    show("aio_rw_flags", iocb->aio_rw_flags, "RWF_ flags, as in pwritev2()");
    show("aio_lio_opcode", iocb->aio_lio_opcode, "IOCB_CMD_PWRITE");
    show("aio_reqprio", iocb->aio_reqprio, "used with IOCB_FLAG_IOPRIO");
    show("aio_fildes", iocb->aio_fildes, "file descriptor");
    printf("  %-14s   -  address of the text\n", "aio_buf");
    show("aio_nbytes", iocb->aio_nbytes, "bytes");
    show("aio_offset", iocb->aio_offset, "bytes from the file's start");
    show("aio_reserved2", iocb->aio_reserved2, "must be 0");
    show("aio_flags", iocb->aio_flags, "IOCB_FLAG_RESFD, IOCB_FLAG_IOPRIO");
    show("aio_resfd", iocb->aio_resfd, "used with IOCB_FLAG_RESFD");
    printf("io_submit: 1 request taken\n");
    printf("io_getevents: 1 event\n");
    printf("struct io_event, 32 bytes:\n");
    show("data", event->data, "aio_data of the request");
    printf("  %-14s   -  address of %s iocb\n", "obj",
           event->obj == (uintptr_t)iocb ? "our" : "another");
    show("res", event->res, "bytes written, or a negative errno");
    show("res2", event->res2, "0 always, after errors too");
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
    "Usage: single-write FILE [TEXT [OFFSET]]\n"
    "Makes FILE, or empties it, and writes TEXT to it at OFFSET (0).\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    warnx("'%s' is not a number from %ld to %ld", text, min, max);
    fputs(usage, stderr);
    exit(2);
}
