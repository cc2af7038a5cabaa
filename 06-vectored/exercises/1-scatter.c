/*
 * 1-scatter.c - exercise 6.1, extend
 *
 * Reads a record from FILE. The header must lie in one place of memory, and
 * the body in another. So it reads both into a third, and copies each to its
 * place. The kernel can do that.
 *
 * Task:   One request, and no copying: IOCB_CMD_PREADV puts the header into
 *         header[] and the body into body[].
 * Output: As it is: the header's line, and the number of lines in the body. A
 *         read that fails ends it with status 1 and "1-scatter:
 *         IOCB_CMD_PREADV FILE: reason"; a record that is not whole, too.
 * Read:   06-vectored/README.md, line 47 (The code that matters);
 *         06-vectored/vectored.c
 * Check:  make exercise-6.1
 *
 * Build:  cc -o 1-scatter 1-scatter.c
 * Usage:  ./1-scatter FILE
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
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER = 64,                /* bytes */
    BODY = 4096
};

static const char usage[] =
    "Usage: 1-scatter FILE\n"
    "Reads a record from FILE: a header of 64 bytes, a body of 4096.\n";

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
    const char *path = argv[1];
    char header[HEADER], body[BODY];
    char record[HEADER + BODY];
    struct iocb iocb, *list[1] = { &iocb };
    aio_context_t ctx = 0;
    struct io_event event;
    int fd, n, count = 0;

    check_arguments(argc, argv, 1, 1);

    /* Set up. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /* Prepare. EDIT HERE: what is read, and to where? */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PREAD;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)record;
    iocb.aio_nbytes = sizeof(record);

    /* Submit, wait and check. */
    if (io_submit(ctx, 1, list) == -1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    if (event.res != HEADER + BODY) {
        errno = event.res < 0 ? -event.res : EIO;
        die("IOCB_CMD_PREAD %s", path);
    }
    memcpy(header, record, HEADER);
    memcpy(body, record + HEADER, BODY);

    /* The header is a line of text; of the body, the lines are counted. */
    for (int i = 0; i < BODY; i++)
        count += body[i] == '\n';
    printf("header: %.*s\n", (int)strcspn(header, "\n"), header);
    printf("lines in the body: %d\n", count);

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
