/*
 * 3-timer.c - exercise 5.3, extend
 *
 * Reads messages from a pipe, and appends each to FILE with a request of
 * its own; an eventfd tells when one is written. Then no more messages come,
 * and nobody has closed the pipe. The loop waits for a second, and dies.
 *
 * Task:   Add a timer to what epoll waits for, a timerfd. It is set when the
 *         loop begins, and set anew with each message. When it expires after
 *         QUIET milliseconds, that is the end: finish what is in flight. If
 *         there is a message to read as well by then, it is not the end.
 * Output: "silence after N messages", then "written: N messages", status 0.
 *         If the timer cannot be made or set, status 1 and "3-timer:
 *         timerfd_create: reason", or "3-timer: timerfd_settime: reason".
 * Read:   05-eventfd/README.md, line 54 (The code that matters);
 *         05-eventfd/eventfd.c;
 *         man 2 timerfd_create
 * Check:  make exercise-5.3
 *
 * Build:  cc -o 3-timer 3-timer.c
 * Usage:  ./3-timer FILE [MESSAGES]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MESSAGE = 16,               /* bytes, with a newline */
    QUIET = 20                  /* milliseconds without a message */
};

/* What there is to wait for, as bits. */
enum {
    PIPE = 1,
    COMPLETIONS = 2
};

/* A message, and the request that writes it. */
struct entry {
    struct iocb iocb;
    char text[MESSAGE + 1];
};

static const char usage[] =
    "Usage: 3-timer FILE [MESSAGES]\n"
    "Makes FILE, or empties it, and writes MESSAGES (5) of 16 bytes to it.\n";

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
/* Has `epoll` tell, with this bit, when there is something to read. */
static void watch_as(int epoll, int fd, int bit)
{
    struct epoll_event interest = { .events = EPOLLIN, .data.u32 = bit };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == -1)
        die("epoll_ctl");
}

/* The other side: it sends its messages, and then no more. */
static void send_all(int fd, long messages)
{
    char text[MESSAGE + 1];

    for (long i = 0; i < messages; i++) {
        snprintf(text, sizeof(text), "message %7d\n", (int)i);
        if (write(fd, text, MESSAGE) == -1)
            die("write pipe");
    }
}

/* Submits a write of message i. The eventfd will be told of its end. */
static void submit(aio_context_t ctx, struct entry *entry, int fd, long i,
                   int completions)
{
    struct iocb *list[1] = { &entry->iocb };
    int n;

    memset(&entry->iocb, 0, sizeof(entry->iocb));
    entry->iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    entry->iocb.aio_fildes = fd;
    entry->iocb.aio_buf = (uintptr_t)entry->text;
    entry->iocb.aio_nbytes = MESSAGE;
    entry->iocb.aio_offset = (long long)i * MESSAGE;
    entry->iocb.aio_flags = IOCB_FLAG_RESFD;
    entry->iocb.aio_resfd = completions;
    do
        n = io_submit(ctx, 1, list);
    while (n == 0 || (n == -1 && errno == EINTR));
    if (n == -1)
        die("io_submit");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct epoll_event told[2];
    struct io_event event;
    struct entry *entries;
    long messages = 5, received = 0, written = 0;
    aio_context_t ctx = 0;
    int epoll, completions, ends[2], fd, n, ready, silent = 0;
    uint64_t counter;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        messages = number(argv[2], 1, 1000);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file, a context, and what epoll is to wait for. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    entries = calloc(messages, sizeof(*entries));
    if (entries == NULL)
        die("calloc");
    if (io_setup(messages, &ctx) == -1)
        die("io_setup");
    completions = eventfd(0, EFD_NONBLOCK);
    if (completions == -1)
        die("eventfd");
    if (pipe2(ends, O_NONBLOCK) == -1)
        die("pipe2");
    epoll = epoll_create1(0);
    if (epoll == -1)
        die("epoll_create1");
    watch_as(epoll, ends[0], PIPE);
    watch_as(epoll, completions, COMPLETIONS);
    send_all(ends[1], messages);

    /* EDIT HERE, and in the loop: nothing ever makes it `silent`. */
    while (!silent || written < received) {
        n = epoll_wait(epoll, told, 2, 1000 /* ms */);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n < 1)
            die("epoll_wait");
        ready = 0;
        for (int i = 0; i < n; i++)
            ready |= told[i].data.u32;

        if (ready & PIPE) {
            if (read(ends[0], entries[received].text, MESSAGE) != MESSAGE)
                die("read pipe");
            submit(ctx, &entries[received], fd, received, completions);
            received++;
        }

        if (ready & COMPLETIONS) {
            if (read(completions, &counter, sizeof(counter)) == -1)
                die("read eventfd");
            while ((n = io_getevents(ctx, 0, 1, &event, NULL)) != 0) {
                if (n == -1 && errno == EINTR)
                    continue;
                if (n == -1)
                    die("io_getevents");
                if (event.res != MESSAGE) {
                    errno = event.res < 0 ? -event.res : EIO;
                    die("IOCB_CMD_PWRITE %s", path);
                }
                written++;
            }
        }
    }
    printf("written: %ld messages\n", written);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(epoll) == -1 || close(completions) == -1 ||
        close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");
    if (close(fd) == -1)
        die("close %s", path);
    free(entries);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
