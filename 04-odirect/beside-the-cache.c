/*
 * beside-the-cache.c - O_DIRECT, buffered I/O and mmap on one file
 *
 * O_DIRECT goes past the page cache, but the kernel keeps the two in step: it
 * writes and drops the pages in the way, before and after. So one after the
 * other sees what the others wrote. At the same time is another matter. Here
 * a second process stores to a mapping of the file while an O_DIRECT write is
 * on its way: the page is read in again, with old data, and nobody may drop
 * it any more. When it is written back, that part of the write is undone,
 * though its event told success. Only the next fsync() says a word.
 *
 * Build:  cc -o beside-the-cache beside-the-cache.c
 * Usage:  ./beside-the-cache FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SIZE = 16 << 20,     /* bytes of the file, and of each request */
    PLACE = SIZE - 4096, /* where the store goes, in the last page */
    TRIES = 20
};

static const char *path;
static aio_context_t ctx = 0;
static char *data;         /* SIZE bytes, aligned */
static volatile char *map; /* the file, shared */
static volatile int *go;   /* a write begins: shared with the child */
static int cached, direct;

static void open_twice(void), buffered_write(char letter);
static char transfer(int opcode, char letter);
static int collide(void);
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
    int tries = 1;
    char letter;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    open_twice();

    /* One after the other: a is written through the page cache, and so on. */
    buffered_write('a');
    printf("buffered write of a, O_DIRECT read: %c\n",
           transfer(IOCB_CMD_PREAD, 0));
    map[PLACE] = 'b';
    printf("store of b by mmap, O_DIRECT read: %c\n",
           transfer(IOCB_CMD_PREAD, 0));
    transfer(IOCB_CMD_PWRITE, 'c');
    printf("O_DIRECT write of c, load by mmap: %c\n", map[PLACE]);
    transfer(IOCB_CMD_PWRITE, 'd');
    errno = EIO; /* if it is short */
    if (pread(cached, &letter, 1, PLACE) != 1)
        err(1, "pread %s", path);
    printf("O_DIRECT write of d, buffered read: %c\n", letter);

    /* At the same time, until it is seen what that can do. */
    signal(SIGCHLD, SIG_DFL); /* ignored, a child's status would be lost */
    while (!collide() && ++tries <= TRIES)
        ;
    if (tries > TRIES)
        printf("both at the same time: nothing lost in %d tries\n", TRIES);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    munmap((char *)map, SIZE);
    if (close(direct) == -1 || close(cached) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* The whole file by one O_DIRECT request. Returns what is at PLACE. */
static char transfer(int opcode, char letter)
{
    struct io_event event;
    struct iocb iocb = {
        .aio_lio_opcode = opcode,
        .aio_fildes = direct,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = SIZE,
    };
    struct iocb *list[1] = { &iocb };
    int n;

    memset(data, letter, SIZE);
    *go = 1;
    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_getevents");
    if (event.res != SIZE) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "request for %s", path);
    }
    return data[PLACE];
}

/*
 * The file holds o, for old, and an O_DIRECT write of n, for new, is made. When
 * that has begun, a child stores an s to the last page, which will be written
 * last. True if new data got lost.
 */
static int collide(void)
{
    pid_t parent = getpid(), child;
    int status, fsync_errno = 0;

    buffered_write('o');
    if (fsync(cached) == -1)
        err(1, "fsync %s", path);
    madvise((char *)map, SIZE, MADV_DONTNEED);
    posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
    *go = 0;
    child = fork();
    if (child == -1)
        err(1, "fork");
    if (child == 0) {
        while (!*go && getppid() == parent)
            sched_yield();
        usleep(100); /* the write has dropped the page by now */
        map[PLACE] = 's';
        _exit(EXIT_SUCCESS);
    }
    transfer(IOCB_CMD_PWRITE, 'n');
    if (waitpid(child, &status, 0) == -1)
        err(1, "waitpid");
    if (status != 0)
        errx(1, "child: %s", strsignal(WTERMSIG(status)));
    if (fsync(cached) == -1)
        fsync_errno = errno;
    transfer(IOCB_CMD_PREAD, 0);
    if (data[PLACE + 1] != 'o')
        return 0;

    printf("O_DIRECT write of n, and a store of s meanwhile: res %d\n"
           "the file afterwards: %.4s... and in the last page %.4s...\n"
           "fsync: %s\n",
           SIZE, data, data + PLACE, fsync_errno ? strerror(fsync_errno) : "0");
    return 1;
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

/* Through the page cache, which it leaves dirty. */
static void buffered_write(char letter)
{
    memset(data, letter, SIZE);
    write_all(cached, data, SIZE, 0);
}

/* Once through the page cache, once past it, and once into memory. */
static void open_twice(void)
{
    void *memory;

    cached = create(O_RDWR);
    if (cached == -1)
        err(1, "open %s", path);
    direct = open_direct(O_RDWR);
    if (direct == -1 && errno == EINVAL) {
        printf("O_DIRECT: not with this file\n");
        exit(EXIT_SUCCESS);
    }
    if (direct == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, 65536, SIZE);
    if (errno != 0)
        err(1, "posix_memalign");
    data = memory;
    buffered_write(0);
    memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, cached, 0);
    if (memory == MAP_FAILED)
        err(1, "mmap %s", path);
    map = memory;
    madvise(memory, SIZE, MADV_RANDOM); /* no page is read ahead */
    memory = mmap(NULL, sizeof(*go), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        err(1, "mmap");
    go = memory;
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
    "Usage: beside-the-cache FILE\n"
    "Makes FILE, or empties it, and reads and writes it by O_DIRECT, through\n"
    "the page cache and through mmap.\n";

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
