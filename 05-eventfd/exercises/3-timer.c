/*
 * 3-timer.c - exercise 5.3, extend (medium)
 *
 * Reads messages from a pipe, and appends each to FILE with a request of
 * its own; an eventfd tells when one is written. Then no more messages come,
 * and nobody has closed the pipe. The loop waits for a second, and dies.
 *
 * Task:   Add a timer to what epoll waits for, a timerfd that expires once. It
 *         is set when the loop begins, and set anew with each message. When it
 *         expires after QUIET milliseconds, that is the end: read it, and
 *         finish what is in flight. If there is a message to read as well by
 *         then, it is not the end. The loop waits, and does not spin.
 * Output: "silence after N messages", then "written: N messages", status 0.
 *         If the timer cannot be made or set, status 1 and "3-timer:
 *         timerfd_create: reason", or "3-timer: timerfd_settime: reason".
 * Read:   05-eventfd/README.md, line 57 (The code that matters);
 *         05-eventfd/eventfd.c;
 *         man 2 timerfd_create
 * Check:  make exercise-5.3
 *
 * Build:  cc -o 3-timer 3-timer.c
 * Usage:  ./3-timer FILE [MESSAGES]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MESSAGE = 16, /* bytes, with a newline */
    QUIET = 20,   /* milliseconds without a message */
};

/* What there is to wait for, as bits. */
enum { PIPE = 1, COMPLETIONS = 2 };

/* A message, and the request that writes it. */
struct entry {
    struct iocb iocb;
    char text[MESSAGE + 1];
};

static const char *path;
static long received, written;

static void watch_as(int epoll, int fd, int bit), send_all(int fd, long nr);
static int wait_for_any(int epoll);
static void receive(aio_context_t ctx, struct entry *entry, int from, int fd,
                    int completions);
static void reap_all(aio_context_t ctx, int completions);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct entry *entries;
    aio_context_t ctx = 0;
    long messages = 5;
    int epoll, completions, ends[2], fd, ready, silent = 0;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        messages = number(argv[2], 1, 1000);
    if (io_setup(messages, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    entries = calloc(messages, sizeof(*entries));
    if (entries == NULL)
        err(1, "calloc");
    completions = eventfd(0, EFD_NONBLOCK);
    if (completions == -1)
        err(1, "eventfd");
    if (pipe2(ends, O_NONBLOCK) == -1)
        err(1, "pipe2");
    epoll = epoll_create1(0);
    if (epoll == -1)
        err(1, "epoll_create1");
    watch_as(epoll, ends[0], PIPE);
    watch_as(epoll, completions, COMPLETIONS);
    send_all(ends[1], messages);

    /* EDIT HERE, and in the loop: nothing ever makes it `silent`. */
    while (!silent || written < received) {
        ready = wait_for_any(epoll);
        if (ready & PIPE) {
            receive(ctx, &entries[received], ends[0], fd, completions);
        }
        if (ready & COMPLETIONS)
            reap_all(ctx, completions);
    }
    printf("written: %ld messages\n", written);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(epoll) == -1 || close(completions) == -1 ||
        close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(entries);
    return EXIT_SUCCESS;
}

/* Has `epoll` tell, with this bit, when there is something to read. */
static void watch_as(int epoll, int fd, int bit)
{
    struct epoll_event interest = { .events = EPOLLIN, .data.u32 = bit };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == -1)
        err(1, "epoll_ctl");
}

/* The other side: it sends its messages, and then no more. */
static void send_all(int fd, long nr)
{
    char text[32];

    for (int i = 0; i < nr; i++) {
        snprintf(text, sizeof(text), "message %7d\n", i);
        if (write(fd, text, MESSAGE) == -1)
            err(1, "write pipe");
    }
}

/* Waits, but no longer than a second, and returns the bits of what is ready. */
static int wait_for_any(int epoll)
{
    struct epoll_event told[4]; /* room for one more than there are */
    int n, ready = 0;

    do
        n = epoll_wait(epoll, told, 4, 1000 /* ms */);
    while (n == -1 && errno == EINTR);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n < 1)
        err(1, "epoll_wait");
    for (int i = 0; i < n; i++)
        ready |= told[i].data.u32;
    return ready;
}

/* Takes a message from the pipe, and submits a write that appends it. */
static void receive(aio_context_t ctx, struct entry *entry, int from, int fd,
                    int completions)
{
    struct iocb *list[1] = { &entry->iocb };
    int n;

    if (read(from, entry->text, MESSAGE) != MESSAGE)
        err(1, "read pipe");
    entry->iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)entry->text,
        .aio_nbytes = MESSAGE,
        .aio_offset = (long long)received * MESSAGE,
        .aio_flags = IOCB_FLAG_RESFD,
        .aio_resfd = completions,
    };
    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_submit");
    received++;
}

/* Reads the counter, and then takes all events that there are. */
static void reap_all(aio_context_t ctx, int completions)
{
    struct io_event event;
    uint64_t counter;
    int n;

    if (read(completions, &counter, sizeof(counter)) == -1)
        err(1, "read eventfd");
    while ((n = io_getevents(ctx, 0, 1, &event, NULL)) != 0) {
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            err(1, "io_getevents");
        if (event.res != MESSAGE) {
            errno = event.res < 0 ? -event.res : EIO;
            err(1, "IOCB_CMD_PWRITE %s", path);
        }
        written++;
    }
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
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
    "Usage: 3-timer FILE [MESSAGES]\n"
    "Makes FILE, or empties it, and writes MESSAGES (5) of 16 bytes to it.\n";

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
