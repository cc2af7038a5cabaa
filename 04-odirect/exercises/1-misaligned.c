/*
 * 1-misaligned.c - exercise 4.1, find the bug
 *
 * Writes a table to FILE with O_DIRECT, row by row. Without O_DIRECT it
 * works. With it, all that anybody hears is "missed bytes: expected 1024,
 * got 0", and on some kernels even that only now and then.
 *
 * Task:   Find out what the kernel says, and write the table so that no disk
 *         and no kernel minds: addresses, offsets and lengths that are
 *         multiples of 4096. Keep O_DIRECT. And have the program tell the
 *         reason when a write does fail.
 * Output: "written: 16384 bytes", status 0. If an event brings an error, or
 *         less than was to be written, status 1 and "1-misaligned:
 *         IOCB_CMD_PWRITE FILE: reason".
 * Read:   04-odirect/README.md, line 227 (What can go wrong);
 *         04-odirect/README.md, line 269 (A program prints "write missed bytes
 *         expect 1024 got 0". What is wrong?);
 *         04-odirect/misaligned.c
 * Check:  make exercise-4.1
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
    ROW = 1024                  /* bytes */
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
    struct iocb iocbs[ROWS], *list[ROWS];
    struct io_event events[ROWS];
    int submitted = 0, reaped = 0;
    aio_context_t ctx = 0;
    char *table;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up. EDIT HERE: where does the table lie? */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(ROWS, &ctx) == -1)
        die("io_setup");
    table = calloc(ROWS, ROW);
    if (table == NULL)
        die("calloc");
    for (int row = 0; row < ROWS; row++)
        fill(table + row * ROW, row);

    /* Prepare. EDIT HERE: must a row be a request? */
    memset(iocbs, 0, sizeof(iocbs));
    for (int i = 0; i < ROWS; i++) {
        iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        iocbs[i].aio_fildes = fd;
        iocbs[i].aio_buf = (uintptr_t)(table + i * ROW);
        iocbs[i].aio_nbytes = ROW;
        iocbs[i].aio_offset = i * ROW;
        list[i] = &iocbs[i];
    }

    /* Submit, and go on after a partial count. */
    while (submitted < ROWS) {
        n = io_submit(ctx, ROWS - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            die("io_submit");
        if (n > 0)
            submitted += n;
    }

    /* Reap. EDIT HERE: who says why? */
    while (reaped < ROWS) {
        n = io_getevents(ctx, 1, ROWS, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        for (int i = 0; i < n; i++, reaped++) {
            if (events[i].res2 != 0) {
                errno = -events[i].res2;
                die("IOCB_CMD_PWRITE %s", path);
            }
            if (events[i].res != ROW) {
                fprintf(stderr, "%s: missed bytes: expected %d, got %lld\n",
                        program_invocation_short_name, ROW,
                        (long long)events[i].res2);
                return EXIT_FAILURE;
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
