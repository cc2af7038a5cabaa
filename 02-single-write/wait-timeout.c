/*
 * wait-timeout.c - all that io_getevents can return
 *
 * Asks for events when there are enough, some or none of them, with and
 * without a time-out, and lets a signal come meanwhile. One request that is
 * never done is in flight all the time; the others are done at once.
 *
 * Build:  cc -o wait-timeout wait-timeout.c
 * Usage:  ./wait-timeout
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static void submit_polls(aio_context_t ctx, int fd, int events, int nr);
static int wait_with_signals(aio_context_t ctx, int flags);
static void show(const char *what, int n);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    static const struct io_event constant[4]; /* cannot be written */
    struct io_event events[4];
    struct __kernel_old_timespec zero = { 0, 0 }, brief = { 0, 20000000 };
    struct __kernel_old_timespec timeout = { 10, 0 };
    aio_context_t ctx = 0;
    int ends[2];

    start(argc, argv, 0, 0);

    /*
     * An empty pipe can never be read, and always be written to: so a
     * request for the one stays in flight, and one for the other is done,
     * its event in the ring, before io_submit returns.
     */
    if (pipe(ends) == -1)
        err(1, "pipe");
    if (io_setup(8, &ctx) == -1)
        err(1, "io_setup");
    submit_polls(ctx, ends[0], POLLIN, 1);

    /* Enough: at least min_nr, and all that are there up to nr. */
    submit_polls(ctx, ends[1], POLLOUT, 4);
    show("4 events ready, min_nr 1, nr 3, 10 s",
         io_getevents(ctx, 1, 3, events, &timeout));
    show("1 event ready, min_nr 1, nr 3, 10 s",
         io_getevents(ctx, 1, 3, events, &timeout));

    /* Not enough: waits, and takes what there is when the time is up. */
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 event ready, min_nr 2, nr 3, 20 ms",
         io_getevents(ctx, 2, 3, events, &brief));
    show("0 events ready, min_nr 2, nr 3, 20 ms",
         io_getevents(ctx, 2, 3, events, &brief));
    show("0 events ready, min_nr 2, nr 3, 0 ms",
         io_getevents(ctx, 2, 3, events, &zero));

    /* The kernel does not count the time-out down: use it again. */
    printf("the time-out afterwards: %ld ms\n", (long)brief.tv_nsec / 1000000);

    /* min_nr 0 is never a wait, not even without a time-out. */
    show("0 events ready, min_nr 0, nr 3, no time-out",
         io_getevents(ctx, 0, 3, events, NULL));
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 event ready, min_nr 0, nr 3, no time-out",
         io_getevents(ctx, 0, 3, events, NULL));

    /*
     * A signal ends the wait. Only if there is no event at all is that an
     * error, and SA_RESTART does not help: so each loop around io_getevents
     * needs to deal with EINTR, and with fewer than min_nr.
     */
    show("0 events ready, min_nr 2, nr 4, signal", wait_with_signals(ctx, 0));
    show("0 events ready, min_nr 2, nr 4, signal with SA_RESTART",
         wait_with_signals(ctx, SA_RESTART));
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 event ready, min_nr 2, nr 4, signal", wait_with_signals(ctx, 0));

    /* An event that cannot be copied is not lost. */
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 event ready, min_nr 1, nr 4, into a constant",
         io_getevents(ctx, 1, 4, (struct io_event *)constant, &timeout));
    show("1 event ready, min_nr 1, nr 4, into a variable",
         io_getevents(ctx, 1, 4, events, &timeout));

    /* What makes no sense. */
    show("0 events ready, min_nr 2, nr 1",
         io_getevents(ctx, 2, 1, events, &zero));

    /* Tear down. This also ends the request that is still in flight. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    return EXIT_SUCCESS;
}

/* `nr` requests to be told when one of `events` is possible on `fd`. */
static void submit_polls(aio_context_t ctx, int fd, int events, int nr)
{
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = fd,
        .aio_buf = events,
    };
    struct iocb *list[1] = { &iocb };
    int n;

    for (int i = 0; i < nr; i++) {
        do
            n = io_submit(ctx, 1, list);
        while (n == -1 && errno == EINTR);
        if (n != 1)
            err(1, "io_submit");
    }
}

static void show(const char *what, int n)
{
    if (n == -1)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: returns %d\n", what, n);
}

static void on_alarm(int sig)
{
    (void)sig; /* to interrupt is all that it is for */
}

/*
 * Waits for two events while signals come, again and again: a single one
 * might come too early, before the wait has begun.
 */
static int wait_with_signals(aio_context_t ctx, int flags)
{
    const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event events[4];
    int n, error;

    if (sigaction(SIGALRM, &action, NULL) == -1)
        err(1, "sigaction");
    if (setitimer(ITIMER_REAL, &often, NULL) == -1)
        err(1, "setitimer");
    n = io_getevents(ctx, 2, 4, events, &timeout);
    error = errno;
    if (setitimer(ITIMER_REAL, &never, NULL) == -1)
        err(1, "setitimer");
    errno = error;
    return n;
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

static const char usage[] = "Usage: wait-timeout\n"
                            "Shows every way in which io_getevents returns.\n";

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
