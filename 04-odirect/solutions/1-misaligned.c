/*
 * 1-misaligned.c - solution 4.1, whole blocks at whole blocks' places
 *
 * Three things were wrong. calloc() gives memory at any multiple of 16; a
 * row of 1024 bytes is no whole block on a disk with blocks of 4096; and the
 * kernel's answer, -EINVAL, was in `res`, while `res2` was printed, which is
 * always 0. Now the table lies on a multiple of 4096, four rows go in one
 * request, and `res` is looked at.
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
    ROW = 1024,   /* bytes */
    BLOCK = 4096, /* bytes a request: aligned for most disks */
    REQUESTS = ROWS * ROW / BLOCK
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
    struct iocb iocbs[REQUESTS], *list[REQUESTS];
    struct io_event events[REQUESTS];
    int fd, n, submitted = 0, reaped = 0;
    aio_context_t ctx = 0;
    void *memory;
    char *table;

    start(argc, argv, 1, 1);
    path = argv[1];

    /* Set up. The table begins at a multiple of BLOCK, as requests do. */
    if (io_setup(REQUESTS, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, BLOCK, ROWS * ROW);
    if (errno != 0)
        err(1, "posix_memalign");
    table = memory;
    for (int row = 0; row < ROWS; row++)
        fill(table + row * ROW, row);

    /* Prepare. Rows lie one behind the other, so four are one block. */
    for (int i = 0; i < REQUESTS; i++) {
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)(table + i * BLOCK),
            .aio_nbytes = BLOCK,
            .aio_offset = i * BLOCK,
        };
        list[i] = &iocbs[i];
    }

    /* Submit, and go on after a partial count. */
    while (submitted < REQUESTS) {
        n = io_submit(ctx, REQUESTS - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        if (n > 0)
            submitted += n;
    }

    /* Reap. The answer is in `res`: bytes, or a negative errno. */
    while (reaped < REQUESTS) {
        n = io_getevents(ctx, 1, REQUESTS, events, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        for (int i = 0; i < n; i++, reaped++) {
            if (events[i].res != BLOCK) {
                errno = events[i].res < 0 ? -events[i].res : EIO;
                err(1, "IOCB_CMD_PWRITE %s", path);
            }
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
