/*
 * 4-ahead.c - solution 4.4, space first, then writes
 *
 * A write that makes the file longer is waited for inside io_submit(): the
 * new length may be told only when the data is there. One into a hole waits
 * for blocks to be found. So blocks are found and the length is set ahead, a
 * MiB at a time, and what was too much is cut off at the end.
 *
 * Build:  cc -o 4-ahead 4-ahead.c
 * Usage:  ./4-ahead FILE <INPUT
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

enum { BLOCK = 65536, DEPTH = 8 }; /* bytes a write, and writes at a time */
enum { AHEAD = 1 << 20 };          /* bytes */

static const char *path;
static aio_context_t ctx = 0;
static char *data; /* DEPTH blocks, aligned */

static long take(void);
static void allocate(int fd, long long end);
static void write_blocks(int fd, long long offset, int nr);
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
    long long size = 0;
    void *memory;
    long length;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(DEPTH, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, BLOCK, DEPTH * BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    data = memory;

    /* Room for the next writes first: then no write makes the file longer. */
    while ((length = take()) > 0) {
        allocate(fd, size + (length + BLOCK - 1) / BLOCK * BLOCK);
        write_blocks(fd, size, (length + BLOCK - 1) / BLOCK);
        size += length;
    }

    /* What is too much goes: padding, and what was allocated and not used. */
    if (ftruncate(fd, size) == -1)
        err(1, "ftruncate %s", path);
    printf("written: %lld bytes\n", size);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* Fills the blocks from standard input. Returns how many bytes there are. */
static long take(void)
{
    long length = fread(data, 1, DEPTH * BLOCK, stdin);

    if (ferror(stdin))
        err(1, "standard input");
    memset(data + length, 0, DEPTH * BLOCK - length);
    return length;
}

/*
 * Sees to it that the file has blocks up to `end`, and is that long: with
 * FALLOC_FL_KEEP_SIZE each write would still make it longer, and wait.
 */
static void allocate(int fd, long long end)
{
    static long long allocated; /* bytes */

    while (allocated < end) {
        if (fallocate(fd, 0, allocated, AHEAD) == 0 || errno == EOPNOTSUPP)
            allocated += AHEAD;
        else if (errno != EINTR)
            err(1, "fallocate %s", path);
    }
}

/* Has the blocks written, all at a time, and waits for them. */
static void write_blocks(int fd, long long offset, int nr)
{
    struct iocb iocbs[DEPTH], *list[DEPTH];
    struct io_event events[DEPTH];
    int n, submitted = 0, reaped = 0;

    for (int i = 0; i < nr; i++) {
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)(data + i * BLOCK),
            .aio_nbytes = BLOCK,
            .aio_offset = offset + i * BLOCK,
        };
        list[i] = &iocbs[i];
    }
    while (submitted < nr) {
        n = io_submit(ctx, nr - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        if (n > 0)
            submitted += n;
    }
    while (reaped < nr) {
        n = io_getevents(ctx, 1, nr - reaped, events + reaped, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        if (n > 0)
            reaped += n;
    }
    for (int i = 0; i < nr; i++)
        if (events[i].res != BLOCK) {
            errno = events[i].res < 0 ? -events[i].res : EIO;
            err(1, "IOCB_CMD_PWRITE %s", path);
        }
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
    "Usage: 4-ahead FILE <INPUT\n"
    "Makes FILE, or empties it, and copies standard input to it.\n";

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
