/*
 * single-read.c - short, nothing, or an error: what a read can come to
 *
 * Reads LENGTH bytes of FILE at OFFSET with one request, then one byte at the
 * end of the file. Then makes two mistakes. The kernel finds out about a bad
 * buffer only when it copies the data, so the event carries that error. Of a
 * bad descriptor io_submit() itself says so.
 *
 * Build:  cc -o single-read single-read.c
 * Usage:  ./single-read FILE [OFFSET [LENGTH]]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <ctype.h>
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
#include <sys/syscall.h>
#include <unistd.h>

static const char *path;

static struct iocb read_request(int fd, const void *data, long length,
                                long long offset);
static long long perform(aio_context_t ctx, struct iocb *iocb);
static void check(const char *command, const char *file, long long res);
static void show(long long res, long length, int at_end);
static void show_data(const char *data, long length);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    static const char constant[16]; /* memory that cannot be written */
    long long offset = 0, size, res;
    long length = 64;
    aio_context_t ctx = 0;
    struct iocb iocb, *list[1] = { &iocb };
    char *data;
    int fd;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        offset = number(argv[2], 0, LONG_MAX);
    if (argc > 3)
        length = number(argv[3], 0, 1048576);

    /* Set up: a file, a buffer and a context. */
    fd = open(path, O_RDONLY | O_NONBLOCK); /* nobody waits for a pipe, */
    if (fd == -1 && errno == EWOULDBLOCK)   /* but for a server's lease */
        fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (lseek(fd, 0, SEEK_CUR) == -1) /* nor for what comes out of one */
        err(1, "lseek %s", path);
    data = malloc(length + 1); /* malloc(0) may give NULL */
    if (data == NULL)
        err(1, "malloc");
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* A read that reaches past the end of the file is short. */
    iocb = read_request(fd, data, length, offset);
    res = perform(ctx, &iocb);
    check("IOCB_CMD_PREAD", path, res);
    size = lseek(fd, 0, SEEK_END); /* of a disk as well; fstat() says 0 */
    if (size == -1)
        err(1, "lseek %s", path);
    printf("%ld bytes at %lld: ", length, offset);
    show(res, length, offset + res >= size);
    show_data(data, res);

    /* One that begins there is 0: the same sign as from read(). */
    iocb = read_request(fd, data, 1, size);
    res = perform(ctx, &iocb);
    check("IOCB_CMD_PREAD", path, res);
    printf("1 byte at %lld: ", size);
    show(res, 1, 1);

    /* A bad buffer: taken all the same, and the event tells. */
    iocb = read_request(fd, constant, 1, 0);
    res = perform(ctx, &iocb);
    if (res != -EFAULT)
        check("IOCB_CMD_PREAD", path, res);
    printf("into a constant: taken by io_submit, ");
    show(res, 1, 1);

    /* A bad descriptor: io_submit refuses it, and there is no event. */
    iocb = read_request(-1, data, 1, 0);
    if (io_submit(ctx, 1, list) == -1)
        printf("from descriptor -1: refused by io_submit, %s\n",
               strerror(errno));

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

static struct iocb read_request(int fd, const void *data, long length,
                                long long offset)
{
    return (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = length,
        .aio_offset = offset,
    };
}

/* Submits one request and waits for its event. Returns the event's res. */
static long long perform(aio_context_t ctx, struct iocb *iocb)
{
    struct iocb *list[1] = { iocb };
    struct io_event event;
    int n;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");
    return event.res;
}

/* Ends the program if a request has failed; errno does not know of it. */
static void check(const char *command, const char *file, long long res)
{
    if (res < 0) {
        errno = -res;
        err(1, "%s %s", command, file);
    }
}

/* What the event says. Only a negative `res` is an error. */
static void show(long long res, long length, int at_end)
{
    const char *why = at_end ? ": the file ends there" : "";

    if (res < 0)
        printf("res %lld, %s\n", res, strerror(-res));
    else if (res == 0 && length > 0)
        printf("res 0, the end of the file\n");
    else if (res < length)
        printf("res %lld, short%s\n", res, why);
    else
        printf("res %lld, all of it\n", res);
}

/* The data as text, with a dot for each byte that is no letter or the like. */
static void show_data(const char *data, long length)
{
    printf("data: ");
    for (long i = 0; i < length; i++)
        putchar(isprint((unsigned char)data[i]) ? data[i] : '.');
    putchar('\n');
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
    "Usage: single-read FILE [OFFSET [LENGTH]]\n"
    "Reads LENGTH bytes (64) of FILE at OFFSET (0) with one request.\n";

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
