/*
 * 2-head.c - exercise 6.2, find the bug
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
 * Read:   06-vectored/README.md, line 198 (How many system calls does it take
 *         to reap 500 events?);
 *         06-vectored/ring-reap.c
 * Check:  make exercise-6.2
 *
 * Build:  cc -o 2-head 2-head.c
 * Usage:  ./2-head FILE [REQUESTS]
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

enum { BLOCK = 4096 };          /* bytes a request */

/* The ring's header. The kernel has mapped it at the context's address. */
struct ring {
    unsigned id, nr;            /* nr: places for events */
    _Atomic unsigned head;      /* the next event to take: ours */
    _Atomic unsigned tail;      /* the first free place: the kernel's */
    unsigned magic, compat_features, incompat_features, header_length;
};

static const char usage[] =
    "Usage: 2-head FILE [REQUESTS]\n"
    "Writes block 0 of FILE REQUESTS (1000) times, one after the other.\n";

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

/* Takes one event out of the ring. EDIT HERE: who knows that it is taken? */
static int ring_reap(struct ring *ring, struct io_event *event)
{
    static unsigned head;
    struct io_event *places = (void *)((char *)ring + ring->header_length);

    if (head == atomic_load_explicit(&ring->tail, memory_order_acquire))
        return 0;
    *event = places[head];
    head = (head + 1) % ring->nr;
    return 1;
}

int main(int argc, char **argv)
{
    static char data[BLOCK];
    const char *path = argv[1];
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    long requests = 1000, done, calls = 0;
    aio_context_t ctx = 0;
    struct ring *ring;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        requests = number(argv[2], 0, 1000000);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file, a context, and the ring that belongs to it. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    ring = (void *)(uintptr_t)ctx;
    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0) {
        errno = EPROTO;
        die("the ring");
    }
    memset(data, 'x', BLOCK);
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = BLOCK;

    /* One request at a time. Only an empty ring is a reason for a call. */
    for (done = 0; done < requests; done++) {
        iocb.aio_data = done;
        if (io_submit(ctx, 1, list) == -1)
            die("io_submit");
        while (ring_reap(ring, &event) == 0) {
            calls++;
            n = io_getevents(ctx, 1, 1, &event, NULL);
            if (n == 1)
                break;
            if (n == -1 && errno != EINTR)
                die("io_getevents");
        }
        errno = EIO;
        if (event.data != (unsigned long)done)
            die("an event of another request");
        if (event.res != BLOCK) {
            errno = event.res < 0 ? -event.res : EIO;
            die("IOCB_CMD_PWRITE %s", path);
        }
    }
    printf("requests: %ld, calls of io_getevents: %ld\n", done, calls);

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
