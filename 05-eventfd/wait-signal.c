/*
 * wait-signal.c - completions or a signal, without a race
 *
 * A program that waits for completions must also hear of a signal: time to
 * end, time to reload. If it comes just before io_getevents() its handler
 * has run and is over, and the wait sleeps on. io_pgetevents() closes the
 * gap as ppoll() does: the signal is blocked all the time, but for the wait
 * itself, which begins by letting in what has come meanwhile.
 *
 * Build:  cc -o wait-signal wait-signal.c
 * Usage:  ./wait-signal
 * Needs:  Linux 4.19
 */
#define _GNU_SOURCE
#include <errno.h>
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

static const char usage[] =
    "Usage: wait-signal\n"
    "Waits for completions or SIGUSR1, first with io_getevents, then with\n"
    "io_pgetevents.\n";

static volatile sig_atomic_t handled;   /* how often the handler ran */

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

static int io_pgetevents(aio_context_t ctx, long min_nr, long nr,
                         struct io_event *events, struct timespec *timeout,
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

static void on_signal(int signo)
{
    (void)signo;
    handled++;
}

/* A signal to ourselves. While it is blocked it waits: it is pending. */
static void send_signal(void)
{
    if (raise(SIGUSR1) != 0)
        die("raise");
}

static void set_mask(const sigset_t *mask)
{
    if (sigprocmask(SIG_SETMASK, mask, NULL) == -1)
        die("sigprocmask");
}

/*
 * Waits for an event or SIGUSR1, whichever is first, with `mask` instead of
 * the mask that is set. EINTR without SIGUSR1 is another handler's signal:
 * not ours, wait again. (Ctrl-Z and fg give none here: the kernel begins the
 * wait again, with the whole time-out. io_getevents() says EINTR.)
 */
static int wait_with(const sigset_t *mask, aio_context_t ctx,
                     struct io_event *event, struct timespec *timeout)
{
    int n, before = handled;

    do
        n = io_pgetevents(ctx, 1, 1, event, timeout, mask);
    while (n == -1 && errno == EINTR && handled == before);
    if (n == -1 && errno != EINTR)
        die("io_pgetevents");
    return n;
}

/* How a wait ended, and how often the handler has run by then. */
static void show(const char *wait, int n)
{
    printf("%s: %d %s, handled: %d\n", wait, n == -1 ? 0 : n,
           n == -1 ? "events, interrupted" :
           n == 0 ? "events, time-out" : "event", (int)handled);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct timespec moment = { .tv_nsec = 20000000 };
    struct timespec limit = { .tv_sec = 10 };
    sigset_t blocked, unblocked;
    aio_context_t ctx = 0;
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    int n, ends[2];

    check_arguments(argc, argv, 0, 0);

    /* Set up: SIGUSR1 has a handler, and is blocked. */
    if (sigaction(SIGUSR1, &action, NULL) == -1)
        die("sigaction");
    if (sigprocmask(SIG_SETMASK, NULL, &blocked) == -1)
        die("sigprocmask");
    unblocked = blocked;
    sigaddset(&blocked, SIGUSR1);
    sigdelset(&unblocked, SIGUSR1);
    set_mask(&blocked);
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /*
     * Wrong: two calls, and a signal that comes before the second. Here it
     * is pending, so its handler runs as the first one lets it in. Nothing
     * is left to end the wait: without a time-out it would be for ever.
     */
    send_signal();
    set_mask(&unblocked);
    do
        n = io_getevents(ctx, 1, 1, &event, &moment);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    show("unblock, then io_getevents", n);
    set_mask(&blocked);

    /* Right: one call lets it in and waits, with nothing in between. */
    send_signal();
    n = wait_with(&unblocked, ctx, &event, &limit);
    show("io_pgetevents", n);

    /* After the wait the old mask is back: the next one is pending again. */
    send_signal();
    printf("signal after the wait, handled: %d\n", (int)handled);

    /* An event too, of a POLL on a pipe with a byte: neither is lost. */
    if (pipe(ends) == -1)
        die("pipe");
    if (write(ends[1], "x", 1) == -1)
        die("write");
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_POLL;
    iocb.aio_fildes = ends[0];
    iocb.aio_buf = POLLIN;
    if (io_submit(ctx, 1, list) != 1)
        die("io_submit");
    n = wait_with(&unblocked, ctx, &event, &limit);
    show("io_pgetevents with an event", n);

    /* And with neither it ends as io_getevents() does. */
    n = wait_with(&unblocked, ctx, &event, &moment);
    show("io_pgetevents with neither", n);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
