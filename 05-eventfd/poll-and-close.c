/*
 * poll-and-close.c - a POLL request keeps its file open
 *
 * A program closes its end of a socket while a POLL request waits for it. The
 * descriptor is gone, the file is not: the request holds it, and the other
 * side notices nothing. epoll holds no file. So cancel a POLL, take its event,
 * and then close.
 *
 * Build:  cc -o poll-and-close poll-and-close.c
 * Usage:  ./poll-and-close
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
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int ends[2]; /* of a socket: ours, and the other side's */

static void make_pair(void), close_end(int i);
static void ask(aio_context_t ctx, struct iocb *iocb);
static long long answer(aio_context_t ctx);
static void other_side(const char *when, int patience);
static void start(int argc, char **argv, int min, int max);
static int io_cancel(aio_context_t ctx, struct iocb *iocb,
                     struct io_event *result);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct epoll_event interest = { .events = EPOLLIN };
    struct io_event unused;
    aio_context_t ctx = 0;
    struct iocb iocb;
    int epoll;

    start(argc, argv, 0, 0);
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* The request has a hold on the file, until there is an answer. */
    make_pair();
    ask(ctx, &iocb);
    close_end(0);
    other_side("closed, with a POLL in flight", 0);
    printf("  the POLL is answered:%s\n",
           answer(ctx) & POLLIN ? " POLLIN" : "");
    close_end(1);

    /* epoll forgets a file when it is closed, and does not keep it open. */
    make_pair();
    epoll = epoll_create1(0);
    if (epoll == -1)
        err(1, "epoll_create1");
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &interest) == -1)
        err(1, "epoll_ctl");
    close_end(0);
    other_side("closed, with epoll watching", 0);
    close_end(1);
    if (close(epoll) == -1)
        err(1, "close");

    /* Cancel first. The file is given back a moment after the event. */
    make_pair();
    ask(ctx, &iocb);
    if (io_cancel(ctx, &iocb, &unused) == -1 && errno != EINPROGRESS)
        err(1, "io_cancel");
    answer(ctx);
    close_end(0);
    other_side("closed, after io_cancel and its event", 10000);
    close_end(1);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return EXIT_SUCCESS;
}

static void make_pair(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == -1)
        err(1, "socketpair");
}

static void close_end(int i)
{
    if (close(ends[i]) == -1)
        err(1, "close");
}

/* Asks to be told when there is something to read. */
static void ask(aio_context_t ctx, struct iocb *iocb)
{
    *iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = ends[0],
        .aio_buf = POLLIN,
    };
    while (io_submit(ctx, 1, &iocb) == -1)
        if (errno != EINTR)
            err(1, "io_submit");
}

/* Waits for the event, which must come, and returns its `res`. */
static long long answer(aio_context_t ctx)
{
    struct io_event event;

    while (io_getevents(ctx, 1, 1, &event, NULL) != 1)
        if (errno != EINTR)
            err(1, "io_getevents");
    return event.res;
}

/* What the other side finds, within so many milliseconds. */
static void other_side(const char *when, int patience)
{
    struct pollfd end = { .fd = ends[1] }; /* POLLHUP only */
    char byte;
    ssize_t n;

    while (poll(&end, 1, patience) == -1)
        if (errno != EINTR)
            err(1, "poll");
    n = recv(end.fd, &byte, 1, 0);
    printf("%s\n  the other side reads: %s\n", when,
           n == 0            ? "end of file"
           : errno == EAGAIN ? "nothing yet"
                             : strerror(errno));
    n = send(end.fd, "x", 1, MSG_NOSIGNAL); /* an error, no SIGPIPE */
    printf("  the other side writes: %s\n", n == 1 ? "done" : strerror(errno));
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

static int io_cancel(aio_context_t ctx, struct iocb *iocb,
                     struct io_event *result)
{
    return syscall(SYS_io_cancel, ctx, iocb, result);
}

static const char usage[] =
    "Usage: poll-and-close\n"
    "Closes one end of a socket while something waits for it, and shows what\n"
    "the other side sees.\n";

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
