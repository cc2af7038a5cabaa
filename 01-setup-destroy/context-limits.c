/*
 * context-limits.c - what a context can hold, and whose it is
 *
 * NR_EVENTS is the least that a context has room for, not the most. Shows
 * the size of its completion ring, and how many requests it really takes.
 * Then uses two contexts at once, and one of them in a forked child.
 *
 * Build:  cc -o context-limits context-limits.c
 * Usage:  ./context-limits [NR_EVENTS]
 * Needs:  Linux 4.19 (IOCB_CMD_POLL)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char usage[] =
    "Usage: context-limits [NR_EVENTS]\n"
    "Shows what an AIO context for NR_EVENTS requests (32) really holds.\n";

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

/*
 * The context is an address: there the kernel has mapped the ring that it
 * puts events into. No header declares it, but programs depend on it, so
 * it stays as it is. It begins with this, and the events follow.
 */
struct aio_ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
};

static const struct aio_ring *ring_of(aio_context_t ctx)
{
    const struct aio_ring *ring = (const void *)(uintptr_t)ctx;

    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0) {
        errno = EPROTO;
        die("the ring of events");
    }
    return ring;
}

/* The number in /proc/sys/fs/aio-nr; -1 if it cannot be read. */
static long aio_nr(void)
{
    FILE *file = fopen("/proc/sys/fs/aio-nr", "r");
    long n;

    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &n) != 1)
        n = -1;
    fclose(file);
    return n;
}

/*
 * Asks to be told when `fd` can be read. That never is while the pipe is
 * empty: such a request stays in flight as long as we like.
 */
static int submit_poll(aio_context_t ctx, int fd)
{
    struct iocb iocb;
    struct iocb *list[1] = { &iocb };

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_POLL;
    iocb.aio_fildes = fd;
    iocb.aio_buf = POLLIN;
    return io_submit(ctx, 1, list);     /* the kernel copies the iocb */
}

/*
 * Takes events until `expected` of them are here and no more are there.
 * min_nr 1 waits for the next, min_nr 0 only looks.
 */
static unsigned reap(aio_context_t ctx, unsigned expected)
{
    struct io_event events[64];
    unsigned reaped = 0;
    int n;

    do {
        n = io_getevents(ctx, reaped < expected, 64, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        if (n > 0)
            reaped += n;
    } while (n != 0);
    return reaped;
}

static void show(const char *what, int result)
{
    printf("%s: %s\n", what, result == -1 ? strerror(errno) : "done");
}

/* The child may still see the ring, but the context is its parent's. */
static void child(aio_context_t ctx)
{
    unsigned char resident;

    /* To look would be a SIGSEGV on kernels that do not hand it down: ask. */
    if (mincore((void *)(uintptr_t)ctx, 1, &resident) == 0)
        printf("child: the ring is still mapped\n");
    else if (errno == ENOMEM)
        printf("child: the ring is not mapped\n");
    else
        die("mincore");

    show("child: io_submit of nothing", io_submit(ctx, 0, NULL));
    show("child: io_getevents", io_getevents(ctx, 0, 0, NULL, NULL));
    show("child: io_destroy", io_destroy(ctx));
    if (fflush(stdout) != 0)
        die("standard output");
    exit(EXIT_SUCCESS);
}

int main(int argc, char **argv)
{
    unsigned nr_events = 32, nr, taken = 0;
    aio_context_t ctx = 0, second = 0;
    int ends[2], status;
    long before;
    pid_t pid;

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* What we ask for is charged to the limit that all processes share. */
    before = aio_nr();
    if (io_setup(nr_events, &ctx) == -1)
        die("io_setup");
    printf("asked for: %u events\n", nr_events);
    printf("aio-nr: %ld more than before\n", aio_nr() - before);

    /*
     * The ring is larger. Each CPU keeps some free places for itself, so
     * the kernel doubles the number (after raising it to four for each CPU)
     * and then fills up whole pages.
     */
    nr = ring_of(ctx)->nr;
    printf("ring: %u places\n", nr);

    /* A context belongs to the process. A forked child has none. */
    if (fflush(stdout) != 0)    /* or the child would print it again */
        die("standard output");
    signal(SIGCHLD, SIG_DFL);   /* ignored, the status would be lost */
    pid = fork();
    if (pid == -1)
        die("fork");
    if (pid == 0)
        child(ctx);
    if (waitpid(pid, &status, 0) == -1)
        die("waitpid");
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: child: %s\n", program_invocation_short_name,
                strsignal(WTERMSIG(status)));
    if (status != 0)
        exit(EXIT_FAILURE);     /* the child has said why, if it could */
    show("parent: io_submit of nothing", io_submit(ctx, 0, NULL));

    /*
     * A request in flight holds a place for its event. When none is left,
     * io_submit says EAGAIN, and does so until events are reaped. When that
     * is depends on the CPUs we ran on, but never before NR_EVENTS.
     */
    if (pipe(ends) == -1)
        die("pipe");
    while (submit_poll(ctx, ends[0]) == 1)
        taken++;
    if (errno != EAGAIN)
        die("io_submit");
    printf("requests taken: %u, then: %s\n", taken, strerror(errno));
    printf("done while the pipe is empty: %u\n", reap(ctx, 0));

    /*
     * A second context has places of its own, and events of its own. Say
     * one thread writes a log, and another copies large files: with one
     * context each, neither can use up the other's places, or reap its
     * events, and each can be destroyed alone.
     */
    if (io_setup(1, &second) == -1)
        die("io_setup");
    if (submit_poll(second, ends[0]) != 1)
        die("io_submit");
    printf("second context: 1 request taken\n");

    /* One byte in the pipe completes them all. Each finds its own. */
    if (write(ends[1], "!", 1) != 1)
        die("write");
    printf("reaped from the second: %u\n", reap(second, 1));
    printf("reaped from the first: %u\n", reap(ctx, taken));

    /* Tear down. All that was charged is given back. */
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");
    if (io_destroy(second) == -1)
        die("io_destroy");
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    printf("aio-nr: %ld more than before\n", aio_nr() - before);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
