/*
 * context-limits.c - how many requests a context really holds
 *
 * NR_EVENTS is the least that a context has room for, not the most. Shows
 * the size of its completion ring, and how many requests it really takes.
 * They are POLL requests on an empty pipe: those stay in flight for as long
 * as we like.
 *
 * Build:  cc -o context-limits context-limits.c
 * Usage:  ./context-limits [NR_EVENTS]
 * Needs:  Linux 4.19 (IOCB_CMD_POLL)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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

/* What ctx is the address of: the ring that completions come through. */
struct aio_ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
};

static void show_ring(aio_context_t ctx), reap_all(aio_context_t ctx, long nr);
static long fill_with_polls(aio_context_t ctx, int fd);
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
    unsigned nr_events = 32;
    aio_context_t ctx = 0;
    long taken;
    int ends[2];

    start(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);
    if (io_setup(nr_events, &ctx) == -1)
        err(1, "io_setup");
    printf("nr_events: %u\n", nr_events);
    show_ring(ctx);

    /* Until there is no place left for one more event. */
    if (pipe(ends) == -1)
        err(1, "pipe");
    taken = fill_with_polls(ctx, ends[0]);
    printf("requests taken: %ld, then: %s\n", taken, strerror(errno));

    /* A byte in the pipe completes them all. That alone makes no room. */
    if (write(ends[1], "!", 1) != 1)
        err(1, "write");
    taken += fill_with_polls(ctx, ends[0]);
    printf("all done, none reaped: %s\n", strerror(errno));
    reap_all(ctx, taken);
    taken = fill_with_polls(ctx, ends[0]);
    printf("all reaped: %s\n", taken > 0 ? "there is room" : strerror(errno));

    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return EXIT_SUCCESS;
}

/*
 * The ring is larger. Each CPU keeps some free places for itself, so the
 * kernel doubles the number (after raising it to four for each CPU that there
 * may be), adds two, and then fills up whole pages.
 */
static void show_ring(aio_context_t ctx)
{
    const struct aio_ring *ring = (const void *)(uintptr_t)ctx;

    if (ring->magic == 0xa10a10a1 && ring->incompat_features == 0)
        printf("ring: %u places\n", ring->nr);
    else
        printf("ring: of another kind\n");
}

/*
 * Submits requests to be told when `fd` can be read, until io_submit() says
 * EAGAIN. Returns how many were taken. The kernel copies what it takes: one
 * iocb is enough for all.
 */
static long fill_with_polls(aio_context_t ctx, int fd)
{
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = fd,
        .aio_buf = POLLIN,
    };
    struct iocb *list[64];
    long taken = 0;
    int n;

    for (int i = 0; i < 64; i++)
        list[i] = &iocb;
    while ((n = io_submit(ctx, 64, list)) != -1 || errno == EINTR)
        if (n > 0)
            taken += n;
    if (errno != EAGAIN)
        err(1, "io_submit");
    return taken;
}

/* Takes `nr` events, as many at a time as there are. */
static void reap_all(aio_context_t ctx, long nr)
{
    struct io_event events[64];

    while (nr > 0) {
        int n = io_getevents(ctx, 1, 64, events, NULL);

        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        if (n > 0)
            nr -= n;
    }
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
    "Usage: context-limits [NR_EVENTS]\n"
    "Shows what an AIO context for NR_EVENTS requests (32) really holds.\n";

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
