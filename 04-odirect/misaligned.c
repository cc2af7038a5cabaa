/*
 * misaligned.c - one rule broken at a time
 *
 * O_DIRECT wants the buffer's address, the length and the file offset to be
 * multiples of what the filesystem says. Here each is 16 bytes off, alone.
 * io_submit() takes them all: the event's `res` tells that a request was
 * refused, its `res2` does not. At the end stands a program that asked in
 * public why "got 0" was all it printed: 1024 writes out of plain calloc()
 * memory, which is 16 bytes off, and `res2` printed in place of `res`.
 *
 * Build:  cc -o misaligned misaligned.c
 * Usage:  ./misaligned FILE
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
    BLOCK = 65536, /* in the file, each trial has so many bytes to itself */
    OFF = 16,      /* bytes off, as memory from malloc() is */
    WRITES = 1024, /* of the program that asked, */
    LENGTH = 1024  /* and bytes in each of them */
};

static unsigned memory_align = 1, offset_align = 1; /* bytes */
static const char *path, *lenient = NULL; /* who takes what is misaligned */
static aio_context_t ctx = 0;
static char *data; /* two blocks, aligned, so that we can misalign them */

static struct io_event write_once(int fd, int address, long length,
                                  long long offset);
static void try(int fd, int trial, const char *what, int address, long length,
                int offset);
static void program_that_asked(int fd);
static void ask_alignment(int fd);
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
    const int page = sysconf(_SC_PAGESIZE);
    void *buffer;
    int fd, block;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    ask_alignment(fd);
    errno = posix_memalign(&buffer, BLOCK, 2 * BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    data = buffer;

    /* One thing off at a time. */
    block = offset_align < 512 ? 512 : offset_align;
    try(fd, 0, "nothing off", 0, block, 0);
    try(fd, 1, "length off", 0, block + OFF, 0);
    try(fd, 2, "offset off", 0, block, OFF);
    try(fd, 3, "address off, across pages", page - block % page + OFF, block,
        0);
    if (OFF + block <= page) /* else there is no within */
        try(fd, 4, "address off, within a page", OFF, block, 0);
    program_that_asked(fd);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* One trial, in a block of its own. */
static void try(int fd, int trial, const char *what, int address, long length,
                int offset)
{
    struct io_event event;

    memset(data, 'a' + trial, 2 * BLOCK);
    event = write_once(fd, address, length, (long long)trial * BLOCK + offset);
    if (event.res != length && (event.res != -EINVAL || trial == 0)) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    printf("%s: res %lld, res2 %lld: ", what, (long long)event.res,
           (long long)event.res2);
    if (trial == 1 && event.res > 0) /* who takes that takes all */
        lenient = offset_align > 1 ? "this filesystem" : "the page cache";
    if (event.res < 0)
        printf("refused: %s\n", strerror(-event.res));
    else if (trial == 0)
        printf("accepted\n");
    else if (lenient != NULL)
        printf("accepted (%s takes anything)\n", lenient);
    else if (OFF % memory_align == 0)
        printf("accepted (%d is a multiple of %u)\n", OFF, memory_align);
    else
        printf("accepted (not by all kernels)\n");
}

/*
 * Length and offset are right as a rule, but all memory is OFF bytes off. It
 * looked at `res`, and printed `res2`.
 */
static void program_that_asked(int fd)
{
    struct io_event event;
    int writes = 0;

    do {
        event = write_once(fd, OFF + writes % 64 * LENGTH, LENGTH,
                           5LL * BLOCK + writes * LENGTH);
        writes++;
    } while (event.res == LENGTH && writes < WRITES);
    if (event.res == LENGTH) {
        printf("the program that asked: all %d writes accepted\n", WRITES);
        return;
    }
    if (event.res != -EINVAL) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    printf("the program that asked: write %d of %d: res %lld, and it said\n"
           "    write missed bytes expect %d got %lld\n",
           writes, WRITES, (long long)event.res, LENGTH, (long long)event.res2);
}

/* Writes with one request, waits for it, and returns its event. */
static struct io_event write_once(int fd, int address, long length,
                                  long long offset)
{
    struct io_event event;
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)(data + address),
        .aio_nbytes = length,
        .aio_offset = offset,
    };
    struct iocb *list[1] = { &iocb };
    int n;

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
    return event;
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, others[37];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/*
 * What addresses, and what offsets and lengths, must be multiples of. statx()
 * says that since Linux 6.1, and 0 means not with this file.
 */
static void ask_alignment(int fd)
{
    const char *source = "a guess: statx does not say";
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    struct new_statx stx = { 0 };

    memory_align = offset_align = 4096; /* fits nearly every disk */
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign)) {
        memory_align = stx.stx_dio_mem_align;
        offset_align = stx.stx_dio_offset_align;
        source = "says statx";
    }
    if (memory_align == 0 && fcntl(fd, F_SETFL, 0) == -1)
        err(1, "fcntl %s", path);
    if (!(fcntl(fd, F_GETFL) & O_DIRECT)) {
        memory_align = offset_align = 1;
        printf("O_DIRECT: not here, going on through the page cache\n");
    } else {
        printf("O_DIRECT: yes\nalignment: memory %u, offset and length %u "
               "(%s)\n",
               memory_align, offset_align, source);
    }
    if (BLOCK % memory_align != 0 || BLOCK % offset_align != 0)
        errx(1, "%s: %d is no multiple of the alignment", path, BLOCK);
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
    "Usage: misaligned FILE\n"
    "Makes FILE, or empties it, and breaks the rules of O_DIRECT.\n";

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
