/*
 * ring-reap.c - completions without a system call
 *
 * The kernel puts events into a ring in our own memory: what io_setup()
 * returned is its address. So they can be taken from there; the kernel is only
 * needed to wait while the ring is empty. The same requests, enough for four
 * times round the ring, are reaped with and without it, and calls counted.
 *
 * Build:  cc -o ring-reap ring-reap.c
 * Usage:  ./ring-reap FILE
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

/* BLOCK, and buffers aligned to that, suit O_DIRECT on nearly every disk. */
enum { BLOCK = 16384, BATCH = 8, ROUNDS = 4, PATIENCE = 100000000 };

/*
 * The ring's header. It stands in no header file, but the kernel can't
 * change it any more: programs rely on it.
 */
struct aio_ring {
    unsigned id;           /* the kernel's own */
    unsigned nr;           /* places for events */
    _Atomic unsigned head; /* place of the next event to take: ours */
    _Atomic unsigned tail; /* the first free place: the kernel's */
    unsigned magic;
    unsigned compat_features;
    unsigned incompat_features; /* not 0: not as we know it */
    unsigned header_length;     /* bytes up to the first place */
};

enum way { CALLS, RING_FIRST, RING_ALONE }; /* to get at events */

static const char *path;
static struct aio_ring *ring; /* NULL: not one that we can read */
static struct iocb batch[BATCH], *ready[BATCH]; /* all, and what to submit */
static _Alignas(BLOCK) char data[BATCH][BLOCK];
static long nr_ready, prepared, in_flight, requests, submits, most;

static long run(aio_context_t ctx, enum way way, int fd, int opcode);
static void start(int argc, char **argv, int min, int max);
static int go_direct(int fd), create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(BATCH, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_RDWR);
    if (fd == -1)
        err(1, "open %s", path);

    ring = (void *)(uintptr_t)ctx;
    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0) {
        ring = NULL;
        printf("ring: not understood, so io_getevents does it all\n");
    } else {
        printf("ring: understood, %u places for events\n", ring->nr);
    }
    requests = ROUNDS * (ring == NULL ? 128 : (long)ring->nr);
    printf("requests: %ld, in batches of %d\n", requests, BATCH);

    /* Writes to the page cache are done when io_submit() returns. */
    for (int i = 0; i < BATCH; i++)
        memset(data[i], 'a' + i, BLOCK);
    printf("writes, io_getevents alone: %ld calls\n",
           run(ctx, CALLS, fd, IOCB_CMD_PWRITE));
    printf("writes, the ring first: %ld calls\n",
           run(ctx, RING_FIRST, fd, IOCB_CMD_PWRITE));

    /* Reads past it take their time. Either the kernel waits, or we do. */
    printf("O_DIRECT: %s\n",
           go_direct(fd) ? "yes" : "not here, going on through the page cache");
    printf("reads, io_getevents alone: %ld calls\n",
           run(ctx, CALLS, fd, IOCB_CMD_PREAD));
    printf("reads, the ring first: %ld calls\n",
           run(ctx, RING_FIRST, fd, IOCB_CMD_PREAD));
    printf("reads, the ring alone: %ld calls\n",
           run(ctx, RING_ALONE, fd, IOCB_CMD_PREAD));

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/*
 * Takes up to nr events out of the ring, and returns their number, as
 * seastar's linux-aio.cc and fio's engines/libaio.c do it.
 *
 * The kernel writes an event first and then moves the tail: having loaded
 * the tail with acquire, we see all events before it. We read the events
 * first and then move the head: storing it with release, the kernel does
 * not reuse a place that we are still reading. Only one thread may do this
 * at a time, and none may be in io_getevents(), which moves the head too.
 */
static int ring_reap(struct io_event *events, int nr)
{
    struct io_event *places = (void *)((char *)ring + ring->header_length);
    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    unsigned tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
    int n = 0;

    while (n < nr && head != tail) {
        events[n++] = places[head];
        head = (head + 1) % ring->nr;
    }
    atomic_store_explicit(&ring->head, head, memory_order_release);
    return n;
}

/* A batch: request i is for block i of the file. */
static void prepare(int fd, int opcode)
{
    for (int i = 0; i < BATCH && prepared < requests; i++) {
        batch[i] = (struct iocb){
            .aio_data = prepared++,
            .aio_lio_opcode = opcode,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = i * BLOCK,
        };
        ready[nr_ready++] = &batch[i];
    }
}

/*
 * Submits all that is ready. The kernel stops at a request that it cannot
 * take, and returns the number before it. So go on from there: now that
 * request comes first, and the call says what is wrong with it. EAGAIN: the
 * context is full, and only reaping makes room.
 */
static void submit(aio_context_t ctx)
{
    while (nr_ready > 0) {
        int n = io_submit(ctx, nr_ready, ready);

        submits++;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN && in_flight > 0)
            break;
        if (n == -1)
            err(1, "io_submit");
        in_flight += n;
        nr_ready -= n;
        memmove(ready, ready + n, nr_ready * sizeof(*ready));
    }
    if (in_flight > most)
        most = in_flight;
}

/* Each event must be the first one of a request of this batch, and good. */
static void complete(const struct io_event *event)
{
    struct iocb *iocb = &batch[event->data % BATCH];
    int writing = iocb->aio_lio_opcode == IOCB_CMD_PWRITE;

    if (event->obj != (uintptr_t)iocb || event->data != iocb->aio_data ||
        iocb->aio_nbytes == 0)
        errx(1, "an event of no request");
    if (event->res <= 0) {
        errno = event->res < 0 ? -event->res : EIO;
        err(1, "%s block %d", writing ? "IOCB_CMD_PWRITE" : "IOCB_CMD_PREAD",
            (int)(iocb - batch));
    }
    iocb->aio_buf += event->res;
    iocb->aio_nbytes -= event->res;
    iocb->aio_offset += event->res;
    if (iocb->aio_nbytes > 0) /* short: the rest once more */
        ready[nr_ready++] = iocb;
}

/*
 * Makes all requests, a batch after the other. Events come from the ring, if
 * we know it, and from io_getevents(). Returns how often that was called.
 */
static long run(aio_context_t ctx, enum way way, int fd, int opcode)
{
    struct io_event events[BATCH];
    long calls = 0, looks = 0;
    int n;

    prepared = 0;
    while (prepared < requests || nr_ready > 0 || in_flight > 0) {
        if (nr_ready == 0 && in_flight == 0)
            prepare(fd, opcode);
        submit(ctx);
        n = way == CALLS || ring == NULL ? 0 : ring_reap(events, BATCH);
        if (n == 0 && way == RING_ALONE && ring != NULL && looks++ < PATIENCE)
            continue;
        if (n == 0) {
            n = io_getevents(ctx, 1, BATCH, events, NULL);
            calls++;
        }
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        for (int i = 0; i < n; i++, in_flight--)
            complete(&events[i]);
    }
    return calls;
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, others[37];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/*
 * Past the page cache, unless statx() says that FILE can't be used so, or that
 * BLOCK is no multiple of the alignment.
 */
static int go_direct(int fd)
{
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    struct new_statx stx = { 0 };

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign) &&
        (stx.stx_dio_mem_align == 0 || BLOCK % stx.stx_dio_mem_align != 0 ||
         BLOCK % stx.stx_dio_offset_align != 0))
        return 0;
    return fcntl(fd, F_SETFL, O_DIRECT) == 0;
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
    "Usage: ring-reap FILE\n"
    "Makes FILE, or empties it, writes and reads 8 blocks of 16384 bytes over\n"
    "and over, and takes the events straight from the ring.\n";

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
