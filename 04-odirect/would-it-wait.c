/*
 * would-it-wait.c - RWF_NOWAIT as a detector
 *
 * A request with RWF_NOWAIT in aio_rw_flags that would have to wait inside
 * io_submit() comes back at once, with -EAGAIN in its event. So the kernel
 * itself says which requests are asynchronous here, and which are not; luck,
 * and how quick the disk is, have no part in it. Some filesystems answer
 * -EAGAIN wherever they might have to wait.
 *
 * Build:  cc -o would-it-wait would-it-wait.c
 * Usage:  ./would-it-wait FILE
 * Needs:  Linux 4.14, and a filesystem that takes the flag
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

enum { BLOCK = 65536 }; /* bytes a request: a multiple of what any disk asks */

static const char *path;
static aio_context_t ctx = 0;
static char *data; /* one block, aligned */

static void ask(const char *kind, int op, int fd, int block, const char *why);
static void write_block(int fd, int block), write_back(int fd);
static void start(int argc, char **argv, int min, int max);
static int open_direct(int flags), create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    int cached, direct, ahead;
    void *memory;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    cached = create(O_RDWR);
    if (cached == -1)
        err(1, "open %s", path);
    direct = open_direct(O_RDWR);
    if (direct == -1 && errno == EINVAL) {
        printf("O_DIRECT: not with this file\n");
        return EXIT_SUCCESS;
    }
    if (direct == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, BLOCK, BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    data = memset(memory, 'x', BLOCK);

    /* Blocks 0 to 3 are written, 4 to 7 a hole, 8 to 11 allocated ahead. */
    for (int block = 0; block < 4; block++)
        write_block(cached, block);
    if (ftruncate(cached, 12 * BLOCK) == -1)
        err(1, "ftruncate %s", path);
    ahead = fallocate(cached, 0, 8 * BLOCK, 4 * BLOCK) == 0;
    if (!ahead && errno != EOPNOTSUPP)
        err(1, "fallocate %s", path);

    ask("buffered write", IOCB_CMD_PWRITE, cached, 0, "a lock");
    ask("buffered read", IOCB_CMD_PREAD, cached, 0, "the disk");
    write_back(cached);
    ask("buffered read, not cached", IOCB_CMD_PREAD, cached, 0, "the disk");
    ask("O_DIRECT read", IOCB_CMD_PREAD, direct, 1, "the file's metadata");
    write_block(cached, 1);
    ask("O_DIRECT read beside dirty pages", IOCB_CMD_PREAD, direct, 1,
        "the pages to be written");
    ask("O_DIRECT overwrite", IOCB_CMD_PWRITE, direct, 2, "the time stamp");
    write_block(cached, 2);
    ask("O_DIRECT overwrite beside dirty pages", IOCB_CMD_PWRITE, direct, 2,
        "the pages to be written");
    if (ahead)
        ask("O_DIRECT write, preallocated", IOCB_CMD_PWRITE, direct, 8,
            "the time stamp");
    else
        printf("%-38s not on this filesystem\n",
               "O_DIRECT write, preallocated");
    ask("O_DIRECT write into a hole", IOCB_CMD_PWRITE, direct, 4,
        "blocks to be found");
    ask("O_DIRECT write at the end", IOCB_CMD_PWRITE, direct, 12,
        "the data to arrive");

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(direct) == -1 || close(cached) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* One request. Returns its `res`, or the negative errno of io_submit(). */
static long long request(int opcode, int fd, int block, int flags)
{
    struct io_event event;
    struct iocb iocb = {
        .aio_lio_opcode = opcode,
        .aio_rw_flags = flags,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
        .aio_offset = (long long)block * BLOCK,
    };
    struct iocb *list[1] = { &iocb };
    int n;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n == -1 && (flags == 0 || (errno != EINVAL && errno != EOPNOTSUPP)))
        err(1, "io_submit");
    if (n == -1) /* the flag is refused */
        return -errno;
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_getevents");
    return event.res;
}

/* Asks with RWF_NOWAIT. If that would wait, the same without must succeed. */
static void ask(const char *kind, int op, int fd, int block, const char *why)
{
    long long res;

    usleep(20000); /* so that its time stamp is no longer that of the file */
    res = request(op, fd, block, RWF_NOWAIT);
    printf("%-38s ", kind);
    if (res == BLOCK) {
        printf("does not wait\n");
    } else if (res == -EAGAIN) {
        printf("would wait, perhaps for %s\n", why);
    } else if (res == -EOPNOTSUPP || res == -EINVAL) {
        printf("cannot be asked: %s\n", strerror(-res));
    } else if (res > 0) {
        printf("does not wait for the first %lld of %d bytes\n", res, BLOCK);
    } else {
        errno = res < 0 ? -res : EIO;
        err(1, "RWF_NOWAIT %s", path);
    }
    if (res != BLOCK && (res = request(op, fd, block, 0)) != BLOCK) {
        errno = res < 0 ? -res : EIO;
        err(1, "without RWF_NOWAIT %s", path);
    }
}

/* pwrite() of all of it. A short one is no error: the next one tells. */
static void write_all(int fd, const char *from, long length, long long offset)
{
    for (ssize_t n; length > 0; from += n, offset += n, length -= n) {
        errno = EIO; /* if it writes nothing */
        n = pwrite(fd, from, length, offset);
        if (n <= 0)
            err(1, "pwrite %s", path);
    }
}

/* Through the page cache: its pages are dirty then. */
static void write_block(int fd, int block)
{
    write_all(fd, data, BLOCK, (long long)block * BLOCK);
}

/* What is dirty goes to the disk, and then no page is kept. */
static void write_back(int fd)
{
    if (fsync(fd) == -1)
        err(1, "fsync %s", path);
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM); /* no read-ahead */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, others[37];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/* Past the page cache; EINVAL, too, if statx() says that FILE cannot. */
static int open_direct(int flags)
{
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    int fd = open(path, flags | O_DIRECT);
    struct new_statx stx = { 0 };

    if (fd != -1 &&
        syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign) && stx.stx_dio_mem_align == 0) {
        close(fd);
        errno = EINVAL;
        fd = -1;
    }
    return fd;
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
    "Usage: would-it-wait FILE\n"
    "Makes FILE, or empties it, and says which reads and writes of it would\n"
    "wait inside io_submit.\n";

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
