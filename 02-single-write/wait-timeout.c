/*
 * wait-timeout.c - all that io_getevents can return
 *
 * Asks for events when there are enough, some or none of them, with and without
 * a time-out, and lets a signal come meanwhile.
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

static aio_context_t ctx;
static int ends[2];               /* a pipe that stays empty */
static struct io_event events[4]; /* what io_getevents() copies to */

static void submit_poll(int fd, int what), send_signals(int flags);
static void get(int ready, long min_nr, long nr, struct io_event *to,
                struct __kernel_old_timespec *timeout, const char *how);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct __kernel_old_timespec s10 = { 10, 0 }, ms20 = { 0, 20000000 };
    struct __kernel_old_timespec zero = { 0, 0 };

    start(argc, argv, 0, 0);
    if (pipe(ends) == -1)
        err(1, "pipe");
    if (io_setup(8, &ctx) == -1)
        err(1, "io_setup");
    submit_poll(ends[0], POLLIN); /* stays in flight: nobody writes */

    /* Enough: at least min_nr, and all that are there up to nr. */
    get(4, 1, 3, events, &s10, "10 s");
    get(1, 1, 3, events, &s10, "10 s");

    /* Not enough: waits, and takes what there is when the time is up. */
    get(1, 2, 3, events, &ms20, "20 ms");
    get(0, 2, 3, events, &ms20, "20 ms");
    get(0, 2, 3, events, &zero, "0 ms");

    /* The kernel does not count the time-out down: use it again. */
    printf("the time-out afterwards: %ld ms\n", (long)ms20.tv_nsec / 1000000);

    /* min_nr 0 is never a wait, not even without a time-out. */
    get(0, 0, 3, events, NULL, "no time-out");
    get(1, 0, 3, events, NULL, "no time-out");

    /*
     * A signal ends the wait. Only if there is no event at all is that an
     * error, and SA_RESTART does not help: so each loop around io_getevents
     * needs to deal with EINTR, and with fewer than min_nr.
     */
    send_signals(0);
    get(0, 2, 4, events, &s10, "signal");
    send_signals(SA_RESTART);
    get(0, 2, 4, events, &s10, "signal with SA_RESTART");
    send_signals(0);
    get(1, 2, 4, events, &s10, "signal");

    /* An event that cannot be copied is not lost. */
    get(1, 1, 4, NULL, &s10, "into NULL");
    get(1, 1, 4, events, &s10, "into a variable");

    /* What makes no sense. */
    get(0, 2, 1, events, &zero, "0 ms");

    /* Tear down. This also ends the request that is still in flight. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    return EXIT_SUCCESS;
}

/*
 * Asks for events when `ready` are in the ring. They come from the pipe: it can
 * always be written to, so an event is there before io_submit() returns.
 */
static void get(int ready, long min_nr, long nr, struct io_event *to,
                struct __kernel_old_timespec *timeout, const char *how)
{
    static int there; /* events in the ring */
    const char *error;
    int n;

    for (; there < ready; there++)
        submit_poll(ends[1], POLLOUT);
    n = io_getevents(ctx, min_nr, nr, to, timeout);
    error = strerror(errno);
    alarm(0); /* no more signals: output is not to be interrupted */
    printf("%d event%s ready, min_nr %ld, nr %ld, %s: ", ready,
           ready == 1 ? "" : "s", min_nr, nr, how);
    if (n == -1) {
        printf("%s\n", error);
        return;
    }
    printf("returns %d\n", n);
    there -= n;
}

/* A request to be told when one of `what` is possible on `fd`. */
static void submit_poll(int fd, int what)
{
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = fd,
        .aio_buf = what,
    };
    struct iocb *list[1] = { &iocb };
    int n;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_submit");
}

static void on_alarm(int sig)
{
    (void)sig; /* to interrupt is all that it is for */
}

/* Again and again: a single signal might come before the wait has begun. */
static void send_signals(int flags)
{
    const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
    sigset_t mask;

    if (sigaction(SIGALRM, &action, NULL) == -1)
        err(1, "sigaction");
    sigemptyset(&mask); /* whoever started us may have blocked it */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (setitimer(ITIMER_REAL, &often, NULL) == -1)
        err(1, "setitimer");
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
