/*
 * 3-nowait.c - solution 4.3, the kernel says whether it would wait
 *
 * Reads blocks of FILE through the page cache. With RWF_NOWAIT the kernel
 * does what it can do at once, and says so where that is nothing (-EAGAIN) or
 * a part. What is missing then is read without the flag, and may take its
 * time. Where the flag is not known, nothing is lost but the answer.
 *
 * Build:  cc -o 3-nowait 3-nowait.c
 * Usage:  ./3-nowait FILE BLOCK...
 * Needs:  Linux 4.14 (RWF_NOWAIT)
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

enum { BLOCK = 4096 }; /* bytes a request */

static const char *path;
static aio_context_t ctx = 0;
static unsigned char data[BLOCK];

static void ask(int fd, long block);
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
    int fd;

    start(argc, argv, 2, 99);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    for (int i = 2; i < argc; i++)
        ask(fd, number(argv[i], 0, 1000000));

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/*
 * Reads the block from its byte `at` on. Returns the event's res, or why
 * io_submit() has refused.
 */
static long long request(int fd, long block, long at, int flags)
{
    struct io_event event;
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_rw_flags = flags,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)(data + at),
        .aio_nbytes = BLOCK - at,
        .aio_offset = (long long)block * BLOCK + at,
    };
    struct iocb *list[1] = { &iocb };
    int n;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n == -1 && flags && (errno == EOPNOTSUPP || errno == EINVAL))
        return -errno;
    if (n != 1)
        err(1, "io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_getevents");
    return event.res;
}

/* Ends the program if res is an error. */
static long check(long long res)
{
    if (res < 0) {
        errno = -res;
        err(1, "IOCB_CMD_PREAD %s", path);
    }
    return res;
}

/* First what can be had at once; the rest, if there is any, as ever. */
static void ask(int fd, long block)
{
    const char *answer = "does not wait";
    unsigned long sum = 0;
    long long res;
    long got = 0, more;

    res = request(fd, block, 0, RWF_NOWAIT);
    if (res == -EAGAIN)
        answer = "would wait";
    else if (res == -EOPNOTSUPP || res == -EINVAL)
        answer = "cannot be asked";
    else
        got = check(res);
    while (got < BLOCK) {
        more = check(request(fd, block, got, 0));
        if (more == 0)
            break; /* the end of the file */
        if (res > 0)
            answer = "would wait in part";
        got += more;
    }
    for (long i = 0; i < got; i++)
        sum += data[i];
    printf("block %ld: %s, %ld bytes, sum %lu\n", block, answer, got, sum);
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
    "Usage: 3-nowait FILE BLOCK...\n"
    "Reads blocks of 4096 bytes of FILE, the first of which is 0, and says\n"
    "which of them io_submit has to wait for.\n";

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
