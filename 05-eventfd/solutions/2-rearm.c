/*
 * 2-rearm.c - solution 5.2, a request tells once
 *
 * IOCB_CMD_POLL is one-shot: it becomes one event, and is over. Whoever wants
 * to be told again submits it again. That costs no call of its own where many
 * are submitted together. It is like EPOLLONESHOT, not like plain epoll.
 *
 * Build:  cc -o 2-rearm 2-rearm.c
 * Usage:  ./2-rearm [MESSAGES]
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
#include <sys/syscall.h>
#include <unistd.h>

static void submit(aio_context_t ctx, struct iocb *iocb);
static long long wait_for_event(aio_context_t ctx);
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
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
    long messages = 5, got = 0;
    aio_context_t ctx = 0;
    char letter = '!';
    int ends[2];

    start(argc, argv, 0, 1);
    if (argc > 1)
        messages = number(argv[1], 0, 1000000);
    if (pipe(ends) == -1)
        err(1, "pipe");
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* A request to be told when the pipe can be read. */
    iocb.aio_fildes = ends[0];

    while (got < messages) {
        /* Arm it, for each message anew. The iocb can stay as it is. */
        submit(ctx, &iocb);
        if (write(ends[1], &letter, 1) == -1)
            err(1, "write pipe");
        if (!(wait_for_event(ctx) & POLLIN))
            errx(1, "IOCB_CMD_POLL: no POLLIN");
        if (read(ends[0], &letter, 1) == -1)
            err(1, "read pipe");
        got++;
    }
    printf("messages: %ld\n", got);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close pipe");
    return EXIT_SUCCESS;
}

static void submit(aio_context_t ctx, struct iocb *iocb)
{
    int n;

    do
        n = io_submit(ctx, 1, &iocb);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_submit");
}

/* Waits for an event, but no longer than a second, and returns its `res`. */
static long long wait_for_event(aio_context_t ctx)
{
    struct __kernel_old_timespec timeout = { .tv_sec = 1 };
    struct io_event event;
    int n;

    do
        n = io_getevents(ctx, 1, 1, &event, &timeout);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n != 1)
        err(1, "io_getevents");
    errno = -event.res;
    if (event.res < 0)
        err(1, "IOCB_CMD_POLL");
    return event.res;
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
    "Usage: 2-rearm [MESSAGES]\n"
    "Sends MESSAGES (5) through a pipe, and reads each when it is told to.\n";

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
