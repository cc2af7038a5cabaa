/*
 * poll-requests.c - AIO as the event loop for pipes and sockets
 *
 * Reading from a pipe or socket is never asynchronous: io_submit() itself
 * would wait for the data. But it can be asked to tell when there is
 * something to read. An IOCB_CMD_POLL request is that question; it is
 * answered once, by an event with poll()'s mask in `res`, and is then asked
 * again. So one io_submit() and one io_getevents() in each turn of the loop
 * serve any number of pipes and sockets (but not terminals), and could serve
 * files beside them.
 *
 * Build:  cc -o poll-requests poll-requests.c
 * Usage:  ./poll-requests
 * Needs:  Linux 4.19
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The kernel's timespec is two longs; on 32 bits with a 64-bit time_t it
 * would be another system call. */
_Static_assert(sizeof(struct timespec) == 2 * sizeof(long),
               "use SYS_io_pgetevents_time64 here");

enum { SOURCES = 2, TURNS = 5 };

/* What is read from, and the request that asks whether there is anything. */
struct source {
    const char *name;
    int fd;                     /* our end; -1 after the end of file */
    int peer;                   /* the others' end, which they write to */
    int asked;                  /* is the request in flight? */
    struct iocb iocb;
};

/* What the others write in each turn; "" means that they close their end. */
static const char *const turns[TURNS][SOURCES] = {
    { "first", NULL }, { NULL, "second" }, { "third", "fourth" },
    { "", NULL }, { NULL, "" }
};

static const char usage[] =
    "Usage: poll-requests\n"
    "Serves a pipe and a socket with io_submit and io_getevents.\n";

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

/* Submits all of a list, and goes on after a partial count. */
static void submit(aio_context_t ctx, int nr, struct iocb **list)
{
    while (nr > 0) {
        int n = io_submit(ctx, nr, list);

        if (n == -1 && errno != EINTR)
            die("io_submit");
        if (n > 0) {
            list += n;
            nr -= n;
        }
    }
}

/* Waits for at least min_nr events, and takes all that are there. */
static int wait_for(aio_context_t ctx, int min_nr, struct io_event *events)
{
    struct timespec timeout = { .tv_sec = 10 };
    int n, got = 0;

    do {
        n = io_getevents(ctx, min_nr - got, SOURCES - got, events + got,
                         &timeout);
        if (n == 0 && got < min_nr)
            errno = ETIMEDOUT;
        if ((n == 0 && got < min_nr) || (n == -1 && errno != EINTR))
            die("io_getevents");
        if (n > 0)
            got += n;
    } while (n == -1 || got < min_nr);
    return got;
}

/* The question: a descriptor and poll()'s events. All else must be 0. */
static struct iocb *ask(struct source *source)
{
    struct iocb *iocb = &source->iocb;

    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_data = (uintptr_t)source;
    iocb->aio_lio_opcode = IOCB_CMD_POLL;
    iocb->aio_fildes = source->fd;
    iocb->aio_buf = POLLIN;
    source->asked = 1;
    return iocb;
}

/* The others' part: they write a message, or close their end. */
static void say(const struct source *source, const char *message)
{
    if (*message == '\0') {
        if (close(source->peer) == -1)
            die("close %s", source->name);
    } else if (write(source->peer, message, strlen(message)) == -1) {
        die("write %s", source->name);
    }
}

/*
 * The answer: what can be done now without waiting. `res` may have bits
 * that nobody asked for, so look at single bits only.
 */
static void serve(struct source *source, long long res)
{
    char text[16];
    int length;

    source->asked = 0;
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_POLL %s", source->name);
    }
    length = read(source->fd, text, sizeof(text));
    if (length == -1 && errno == EAGAIN) {
        printf("  %s: a false alarm\n", source->name);
        return;                 /* somebody was faster: ask again */
    }
    if (length == -1)
        die("read %s", source->name);
    printf("  %s:%s%s, %.*s\n", source->name, res & POLLIN ? " POLLIN" : "",
           res & POLLHUP ? " POLLHUP" : "",
           length > 0 ? length : 11, length > 0 ? text : "end of file");
    if (length == 0) {
        if (close(source->fd) == -1)
            die("close %s", source->name);
        source->fd = -1;
    }
}

int main(int argc, char **argv)
{
    struct source sources[SOURCES];
    struct iocb pread, *list[SOURCES];
    struct io_event events[SOURCES];
    aio_context_t ctx = 0;
    int nr, n, ends[2], pair[2];
    char byte;

    check_arguments(argc, argv, 0, 0);

    /* Set up: a context, a pipe and a pair of sockets. */
    if (io_setup(SOURCES, &ctx) == -1)
        die("io_setup");
    if (pipe2(ends, O_NONBLOCK) == -1)
        die("pipe2");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == -1)
        die("socketpair");
    sources[0] = (struct source){
        .name = "pipe", .fd = ends[0], .peer = ends[1]
    };
    sources[1] = (struct source){
        .name = "socket", .fd = pair[0], .peer = pair[1]
    };

    /*
     * A read that is no asynchronous one. This pipe is O_NONBLOCK; with any
     * other io_submit() would not return before somebody writes to it.
     */
    memset(&pread, 0, sizeof(pread));
    pread.aio_lio_opcode = IOCB_CMD_PREAD;
    pread.aio_fildes = ends[0];
    pread.aio_buf = (uintptr_t)&byte;
    pread.aio_nbytes = 1;
    list[0] = &pread;
    submit(ctx, 1, list);
    wait_for(ctx, 1, events);
    printf("PREAD on an empty pipe: %s\n",
           events[0].res < 0 ? strerror(-events[0].res) : "something there");

    /* One question, one answer: nothing tells of the second message. */
    list[0] = ask(&sources[0]);
    submit(ctx, 1, list);
    printf("POLL on an empty pipe: %d events\n", wait_for(ctx, 0, events));
    say(&sources[0], "one, ");
    nr = wait_for(ctx, 1, events);
    say(&sources[0], "two");
    nr += wait_for(ctx, 0, events);
    printf("two messages: %d event\n", nr);

    /* Asked again, the answer is there at once: it is never too late. */
    list[0] = ask(&sources[0]);
    submit(ctx, 1, list);
    printf("asked again: %d event\n", wait_for(ctx, 1, events));
    serve(&sources[0], events[0].res);

    for (int turn = 0; turn < TURNS; turn++) {
        int messages = 0;

        /* Ask again where there was an answer: one call for all. */
        nr = 0;
        for (int i = 0; i < SOURCES; i++)
            if (sources[i].fd != -1 && !sources[i].asked)
                list[nr++] = ask(&sources[i]);
        submit(ctx, nr, list);

        /* Meanwhile, elsewhere. */
        for (int i = 0; i < SOURCES; i++) {
            if (turns[turn][i] != NULL) {
                say(&sources[i], turns[turn][i]);
                messages++;
            }
        }

        /* One call waits for all too. Who can't know how many come: 1. */
        n = wait_for(ctx, messages, events);
        printf("turn %d: requests %d, events %d\n", turn + 1, nr, n);
        for (int i = 0; i < n; i++)
            serve((void *)(uintptr_t)events[i].data, events[i].res);
    }

    /* Tear down: the pipe and the sockets were closed at their end. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
