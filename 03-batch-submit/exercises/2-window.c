/*
 * 2-window.c - exercise 3.2, extend
 *
 * Counts the lines of FILE, as `wc -l` does. It reads the whole file at
 * once, with a request and a buffer for each block: fine for a small file,
 * and the end of the memory for a large one.
 *
 * Task:   Have it get by with DEPTH requests and buffers: never more than
 *         DEPTH in flight, and as long as blocks are left, never fewer. So
 *         after each io_getevents() hand the places that are free to the
 *         next blocks at once.
 * Output: "lines: N" and "in flight: at most M of DEPTH", status 0. If a
 *         call or a request fails: status 1, and on stderr "2-window: CALL:
 *         reason", or "2-window: IOCB_CMD_PREAD FILE: reason".
 * Read:   03-batch-submit/README.md, line 23 (The idea);
 *         03-batch-submit/README.md, line 47 (The code that matters);
 *         03-batch-submit/batch-submit.c
 * Check:  make exercise-3.2
 *
 * Build:  cc -o 2-window 2-window.c
 * Usage:  ./2-window FILE [DEPTH]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 };     /* bytes a request */

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char data[BLOCK];
};

static const char usage[] =
    "Usage: 2-window FILE [DEPTH]\n"
    "Counts the lines of FILE, with at most DEPTH (8) requests in flight.\n";

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

static long count_lines(const char *data, long length)
{
    long lines = 0;

    for (long i = 0; i < length; i++)
        lines += data[i] == '\n';
    return lines;
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    long depth = 8, blocks, lines = 0;
    long prepared = 0, in_flight = 0, done = 0, most = 0;
    long places, nr_ready = 0;
    aio_context_t ctx = 0;
    struct stat st;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        depth = number(argv[2], 1, 65536);

    /* Set up: the file, and how many blocks it has. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    if (fstat(fd, &st) == -1)
        die("fstat %s", path);
    blocks = (st.st_size + BLOCK - 1) / BLOCK;

    /* EDIT HERE: one place for each block, however many there are. */
    places = blocks > 0 ? blocks : 1;
    struct request *window = calloc(places, sizeof(*window));
    struct iocb **ready = calloc(places, sizeof(*ready));
    struct io_event *events = calloc(places, sizeof(*events));
    if (!window || !ready || !events)
        die("calloc");
    if (io_setup(places, &ctx) == -1)
        die("io_setup");

    /* Prepare: a request for each block. EDIT HERE: all at once. */
    while (prepared < blocks) {
        struct request *request = &window[prepared];
        struct iocb *iocb = &request->iocb;
        long long offset = (long long)prepared * BLOCK;

        memset(iocb, 0, sizeof(*iocb));
        iocb->aio_data = (uintptr_t)request;
        iocb->aio_lio_opcode = IOCB_CMD_PREAD;
        iocb->aio_fildes = fd;
        iocb->aio_buf = (uintptr_t)request->data;
        iocb->aio_nbytes = BLOCK;
        if (st.st_size - offset < BLOCK)
            iocb->aio_nbytes = st.st_size - offset;
        iocb->aio_offset = offset;
        ready[nr_ready++] = iocb;
        prepared++;
    }

    while (done < blocks) {
        /* Submit what is ready, and go on after a partial count. */
        while (nr_ready > 0) {
            n = io_submit(ctx, nr_ready, ready);
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
        n = io_getevents(ctx, 1, places, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");

        for (int i = 0; i < n; i++) {
            struct request *request = (void *)(uintptr_t)events[i].data;
            struct iocb *iocb = &request->iocb;
            long long res = events[i].res;

            in_flight--;
            if (res <= 0) {             /* 0: the file has become shorter */
                errno = res < 0 ? -res : EIO;
                die("IOCB_CMD_PREAD %s", path);
            }
            lines += count_lines((char *)(uintptr_t)iocb->aio_buf, res);
            iocb->aio_buf += res;
            iocb->aio_nbytes -= res;
            iocb->aio_offset += res;
            if (iocb->aio_nbytes > 0) {         /* short: the rest again */
                ready[nr_ready++] = iocb;
                continue;
            }
            done++;
        }
    }
    printf("lines: %ld\n", lines);
    printf("in flight: at most %ld of %ld\n", most, depth);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(events);
    free(ready);
    free(window);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
