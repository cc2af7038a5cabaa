/*
 * partial-submit.c - when io_submit() takes only some of the requests
 *
 * Submits three writes with one call, and the second can't work. The kernel
 * takes the first and stops there: the count says where, but not why. The
 * reason is not lost. Submitted again, what is left begins with the bad
 * request, and now the call fails with its errno. Once that request is
 * mended, the rest goes through.
 *
 * Build:  cc -o partial-submit partial-submit.c
 * Usage:  ./partial-submit FILE
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

enum { REQUESTS = 3 };

static const char usage[] =
    "Usage: partial-submit FILE\n"
    "Makes FILE, or empties it, and writes three lines to it. The request\n"
    "for the second is wrong at first.\n";

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

int main(int argc, char **argv)
{
    static const char *const texts[REQUESTS] = {
        "first\n", "second\n", "third\n"
    };
    const char *path = argv[1];
    struct iocb iocbs[REQUESTS], *list[REQUESTS];
    struct io_event events[REQUESTS];
    aio_context_t ctx = 0;
    long long offset = 0;
    int fd, n, submitted = 0, reaped = 0;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file and a context. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(REQUESTS, &ctx) == -1)
        die("io_setup");

    /* Prepare: a line each. The one in the middle has no descriptor. */
    memset(iocbs, 0, sizeof(iocbs));
    for (int i = 0; i < REQUESTS; i++) {
        iocbs[i].aio_data = i;
        iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        iocbs[i].aio_fildes = i == 1 ? -1 : fd;
        iocbs[i].aio_buf = (uintptr_t)texts[i];
        iocbs[i].aio_nbytes = strlen(texts[i]);
        iocbs[i].aio_offset = offset;
        list[i] = &iocbs[i];
        offset += strlen(texts[i]);
    }

    /*
     * Submit what is left until nothing is. A count is never a reason to
     * give up, and an error of a request is always that of the first.
     */
    while (submitted < REQUESTS) {
        int left = REQUESTS - submitted;
        struct iocb *first = list[submitted];

        n = io_submit(ctx, left, list + submitted);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EBADF && (int)first->aio_fildes == -1) {
            printf("io_submit of %d: %s\n", left, strerror(errno));
            first->aio_fildes = fd;
            printf("request %d had no descriptor: mended\n", submitted + 1);
            continue;
        }
        if (n == -1)
            die("io_submit");
        printf("io_submit of %d: %d taken\n", left, n);
        submitted += n;
    }

    /* Wait for all that were taken. */
    while (reaped < REQUESTS) {
        n = io_getevents(ctx, 1, REQUESTS - reaped, events + reaped, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        if (n > 0)
            reaped += n;
    }

    /* Check: each request has its event, and is whole. */
    for (int i = 0; i < REQUESTS; i++) {
        long long res = events[i].res;

        if (res != (long long)strlen(texts[events[i].data])) {
            errno = res < 0 ? -res : EIO;
            die("IOCB_CMD_PWRITE %s", path);
        }
    }
    printf("events: %d, all written\n", reaped);

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
