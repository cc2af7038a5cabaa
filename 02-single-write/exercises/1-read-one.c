/*
 * 1-read-one.c - exercise 2.1, fill in
 *
 * Should read LENGTH bytes of FILE, beginning at OFFSET, with one request.
 * The request is not filled in yet, and what comes of it is judged too
 * severely.
 *
 * Task:   Fill in the request, an IOCB_CMD_PREAD. Then tell the three cases
 *         apart that are no errors.
 * Output: One of these lines, then the bytes that were read as they are:
 *             "64 bytes at 0: all"
 *             "64 bytes at 0: only 27"
 *             "64 bytes at 0: none, the end of the file"
 *         If the event brings an error: status 1, and on stderr
 *         "1-read-one: IOCB_CMD_PREAD FILE: reason".
 * Read:   02-single-write/README.md, line 50 (The code that matters);
 *         02-single-write/README.md, line 274 (A read at the end of the file:
 *         error, or zero bytes?);
 *         02-single-write/single-write.c
 * Check:  make exercise-2.1
 *
 * Build:  cc -o 1-read-one 1-read-one.c
 * Usage:  ./1-read-one FILE [OFFSET [LENGTH]]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 1-read-one FILE [OFFSET [LENGTH]]\n"
    "Reads LENGTH (64) bytes of FILE from OFFSET (0) with one request.\n";

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

int main(int argc, char **argv)
{
    const char *path = argv[1];
    long long offset = 0;
    long length = 64;
    aio_context_t ctx = 0;
    struct iocb iocb;
    struct iocb *list[1] = { &iocb };
    struct io_event event;
    char *data;
    int fd, n;

    check_arguments(argc, argv, 1, 3);
    if (argc > 2)
        offset = number(argv[2], 0, LONG_MAX);
    if (argc > 3)
        length = number(argv[3], 1, 1048576);

    /* Set up: a file, a buffer and a context. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    data = malloc(length);
    if (data == NULL)
        die("malloc");
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /* Prepare. EDIT HERE: what, into which memory, how much, from where? */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_fildes = fd;

    /* Submit, and wait for the event. */
    if (io_submit(ctx, 1, list) == -1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");

    /* Check. EDIT HERE: not every res but LENGTH is an error. */
    if (event.res != length) {
        errno = EIO;
        die("IOCB_CMD_PREAD %s", path);
    }
    printf("%ld bytes at %lld: all\n", length, offset);
    fwrite(data, 1, length, stdout);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(data);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
