/*
 * 2-head.c - exercise 6.2, find the bug (medium)
 *
 * Writes a block again and again, and takes the events out of the ring in its
 * own memory, without a call of io_getevents(). After some requests there is
 * no place for another one, though all their events have been taken. (How
 * many there are depends on the machine.)
 *
 * Task:   Have it make any number of requests. Events are still taken from
 *         the ring: io_getevents() is only for when it is empty.
 * Output: "requests: N, calls of io_getevents: M", status 0. If an event brings
 *         an error, status 1 and "2-head: IOCB_CMD_PWRITE FILE: reason".
 * Read:   06-vectored/README.md, line 200 (How many system calls does it take
 *         to reap 500 events?);
 *         06-vectored/ring-reap.c
 * Check:  make exercise-6.2
 *
 * Build:  cc -o 2-head 2-head.c
 * Usage:  ./2-head FILE [REQUESTS]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 }; /* bytes a request */

/* The ring's header. The kernel has mapped it at the context's address. */
struct ring {
    unsigned id, nr;       /* nr: places for events */
    _Atomic unsigned head; /* the next event to take: ours */
    _Atomic unsigned tail; /* the first free place: the kernel's */
    unsigned magic, compat_features, incompat_features, header_length;
};

static const char *path;
static char data[BLOCK];

static int ring_reap(struct ring *ring, struct io_event *event);
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
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    long requests = 1000, done, calls = 0;
    aio_context_t ctx = 0;
    struct ring *ring;
    int fd, n;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        requests = number(argv[2], 0, 1000000);
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    ring = (void *)(uintptr_t)ctx;
    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0)
        errx(1, "a ring of another kind");
    memset(data, 'x', BLOCK);
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
    };

    /* One request at a time. Only an empty ring is a reason for a call. */
    for (done = 0; done < requests; done++) {
        iocb.aio_data = done;
        while (io_submit(ctx, 1, list) == -1)
            if (errno != EINTR)
                err(1, "io_submit");
        while (ring_reap(ring, &event) == 0) {
            calls++;
            n = io_getevents(ctx, 1, 1, &event, NULL);
            if (n == 1)
                break;
            if (n == -1 && errno != EINTR)
                err(1, "io_getevents");
        }
        if (event.data != (unsigned long)done)
            errx(1, "an event of another request");
        if (event.res != BLOCK) {
            errno = event.res < 0 ? -event.res : EIO;
            err(1, "IOCB_CMD_PWRITE %s", path);
        }
    }
    printf("requests: %ld, calls of io_getevents: %ld\n", done, calls);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Takes one event out of the ring. EDIT HERE: who knows that it is taken? */
static int ring_reap(struct ring *ring, struct io_event *event)
{
    struct io_event *places = (void *)((char *)ring + ring->header_length);
    static unsigned head;

    if (head == atomic_load_explicit(&ring->tail, memory_order_acquire))
        return 0;
    *event = places[head];
    head = (head + 1) % ring->nr;
    return 1;
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
    "Usage: 2-head FILE [REQUESTS]\n"
    "Writes block 0 of FILE REQUESTS (1000) times, one after the other.\n";

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
