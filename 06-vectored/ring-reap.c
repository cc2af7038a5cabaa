/*
 * ring-reap.c - completions without a system call
 *
 * The kernel puts events into a ring in our own memory: what io_setup()
 * returned is its address. So they can be taken from there, and the kernel
 * is only needed to wait while the ring is empty. The same requests, enough
 * for four times round the ring, are reaped without that and with it, and
 * the calls of io_getevents() are counted.
 *
 * Build:  cc -o ring-reap ring-reap.c
 * Usage:  ./ring-reap FILE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BATCH = 8,                  /* requests submitted and reaped together */
    BLOCK = 4096,               /* bytes a request */
    ROUNDS = 4                  /* times round the ring */
};

/*
 * The ring's header. It stands in no header file, but the kernel can't
 * change it any more: programs rely on it.
 */
struct aio_ring {
    unsigned id;                /* the kernel's own */
    unsigned nr;                /* places for events */
    _Atomic unsigned head;      /* place of the next event to take: ours */
    _Atomic unsigned tail;      /* the first free place: the kernel's */
    unsigned magic;
    unsigned compat_features;
    unsigned incompat_features; /* not 0: not as we know it */
    unsigned header_length;     /* bytes up to the first place */
};

static const char usage[] =
    "Usage: ring-reap FILE\n"
    "Makes FILE, or empties it, writes and reads 8 blocks of 4096 bytes over\n"
    "and over, and takes the events from the mapped ring.\n";

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

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* The ring of a context; NULL if it is not one that we know how to read. */
static struct aio_ring *find_ring(aio_context_t ctx)
{
    struct aio_ring *ring = (void *)(uintptr_t)ctx;

    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0)
        return NULL;
    return ring;
}

/*
 * Takes up to nr events out of the ring, and returns their number. As
 * seastar's src/core/linux-aio.cc does it, and fio's engines/libaio.c if
 * told userspace_reap.
 *
 * The kernel writes an event first and then moves the tail: having loaded
 * the tail with acquire, we see all events before it. We read the events
 * first and then move the head: storing it with release, the kernel does
 * not reuse a place that we are still reading. Only one thread may do this
 * at a time, and none may be in io_getevents(), which moves the head too.
 */
static int ring_reap(struct aio_ring *ring, struct io_event *events, int nr)
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

/* Each event must be the first one of a request of this batch, and good. */
static void check(const struct io_event *event, struct iocb **list, int nr)
{
    char expected[BLOCK];
    struct iocb *iocb;

    errno = EIO;
    if (event->data >= (unsigned)nr || list[event->data] == NULL ||
        event->obj != (uintptr_t)list[event->data])
        die("an event of no request");
    iocb = list[event->data];
    list[event->data] = NULL;
    if (event->res != BLOCK) {
        errno = event->res < 0 ? -event->res : EIO;
        die("%s block %d", iocb->aio_lio_opcode == IOCB_CMD_PWRITE ?
            "IOCB_CMD_PWRITE" : "IOCB_CMD_PREAD", (int)event->data);
    }
    fill(expected, event->data);
    if (memcmp((void *)(uintptr_t)iocb->aio_buf, expected, BLOCK) != 0)
        die("read back block %d", (int)event->data);
}

/*
 * Writes, or reads, `requests` blocks in batches; request i of a batch is
 * for block i of the file. Events come from the ring, if there is one, and
 * from io_getevents(). Returns how often that was called.
 */
static long run(aio_context_t ctx, struct aio_ring *ring, int fd, int opcode,
                long requests)
{
    static _Alignas(BLOCK) char data[BATCH][BLOCK];
    struct iocb iocbs[BATCH], *list[BATCH];
    struct io_event events[BATCH];
    long calls = 0;
    int nr, submitted, reaped, n;

    for (long done = 0; done < requests; done += nr) {
        nr = requests - done < BATCH ? requests - done : BATCH;
        memset(iocbs, 0, sizeof(iocbs));
        for (int i = 0; i < nr; i++) {
            memset(data[i], 0, BLOCK);
            if (opcode == IOCB_CMD_PWRITE)
                fill(data[i], i);
            iocbs[i].aio_data = i;
            iocbs[i].aio_lio_opcode = opcode;
            iocbs[i].aio_fildes = fd;
            iocbs[i].aio_buf = (uintptr_t)data[i];
            iocbs[i].aio_nbytes = BLOCK;
            iocbs[i].aio_offset = i * BLOCK;
            list[i] = &iocbs[i];
        }

        /* Submit, and go on after a partial count. */
        submitted = 0;
        while (submitted < nr) {
            n = io_submit(ctx, nr - submitted, list + submitted);
            if (n == -1 && errno != EINTR)
                die("io_submit");
            if (n > 0)
                submitted += n;
        }

        /* Reap what is in the ring. Wait only when there is nothing. */
        reaped = 0;
        while (reaped < nr) {
            n = ring == NULL ? 0 : ring_reap(ring, events, BATCH);
            if (n == 0) {
                n = io_getevents(ctx, 1, BATCH, events, NULL);
                calls++;
            }
            if (n == -1 && errno != EINTR)
                die("io_getevents");
            for (int i = 0; i < n; i++, reaped++)
                check(&events[i], list, nr);
        }
    }
    return calls;
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    aio_context_t ctx = 0;
    struct aio_ring *ring;
    long requests;
    int fd;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a context, and the ring that belongs to it. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(BATCH, &ctx) == -1)
        die("io_setup");
    ring = find_ring(ctx);
    requests = ring == NULL ? ROUNDS * 128 : ROUNDS * (long)ring->nr;
    if (ring == NULL)
        printf("ring: not understood, so io_getevents does it all\n");
    else
        printf("ring: understood, %u places for events\n", ring->nr);
    printf("requests: %ld, in batches of %d\n", requests, BATCH);

    /* Writes to the page cache are done when io_submit() returns. */
    printf("writes, io_getevents alone: %ld calls\n",
           run(ctx, NULL, fd, IOCB_CMD_PWRITE, requests));
    printf("writes, the ring first: %ld calls\n",
           run(ctx, ring, fd, IOCB_CMD_PWRITE, requests));
    if (close(fd) == -1)
        die("close %s", path);

    /* Reads past it take their time, and waiting needs the kernel. */
    fd = open(path, O_RDONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    printf("O_DIRECT: %s\n", fcntl(fd, F_GETFL) & O_DIRECT ? "yes" :
           "not here, going on through the page cache");
    printf("reads, io_getevents alone: %ld calls\n",
           run(ctx, NULL, fd, IOCB_CMD_PREAD, requests));
    printf("reads, the ring first: %ld calls\n",
           run(ctx, ring, fd, IOCB_CMD_PREAD, requests));

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
