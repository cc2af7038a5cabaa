/*
 * wait-signal.c - completions or a signal, without a race
 *
 * A signal comes just before io_getevents(): its handler has run and is over,
 * and the wait sleeps on. io_pgetevents() closes the gap as ppoll() does: the
 * signal is blocked all the time, but for the wait itself, which begins by
 * letting in what has come meanwhile.
 *
 * Build:  cc -o wait-signal wait-signal.c
 * Usage:  ./wait-signal
 * Needs:  Linux 4.19
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
#include <unistd.h>

static volatile sig_atomic_t handled; /* how often the handler ran */

static void on_signal(int signo);
static void wait_for(const char *what, aio_context_t ctx,
                     struct __kernel_old_timespec *timeout,
                     const sigset_t *mask);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);
static int io_pgetevents(aio_context_t ctx, long min_nr, long nr,
                         struct io_event *events,
                         struct __kernel_old_timespec *timeout,
                         const sigset_t *sigmask);

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct __kernel_old_timespec moment = { 0, 20000000 }, limit = { 10, 0 };
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
    struct iocb *list[1] = { &iocb };
    sigset_t blocked, unblocked;
    aio_context_t ctx = 0;
    int ends[2];

    start(argc, argv, 0, 0);

    /* SIGUSR1 has a handler, and is blocked: if sent, it is pending. */
    if (sigaction(SIGUSR1, &action, NULL) == -1)
        err(1, "sigaction");
    if (sigprocmask(SIG_SETMASK, NULL, &blocked) == -1)
        err(1, "sigprocmask");
    unblocked = blocked;
    sigaddset(&blocked, SIGUSR1);
    sigdelset(&unblocked, SIGUSR1);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) == -1)
        err(1, "sigprocmask");
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* Wrong: two calls. The handler runs as the first one lets it in, so
     * nothing is left to end the wait but the time-out. */
    if (raise(SIGUSR1) != 0)
        err(1, "raise");
    if (sigprocmask(SIG_SETMASK, &unblocked, NULL) == -1)
        err(1, "sigprocmask");
    wait_for("unblock, then io_getevents", ctx, &moment, NULL);
    if (sigprocmask(SIG_SETMASK, &blocked, NULL) == -1)
        err(1, "sigprocmask");

    /* Right: one call lets it in and waits, with nothing in between. */
    if (raise(SIGUSR1) != 0)
        err(1, "raise");
    wait_for("io_pgetevents", ctx, &limit, &unblocked);

    /* After the wait the old mask is back: the next one is pending again. */
    if (raise(SIGUSR1) != 0)
        err(1, "raise");
    printf("signal after the wait, handled: %d\n", (int)handled);

    /* An event too, of a POLL on a pipe with a byte: neither is lost. */
    if (pipe(ends) == -1)
        err(1, "pipe");
    if (write(ends[1], "x", 1) == -1)
        err(1, "write");
    iocb.aio_fildes = ends[0];
    while (io_submit(ctx, 1, list) == -1)
        if (errno != EINTR)
            err(1, "io_submit");
    wait_for("io_pgetevents with an event", ctx, &limit, &unblocked);

    /* And with neither it ends as io_getevents() does. */
    wait_for("io_pgetevents with neither", ctx, &moment, &unblocked);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    return EXIT_SUCCESS;
}

/*
 * Waits for an event or SIGUSR1, whichever is first: with io_getevents(), or
 * if there is a `mask` with io_pgetevents() and that one. EINTR without
 * SIGUSR1 is not for us (Ctrl-Z and fg, say): wait again.
 */
static void wait_for(const char *what, aio_context_t ctx,
                     struct __kernel_old_timespec *timeout,
                     const sigset_t *mask)
{
    struct io_event event;
    int n, before = handled;

    do
        n = mask ? io_pgetevents(ctx, 1, 1, &event, timeout, mask)
                 : io_getevents(ctx, 1, 1, &event, timeout);
    while (n == -1 && errno == EINTR && handled == before);
    if (n == -1 && errno != EINTR)
        err(1, mask ? "io_pgetevents" : "io_getevents");
    printf("%s: %s, handled: %d\n", what,
           n == 1   ? "1 event"
           : n == 0 ? "0 events, time-out"
                    : "0 events, interrupted",
           (int)handled);
}

static void on_signal(int signo)
{
    (void)signo;
    handled++;
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

static int io_pgetevents(aio_context_t ctx, long min_nr, long nr,
                         struct io_event *events,
                         struct __kernel_old_timespec *timeout,
                         const sigset_t *sigmask)
{
    /* Six arguments are all that a system call can have: mask and size
     * share one. The size is the kernel's, not the C library's. */
    const struct {
        const sigset_t *sigmask;
        size_t sigsetsize;
    } sig = { sigmask, _NSIG / 8 };

    return syscall(SYS_io_pgetevents, ctx, min_nr, nr, events, timeout, &sig);
}

static const char usage[] = "Usage: wait-signal\n"
                            "Waits for completions or SIGUSR1, in two ways.\n";

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
