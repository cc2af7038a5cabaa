/*
 * torn-write.c - all of a write, or nothing of it
 *
 * After a power failure a page of 16 KiB may be half old and half new: torn.
 * A write with RWF_ATOMIC is not, if disk and filesystem are able to: statx()
 * tells from which length to which. All else is refused. Here requests are
 * made that are right, or wrong in one thing.
 *
 * Build:  cc -o torn-write torn-write.c
 * Usage:  ./torn-write FILE
 * Needs:  Linux 6.13, and xfs or ext4; on others all is refused
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
#include <sys/uio.h>
#include <unistd.h>

enum { ROOM = 65536 }; /* bytes of the buffer, and what it is aligned to */

static const char *path;
static aio_context_t ctx = 0;
static char *data; /* ROOM bytes */

static unsigned ask_promise(int fd);
static void try(const char *what, int opcode, int fd, long length, long offset);
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
    unsigned unit;
    void *memory;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_RDWR | O_DIRECT);
    if (fd == -1 && errno == EINVAL) {
        printf("O_DIRECT: not with this file\n");
        return EXIT_SUCCESS;
    }
    if (fd == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, ROOM, ROOM);
    if (errno != 0)
        err(1, "posix_memalign");
    data = memset(memory, 'x', ROOM);

    unit = ask_promise(fd);
    if (unit == 0 || unit > 16384)
        unit = 16384; /* a page of a database */
    try("as it should be", IOCB_CMD_PWRITE, fd, unit, unit);
    try("not at a multiple of the length", IOCB_CMD_PWRITE, fd, unit, unit / 2);
    try("not a power of two", IOCB_CMD_PWRITE, fd, unit / 2 * 3, 0);
    try("from two buffers", IOCB_CMD_PWRITEV, fd, unit, unit);
    try("a read", IOCB_CMD_PREAD, fd, unit, unit);
    if (fcntl(fd, F_SETFL, 0) == -1)
        err(1, "fcntl %s", path);
    try("through the page cache", IOCB_CMD_PWRITE, fd, unit, unit);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* struct statx as it is since Linux 6.11: not all headers have that yet. */
struct new_statx {
    uint32_t others[42];
    uint32_t stx_atomic_write_unit_min, stx_atomic_write_unit_max;
    uint32_t stx_atomic_write_segments_max, more[19];
};

/* What is promised for this file. Returns the greatest length, or 0. */
static unsigned ask_promise(int fd)
{
    const unsigned write_atomic = 0x10000; /* STATX_WRITE_ATOMIC */
    struct new_statx stx = { 0 };

    syscall(SYS_statx, fd, "", AT_EMPTY_PATH, write_atomic, &stx);
    if (stx.stx_atomic_write_unit_max == 0)
        printf("promised never to be torn: nothing\n");
    else
        printf("promised never to be torn: %u to %u bytes, buffers: %u\n",
               stx.stx_atomic_write_unit_min, stx.stx_atomic_write_unit_max,
               stx.stx_atomic_write_segments_max);
    return stx.stx_atomic_write_unit_max;
}

/* One request with RWF_ATOMIC, and who refused it, if anybody did. */
static void try(const char *what, int opcode, int fd, long length, long offset)
{
    struct iovec halves[2] = { { data, length / 2 }, { data, length / 2 } };
    int n, two = opcode == IOCB_CMD_PWRITEV;
    const char *by = "";
    struct io_event event;
    struct iocb iocb = {
        .aio_lio_opcode = opcode,
        .aio_rw_flags = 0x40, /* RWF_ATOMIC: not in all headers yet */
        .aio_fildes = fd,
        .aio_buf = two ? (uintptr_t)halves : (uintptr_t)data,
        .aio_nbytes = two ? 2 : length,
        .aio_offset = offset,
    };
    struct iocb *list[1] = { &iocb };

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n == -1) {
        if (errno != EINVAL && errno != EOPNOTSUPP)
            err(1, "io_submit");
        by = " by io_submit";
        event.res = -errno;
    } else {
        do
            n = io_getevents(ctx, 1, 1, &event, NULL);
        while (n == -1 && errno == EINTR);
        if (n != 1)
            err(1, "io_getevents");
    }
    if (event.res != length && event.res != -EINVAL &&
        event.res != -EOPNOTSUPP) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "request for %s", path);
    }
    printf("%ld bytes at %ld, %s: ", length, offset, what);
    if (event.res == length)
        printf("done\n");
    else
        printf("refused%s: %s\n", by, strerror(-event.res));
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
    "Usage: torn-write FILE\n"
    "Makes FILE, or empties it, and finds which writes to it are never torn.\n";

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
