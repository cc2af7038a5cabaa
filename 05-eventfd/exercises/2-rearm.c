/*
 * 2-rearm.c - exercise 5.2, find the bug
 *
 * Sends messages through a pipe, one by one, and reads each of them when an
 * IOCB_CMD_POLL says that there is one. The first arrives. Of the second
 * nobody is told.
 *
 * Task:   Have all MESSAGES arrive. No read before the event says so; and no
 *         new request before the read, for it would tell of the old message.
 * Output: "messages: N", status 0. If there is no event within a second, status
 *         1 and "2-rearm: io_getevents: reason", as it does now.
 * Read:   05-eventfd/README.md, line 210 (Can AIO itself be the event loop?);
 *         05-eventfd/poll-requests.c
 * Check:  make exercise-5.2
 *
 * Build:  cc -o 2-rearm 2-rearm.c
 * Usage:  ./2-rearm [MESSAGES]
 * Needs:  Linux 4.19 (IOCB_CMD_POLL)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(struct timespec) == 2 * sizeof(long),
               "use SYS_io_pgetevents_time64 here");

static const char usage[] =
    "Usage: 2-rearm [MESSAGES]\n"
    "Sends MESSAGES (5) through a pipe, and reads each when it is told to.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    fprintf(stderr, "%s: '%s' is not a number from %ld to %ld\n%s",
            program_invocation_short_name, text, min, max, usage);
    exit(2);
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

int main(int argc, char **argv)
{
    struct timespec timeout = { 1, 0 };
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    long messages = 5, got = 0;
    aio_context_t ctx = 0;
    char letter = '!';
    int ends[2], n;

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        messages = number(argv[1], 0, 1000000);

    /* Set up: a pipe, and a request to be told when it can be read. */
    if (pipe(ends) == -1)
        die("pipe");
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_POLL;
    iocb.aio_fildes = ends[0];
    iocb.aio_buf = POLLIN;

    /* EDIT HERE: how often does a request tell? */
    if (io_submit(ctx, 1, list) == -1)
        die("io_submit");

    while (got < messages) {
        if (write(ends[1], &letter, 1) == -1)
            die("write pipe");

        /* Wait to be told, but no longer than a second. */
        do
            n = io_getevents(ctx, 1, 1, &event, &timeout);
        while (n == -1 && errno == EINTR);
        if (n == 0)
            errno = ETIMEDOUT;
        if (n != 1)
            die("io_getevents");
        if (event.res < 0 || !(event.res & POLLIN)) {
            errno = event.res < 0 ? -event.res : EIO;
            die("IOCB_CMD_POLL");
        }
        if (read(ends[0], &letter, 1) == -1)
            die("read pipe");
        got++;
    }
    printf("messages: %ld\n", got);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close pipe");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
