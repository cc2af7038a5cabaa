/*
 * 1-misaligned.c - solution 4.1, whole blocks at whole blocks' places
 *
 * Three things were wrong. calloc() gives memory at any multiple of 16; a
 * row of 1024 bytes is no whole block on a disk with blocks of 4096; and the
 * kernel's answer, -EINVAL, was in `res`, while `res2` was printed, which is
 * 0 always. Now the table lies on a multiple of 4096, four rows go in one
 * request, and `res` is looked at.
 *
 * Build:  cc -o 1-misaligned 1-misaligned.c
 * Usage:  ./1-misaligned FILE
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

enum {
    ROWS = 16,
    ROW = 1024,                 /* bytes */
    BLOCK = 4096,               /* bytes a request: aligned for most disks */
    REQUESTS = ROWS * ROW / BLOCK
};

static const char usage[] =
    "Usage: 1-misaligned FILE\n"
    "Makes FILE, or empties it, and writes a table of 16 rows to it.\n";

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

/* Row number `row`: 1024 times the same letter. */
static void fill(char *data, int row)
{
    memset(data, 'a' + row, ROW);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct iocb iocbs[REQUESTS], *list[REQUESTS];
    struct io_event events[REQUESTS];
    int submitted = 0, reaped = 0;
    aio_context_t ctx = 0;
    void *table;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up. The table begins at a multiple of BLOCK, as requests do. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(REQUESTS, &ctx) == -1)
        die("io_setup");
    errno = posix_memalign(&table, BLOCK, ROWS * ROW);
    if (errno != 0)
        die("posix_memalign");
    for (int row = 0; row < ROWS; row++)
        fill((char *)table + row * ROW, row);

    /* Prepare. Rows lie one behind the other, so four are one block. */
    memset(iocbs, 0, sizeof(iocbs));
    for (int i = 0; i < REQUESTS; i++) {
        iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        iocbs[i].aio_fildes = fd;
        iocbs[i].aio_buf = (uintptr_t)((char *)table + i * BLOCK);
        iocbs[i].aio_nbytes = BLOCK;
        iocbs[i].aio_offset = i * BLOCK;
        list[i] = &iocbs[i];
    }

    /* Submit, and go on after a partial count. */
    while (submitted < REQUESTS) {
        n = io_submit(ctx, REQUESTS - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            die("io_submit");
        if (n > 0)
            submitted += n;
    }

    /* Reap. The answer is in `res`: bytes, or a negative errno. */
    while (reaped < REQUESTS) {
        n = io_getevents(ctx, 1, REQUESTS, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        for (int i = 0; i < n; i++, reaped++) {
            if (events[i].res != BLOCK) {
                errno = events[i].res < 0 ? -events[i].res : EIO;
                die("IOCB_CMD_PWRITE %s", path);
            }
        }
    }
    printf("written: %d bytes\n", ROWS * ROW);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(table);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
