/*
 * 4-ahead.c - exercise 4.4, find the bug (medium)
 *
 * Copies standard input to FILE with O_DIRECT, up to eight writes at a time;
 * how long the input is, nobody knows before it ends. All eight should be
 * under way when io_submit() returns. But none is: the call waits for each of
 * them, one after the other, and the disk never has two.
 *
 * Task:   Find out why, and allocate the space ahead: AHEAD bytes (1 MiB) at
 *         a time, whenever the next writes would reach beyond what there is,
 *         and before they are submitted. So the file is never longer than it
 *         must be by more than AHEAD, and 10 MiB take about ten allocations,
 *         not one for each call. At the end it holds the input, no more. Not
 *         every filesystem can allocate (EOPNOTSUPP): go on without, then.
 * Output: As it is: "written: N bytes", status 0. If anything fails, also
 *         because there is no room: status 1 and "4-ahead: CALL FILE: reason",
 *         and no more is written.
 * Try:    strace -T 04-odirect/exercises/4-ahead demo.dat <TUTORIAL.md
 * Read:   04-odirect/README.md, line 847 (Which O_DIRECT write waits?);
 *         04-odirect/README.md, line 452 (io_submit has returned. Who has done
 *         the work?);
 *         man 2 fallocate
 * Check:  make exercise-4.4
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

    /* EDIT HERE: each write makes the file longer. Who waits for that? */
    while ((length = take()) > 0) {
        write_blocks(fd, size, (length + BLOCK - 1) / BLOCK);
        size += length;
    }

    /* The last block was written whole: its padding goes. */
    if (size % BLOCK != 0 && ftruncate(fd, size) == -1)
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
