/*
 * 1-read-one.c - solution 2.1, one read and what can come of it
 *
 * Reads LENGTH bytes of FILE, beginning at OFFSET, with one request. `res`
 * is what pread() would have returned. Fewer bytes than asked for, and none
 * at the end of the file, are answers. Only a negative number is an error.
 *
 * Build:  cc -o 1-read-one 1-read-one.c
 * Usage:  ./1-read-one FILE [OFFSET [LENGTH]]
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
#include <sys/syscall.h>
#include <unistd.h>

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
    const char *path;
    long offset = 0, length = 64;
    aio_context_t ctx = 0;
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    char *data;
    int fd, n;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        offset = number(argv[2], 0, LONG_MAX);
    if (argc > 3)
        length = number(argv[3], 1, 1048576);

    /* Set up: a file, a buffer and a context. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    data = malloc(length);
    if (data == NULL)
        err(1, "malloc");
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* Prepare: what, into which memory, how much, from where. */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = length,
        .aio_offset = offset,
    };

    /* Submit, and wait for the event. */
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

    /* Check: an error has a minus sign. */
    if (event.res < 0) {
        errno = -event.res;
        err(1, "IOCB_CMD_PREAD %s", path);
    }
    printf("%ld bytes at %ld: ", length, offset);
    if (event.res == 0)
        printf("none, the end of the file\n");
    else if (event.res < length)
        printf("only %ld\n", (long)event.res);
    else
        printf("all\n");

    /* Behind these bytes the buffer holds whatever it held before. */
    fwrite(data, 1, event.res, stdout);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
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
    "Usage: 1-read-one FILE [OFFSET [LENGTH]]\n"
    "Reads LENGTH (64) bytes of FILE from OFFSET (0) with one request.\n";

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
