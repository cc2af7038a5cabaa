/*
 * 4-hang-up.c - exercise 5.4, find the bug (medium)
 *
 * A server reads what its clients send it through pipes, one client after the
 * other, and hangs up when a client is silent. A client that goes on sending
 * should get "Broken pipe" then. It does not: nobody tells it that its reader
 * has gone.
 *
 * Task:   Have the client notice. The server cannot know which message is the
 *         last, so it asks again after each, as it does now. All clients share
 *         one context, made once and destroyed in the end; what is left of one
 *         client must not trouble the next.
 * Output: for each client what the server has read, and what write() says to
 *         the client; status 0. If a call or a request fails: status 1, and
 *         on stderr "4-hang-up: CALL: reason".
 * Read:   05-eventfd/README.md, line 346 (You close a socket that a POLL
 *         request waits for. Who notices?);
 *         05-eventfd/poll-and-close.c
 * Check:  make exercise-5.4
 *
 * Build:  cc -o 4-hang-up 4-hang-up.c
 * Usage:  ./4-hang-up [MESSAGES]
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
#include <unistd.h>

enum { CLIENTS = 2, SILENCE = 20 /* milliseconds */ };

static int ends[2]; /* of a pipe: the server's, and the client's */

static void send_messages(long nr);
static void arm(aio_context_t ctx, struct iocb *iocb);
static int told(aio_context_t ctx);
static const char *client_writes(void);
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
    aio_context_t ctx = 0;
    long messages = 3;
    char letter;

    start(argc, argv, 0, 1);
    if (argc > 1)
        messages = number(argv[1], 0, 1000);
    signal(SIGPIPE, SIG_IGN); /* write() says it as well */
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    for (int client = 1; client <= CLIENTS; client++) {
        long got = 0;

        if (pipe(ends) == -1)
            err(1, "pipe");
        send_messages(messages);

        /* Ask, be told, read, and ask again; until there is silence. */
        iocb.aio_fildes = ends[0];
        for (arm(ctx, &iocb); told(ctx); arm(ctx, &iocb), got++)
            if (read(ends[0], &letter, 1) == -1)
                err(1, "read pipe");
        printf("client %d: %ld messages, then silence\n", client, got);

        /* Hang up. EDIT HERE: what still has a hold on the pipe? */
        if (close(ends[0]) == -1)
            err(1, "close pipe");
        printf("client %d writes: %s\n", client, client_writes());
        if (close(ends[1]) == -1)
            err(1, "close pipe");
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return EXIT_SUCCESS;
}

/* The client. It sends some messages, of a letter each, and then none. */
static void send_messages(long nr)
{
    for (long i = 0; i < nr; i++)
        if (write(ends[1], "m", 1) == -1)
            err(1, "write pipe");
}

/* Asks to be told, once, when there is a message. */
static void arm(aio_context_t ctx, struct iocb *iocb)
{
    int n;

    do
        n = io_submit(ctx, 1, &iocb);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_submit");
}

/* Waits for the event. 0: none has come, the client is silent. */
static int told(aio_context_t ctx)
{
    struct __kernel_old_timespec timeout = { .tv_nsec = SILENCE * 1000000 };
    struct io_event event;
    int n;

    do
        n = io_getevents(ctx, 1, 1, &event, &timeout);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");
    if (n == 1 && event.res < 0) {
        errno = -event.res;
        err(1, "IOCB_CMD_POLL");
    }
    if (n == 1 && !(event.res & POLLIN))
        errx(1, "IOCB_CMD_POLL: no POLLIN");
    return n;
}

/* The client sends once more, when it is told that nobody reads any more. */
static const char *client_writes(void)
{
    struct pollfd end = { .fd = ends[1] }; /* POLLERR, unasked */
    int n;

    do
        n = poll(&end, 1, 1000 /* ms */);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errx(1, "the client is not told: the pipe still has a reader");
    if (n == -1)
        err(1, "poll");
    return write(end.fd, "m", 1) == 1 ? "done" : strerror(errno);
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
    "Usage: 4-hang-up [MESSAGES]\n"
    "Reads MESSAGES (3) from each of two clients, and hangs up.\n";

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
