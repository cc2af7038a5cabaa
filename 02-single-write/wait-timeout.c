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
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* The kernel's timespec is two longs; on 32 bits with a 64-bit time_t it
 * would be another system call. */
_Static_assert(sizeof(struct timespec) == 2 * sizeof(long),
               "use SYS_io_pgetevents_time64 here");

static const char usage[] =
    "Usage: wait-timeout\n"
    "Shows every way in which io_getevents returns.\n";

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

/* `nr` requests to be told when one of `events` is possible on `fd`. */
static void submit_polls(aio_context_t ctx, int fd, int events, int nr)
{
    struct iocb iocb;
    struct iocb *list[1] = { &iocb };

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_POLL;
    iocb.aio_fildes = fd;
    iocb.aio_buf = events;
    for (int i = 0; i < nr; i++)
        if (io_submit(ctx, 1, list) != 1)
            die("io_submit");
}

static void show(const char *what, int n)
{
    if (n == -1)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %d\n", what, n);
}

static void on_alarm(int sig)
{
    (void)sig;                  /* to interrupt is all that it is for */
}

/*
 * Waits for two events while signals come, again and again: a single one
 * might come too early, before the wait has begun.
 */
static int wait_with_signals(aio_context_t ctx, int flags)
{
    const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action;
    struct timespec timeout = { 10, 0 };
    struct io_event events[4];
    sigset_t set;
    int n, error;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    action.sa_flags = flags;
    if (sigaction(SIGALRM, &action, NULL) == -1)
        die("sigaction");
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);           /* who started us may block it */
    if (sigprocmask(SIG_UNBLOCK, &set, NULL) == -1)
        die("sigprocmask");
    if (setitimer(ITIMER_REAL, &often, NULL) == -1)
        die("setitimer");
    n = io_getevents(ctx, 2, 4, events, &timeout);
    error = errno;
    if (setitimer(ITIMER_REAL, &never, NULL) == -1)
        die("setitimer");
    errno = error;
    return n;
}

int main(int argc, char **argv)
{
    static const struct io_event constant[4];   /* cannot be written */
    struct io_event events[4];
    struct timespec zero = { 0, 0 }, brief = { 0, 20000000 };
    struct timespec timeout = { 10, 0 };
    aio_context_t ctx = 0;
    int ends[2];

    check_arguments(argc, argv, 0, 0);

    /*
     * An empty pipe can never be read, and always be written to: so a
     * request for the one stays in flight, and one for the other is done,
     * its event in the ring, before io_submit returns.
     */
    if (pipe(ends) == -1)
        die("pipe");
    if (io_setup(8, &ctx) == -1)
        die("io_setup");
    submit_polls(ctx, ends[0], POLLIN, 1);

    /* Enough: at least min_nr, and all that are there up to nr. */
    submit_polls(ctx, ends[1], POLLOUT, 4);
    show("4 done, min_nr 1, nr 3",
         io_getevents(ctx, 1, 3, events, &timeout));
    show("1 left, min_nr 1, nr 3",
         io_getevents(ctx, 1, 3, events, &timeout));

    /* Not enough: waits, and takes what there is when the time is up. */
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 done, min_nr 2, nr 3, 20 ms",
         io_getevents(ctx, 2, 3, events, &brief));
    show("0 done, min_nr 2, nr 3, 20 ms",
         io_getevents(ctx, 2, 3, events, &brief));
    show("0 done, min_nr 2, nr 3, 0 ms",
         io_getevents(ctx, 2, 3, events, &zero));

    /* The kernel does not count the time-out down: use it again. */
    printf("the time-out afterwards: %ld ms\n", brief.tv_nsec / 1000000);

    /* min_nr 0 is never a wait, not even with no limit of time. */
    show("0 done, min_nr 0, nr 3, no limit",
         io_getevents(ctx, 0, 3, events, NULL));
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 done, min_nr 0, nr 3, no limit",
         io_getevents(ctx, 0, 3, events, NULL));

    /*
     * A signal ends the wait. Only if there is no event at all is that an
     * error, and SA_RESTART does not help: so each loop around io_getevents
     * needs to deal with EINTR, and with fewer than min_nr.
     */
    show("0 done, min_nr 2, nr 4, signal", wait_with_signals(ctx, 0));
    show("0 done, min_nr 2, nr 4, signal with SA_RESTART",
         wait_with_signals(ctx, SA_RESTART));
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 done, min_nr 2, nr 4, signal", wait_with_signals(ctx, 0));

    /* An event that cannot be copied is not lost. */
    submit_polls(ctx, ends[1], POLLOUT, 1);
    show("1 done, min_nr 1, nr 4, into a constant",
         io_getevents(ctx, 1, 4, (struct io_event *)constant, &timeout));
    show("the same, min_nr 1, nr 4, into a variable",
         io_getevents(ctx, 1, 4, events, &timeout));

    /* What makes no sense. */
    show("0 done, min_nr 2, nr 1", io_getevents(ctx, 2, 1, events, &zero));

    /* Tear down. This also ends the request that is still in flight. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
