/*
 * batch-submit.c - many requests, a window of them in flight
 *
 * Writes REQUESTS blocks to FILE, never more than DEPTH at a time: fill the
 * window, submit what is in it with one call, reap what is done, refill.
 * io_submit() may take only some of the requests and io_getevents() may
 * return only some of the events; this loop loses none.
 *
 * Build:  cc -o batch-submit batch-submit.c
 * Usage:  ./batch-submit FILE [REQUESTS [DEPTH]]
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
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 };     /* bytes a request */

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char data[BLOCK];
};

static const char usage[] =
    "Usage: batch-submit FILE [REQUESTS [DEPTH]]\n"
    "Makes FILE, or empties it, and writes REQUESTS (64) blocks of 4096\n"
    "bytes to it, at most DEPTH (8) in flight.\n";

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

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* Reads the file as anybody would, and compares each block. */
static void read_back(const char *path, long blocks)
{
    char expected[BLOCK], got[BLOCK];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        die("open %s", path);
    for (long block = 0; block < blocks; block++) {
        fill(expected, block);
        errno = EIO;            /* in case it is the wrong data */
        if (fread(got, BLOCK, 1, file) != 1 ||
            memcmp(got, expected, BLOCK) != 0)
            die("read back block %ld of %s", block, path);
    }
    fclose(file);
    printf("read back: %ld blocks, each where it belongs\n", blocks);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    long requests = 64, depth = 8;
    long prepared = 0, in_flight = 0, done = 0;
    long nr_idle = 0, nr_ready = 0;
    long submits = 0, reaps = 0, most = 0;
    aio_context_t ctx = 0;
    int fd, n;

    check_arguments(argc, argv, 1, 3);
    if (argc > 2)
        requests = number(argv[2], 0, 262144);
    if (argc > 3)
        depth = number(argv[3], 1, 65536);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: the window, and lists of what is idle and ready in it. */
    struct request *window = calloc(depth, sizeof(*window));
    struct request **idle = calloc(depth, sizeof(*idle));
    struct iocb **ready = calloc(depth, sizeof(*ready));
    struct io_event *events = calloc(depth, sizeof(*events));
    if (!window || !idle || !ready || !events)
        die("calloc");
    while (nr_idle < depth) {
        idle[nr_idle] = &window[nr_idle];
        nr_idle++;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(depth, &ctx) == -1)
        die("io_setup");

    while (done < requests) {
        /* Prepare: a request for each idle place in the window. */
        while (nr_idle > 0 && prepared < requests) {
            struct request *request = idle[--nr_idle];
            struct iocb *iocb = &request->iocb;

            fill(request->data, prepared);
            memset(iocb, 0, sizeof(*iocb));
            iocb->aio_data = (uintptr_t)request;
            iocb->aio_lio_opcode = IOCB_CMD_PWRITE;
            iocb->aio_fildes = fd;
            iocb->aio_buf = (uintptr_t)request->data;
            iocb->aio_nbytes = BLOCK;
            iocb->aio_offset = (long long)prepared * BLOCK;
            ready[nr_ready++] = iocb;
            prepared++;
        }

        /*
         * Submit. The kernel stops at a request that it cannot take, and
         * returns the number before it. So go on from there: now that
         * request comes first, and the call says what is wrong with it.
         * EAGAIN: the context is full, and only reaping makes room.
         */
        while (nr_ready > 0) {
            n = io_submit(ctx, nr_ready, ready);
            submits++;
            if (n == -1 && errno == EINTR)
                continue;
            if (n == -1 && errno == EAGAIN && in_flight > 0)
                break;
            if (n == -1)
                die("io_submit");
            in_flight += n;
            nr_ready -= n;
            memmove(ready, ready + n, nr_ready * sizeof(*ready));
        }
        if (in_flight > most)
            most = in_flight;

        /* Reap: wait for one event, and take all that are there. */
        n = io_getevents(ctx, 1, depth, events, NULL);
        reaps++;
        if (n == -1 && errno != EINTR)
            die("io_getevents");

        /* Events come in any order: aio_data says whose each one is. */
        for (int i = 0; i < n; i++) {
            struct request *request = (void *)(uintptr_t)events[i].data;
            struct iocb *iocb = &request->iocb;
            long long res = events[i].res;

            in_flight--;
            if (res <= 0) {
                errno = res < 0 ? -res : EIO;
                die("IOCB_CMD_PWRITE %s", path);
            }
            iocb->aio_buf += res;
            iocb->aio_nbytes -= res;
            iocb->aio_offset += res;
            if (iocb->aio_nbytes > 0) {         /* short: the rest again */
                ready[nr_ready++] = iocb;
                continue;
            }
            idle[nr_idle++] = request;
            done++;
        }
    }

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(events);
    free(ready);
    free(idle);
    free(window);

    printf("requests: %ld, in flight at most: %ld\n", done, most);
    printf("io_submit: %ld calls\n", submits);
    printf("io_getevents: %ld calls\n", reaps);
    read_back(path, requests);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
