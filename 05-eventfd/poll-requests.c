/*
 * poll-requests.c - AIO as the event loop for pipes and sockets
 *
 * io_submit() itself waits for the data of a pipe or socket. But it can be
 * asked to tell when there is something to read: an IOCB_CMD_POLL request is
 * answered once, by an event with poll()'s mask in `res`, and is then asked
 * again. One io_submit() and one io_getevents() in each turn serve them all.
 *
 * Build:  cc -o poll-requests poll-requests.c
 * Usage:  ./poll-requests
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
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SOURCES = 2, TURNS = 5 };

/* What is read from, and the request that asks whether there is anything. */
struct source {
    const char *name;
    int ends[2]; /* ours, and the other side's, which writes to it */
    struct iocb iocb;
};

/* What the other side writes in each turn; "": it closes its end. */
static const char *const turns[TURNS][SOURCES] = {
    { "first", NULL }, { NULL, "second" }, { "third", "fourth" },
    { "", NULL },      { NULL, "" },
};

static struct source sources[SOURCES] = { { .name = "pipe" },
                                          { .name = "socket" } };
static struct iocb *ready[SOURCES]; /* prepared, not yet submitted */
static int nr_ready;

static void ask(struct source *source), submit_all(aio_context_t ctx);
static void say(const struct source *source, const char *message);
static int wait_for(aio_context_t ctx, int min_nr, struct io_event *events);
static void serve(struct source *source, long long res);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct source *pipe = &sources[0], *socket = &sources[1];
    struct io_event events[SOURCES];
    aio_context_t ctx = 0;
    char byte;
    int n;

    start(argc, argv, 0, 0);
    if (io_setup(SOURCES, &ctx) == -1)
        err(1, "io_setup");
    if (pipe2(pipe->ends, O_NONBLOCK) == -1)
        err(1, "pipe2");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, socket->ends) == -1)
        err(1, "socketpair");

    /*
     * A read that is no asynchronous one. This pipe is O_NONBLOCK; with any
     * other io_submit() would not return before somebody writes to it.
     */
    pipe->iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = pipe->ends[0],
        .aio_buf = (uintptr_t)&byte,
        .aio_nbytes = 1,
    };
    ready[nr_ready++] = &pipe->iocb;
    submit_all(ctx);
    wait_for(ctx, 1, events);
    printf("PREAD on an empty pipe: %s\n",
           events[0].res < 0 ? strerror(-events[0].res) : "something there");

    /* One question, one answer: nothing tells of the second message. */
    ask(pipe);
    submit_all(ctx);
    printf("POLL on an empty pipe: %d events\n", wait_for(ctx, 0, events));
    say(pipe, "one, ");
    n = wait_for(ctx, 1, events);
    say(pipe, "two");
    n += wait_for(ctx, 0, events);
    printf("two messages: %d event\n", n);

    /* Asked again, the answer is there at once: it is never too late. */
    ask(pipe);
    submit_all(ctx);
    printf("asked again: %d event\n", wait_for(ctx, 1, events));
    serve(pipe, events[0].res);

    /* Now for both. serve() asks again; one call submits what was asked. */
    ask(socket);
    for (int turn = 0; turn < TURNS; turn++) {
        int asked = nr_ready, messages = 0;

        submit_all(ctx);
        for (int i = 0; i < SOURCES; i++) { /* meanwhile, elsewhere */
            if (turns[turn][i] == NULL)
                continue;
            say(&sources[i], turns[turn][i]);
            messages++;
        }

        /* One call waits for all too. Who can't know how many come: 1. */
        n = wait_for(ctx, messages, events);
        printf("turn %d: requests %d, events %d\n", turn + 1, asked, n);
        for (int i = 0; i < n; i++)
            serve((void *)(uintptr_t)events[i].data, events[i].res);
    }

    /* The pipe and the sockets were closed as they came to their end. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return EXIT_SUCCESS;
}

/* The question: a descriptor and poll()'s events. All else must be 0. */
static void ask(struct source *source)
{
    source->iocb = (struct iocb){
        .aio_data = (uintptr_t)source,
        .aio_lio_opcode = IOCB_CMD_POLL,
        .aio_fildes = source->ends[0],
        .aio_buf = POLLIN,
    };
    ready[nr_ready++] = &source->iocb;
}

/* Submits all that was asked, and goes on after a partial count. */
static void submit_all(aio_context_t ctx)
{
    while (nr_ready > 0) {
        int n = io_submit(ctx, nr_ready, ready);

        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            err(1, "io_submit");
        nr_ready -= n;
        memmove(ready, ready + n, nr_ready * sizeof(*ready));
    }
}

/* Waits for min_nr events, which must come, and takes all that are there. */
static int wait_for(aio_context_t ctx, int min_nr, struct io_event *events)
{
    int n, got = 0;

    do {
        n = io_getevents(ctx, min_nr - got, SOURCES - got, events + got, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        got += n > 0 ? n : 0;
    } while (got < min_nr);
    return got;
}

/* The other side's part: it writes a message, or closes its end. */
static void say(const struct source *source, const char *message)
{
    if (*message == '\0') {
        if (close(source->ends[1]) == -1)
            err(1, "close %s", source->name);
    } else if (write(source->ends[1], message, strlen(message)) == -1) {
        err(1, "write %s", source->name);
    }
}

/*
 * The answer: what can be done now without waiting. `res` may have bits that
 * nobody asked for, so look at single bits only. Then ask again, unless this
 * is the end.
 */
static void serve(struct source *source, long long res)
{
    char text[16];
    int length;

    errno = -res;
    if (res < 0)
        err(1, "IOCB_CMD_POLL %s", source->name);
    length = read(source->ends[0], text, sizeof(text));
    if (length == -1 && errno != EAGAIN)
        err(1, "read %s", source->name);
    if (length == -1) { /* somebody was faster */
        printf("  %s: a false alarm\n", source->name);
    } else {
        printf("  %s:%s%s, %.*s\n", source->name, res & POLLIN ? " POLLIN" : "",
               res & POLLHUP ? " POLLHUP" : "", length > 0 ? length : 11,
               length > 0 ? text : "end of file");
    }
    if (length != 0)
        ask(source);
    else if (close(source->ends[0]) == -1)
        err(1, "close %s", source->name);
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
    "Usage: poll-requests\n"
    "Serves a pipe and a socket with io_submit and io_getevents.\n";

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
