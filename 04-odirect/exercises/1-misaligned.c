/*
 * 1-misaligned.c - exercise 4.1, find the bug (easy)
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
 *         less than was to be written (EIO will do), status 1 and
 *         "1-misaligned: IOCB_CMD_PWRITE FILE: reason".
 * Read:   04-odirect/README.md, line 308 (What can go wrong);
 *         04-odirect/README.md, line 357 (A program prints "write missed bytes
 *         expect 1024 got 0". What is wrong?);
 *         04-odirect/misaligned.c
 * Check:  make exercise-4.1
 *
 * Build:  cc -o 1-misaligned 1-misaligned.c
 * Usage:  ./1-misaligned FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ROWS = 16,
    ROW = 1024 /* bytes */
};

static const char *path;

static void fill(char *data, int row);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct iocb iocbs[ROWS], *list[ROWS];
    struct io_event events[ROWS];
    int fd, n, submitted = 0, reaped = 0;
    aio_context_t ctx = 0;
    char *table;

    start(argc, argv, 1, 1);
    path = argv[1];

    /* Set up. EDIT HERE: where does the table lie? */
    if (io_setup(ROWS, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1)
        err(1, "open %s", path);
    table = calloc(ROWS, ROW);
    if (table == NULL)
        err(1, "calloc");
    for (int row = 0; row < ROWS; row++)
        fill(table + row * ROW, row);

    /* Prepare. EDIT HERE: must a row be a request? */
    for (int i = 0; i < ROWS; i++) {
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)(table + i * ROW),
            .aio_nbytes = ROW,
            .aio_offset = i * ROW,
        };
        list[i] = &iocbs[i];
    }

    /* Submit, and go on after a partial count. */
    while (submitted < ROWS) {
        n = io_submit(ctx, ROWS - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        if (n > 0)
            submitted += n;
    }

    /* Reap. EDIT HERE: who says why? */
    while (reaped < ROWS) {
        n = io_getevents(ctx, 1, ROWS, events, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        for (int i = 0; i < n; i++, reaped++) {
            if (events[i].res2 != 0) {
                errno = -events[i].res2;
                err(1, "IOCB_CMD_PWRITE %s", path);
            }
            if (events[i].res != ROW)
                errx(1, "missed bytes: expected %d, got %lld", ROW,
                     (long long)events[i].res2);
        }
    }
    printf("written: %d bytes\n", ROWS * ROW);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(table);
    return EXIT_SUCCESS;
}

/* Row number `row`: 1024 times the same letter. */
static void fill(char *data, int row)
{
    memset(data, 'a' + row, ROW);
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

/*
 * No C library has functions for these system calls. The types matter:
 * syscall() converts nothing. All return -1 and set errno on error.
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

/* The timespec is the kernel's: two longs, however long time_t is. */
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

static const char usage[] =
    "Usage: 1-misaligned FILE\n"
    "Makes FILE, or empties it, and writes a table of 16 rows to it.\n";

/* At exit: output that did not arrive (a full disk, say) is a failure too. */
static void check_output(void)
{
    if (ferror(stdout) && putchar('\n') != EOF && fflush(stdout) == 0)
        errno = EIO; /* else it failed again, and errno says why */
    if (ferror(stdout) || fflush(stdout) != 0) {
        warn("standard output");
        _exit(EXIT_FAILURE);
    }
}

/* What every program does first; status 2 if its arguments are not right. */
static void start(int argc, char **argv, int min, int max)
{
    const char *first = argc > 1 ? argv[1] : "";
    int help = !strcmp(first, "-h") || !strcmp(first, "--help");

    for (int fd = 0; fd <= 2; fd++) /* closed, it would become FILE's */
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", O_RDONLY);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    atexit(check_output);
    signal(SIGXFSZ, SIG_IGN); /* over `ulimit -f`: an error, no kill */
    if (help || argc <= min || argc > max + 1 || first[0] == '-') {
        fputs(usage, help ? stdout : stderr);
        exit(help ? EXIT_SUCCESS : 2);
    }
}
