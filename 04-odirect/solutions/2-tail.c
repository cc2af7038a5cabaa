/*
 * 2-tail.c - solution 4.2, one block more, and then cut
 *
 * The request is as long as the next multiple of a block, and what is behind
 * the letters in the buffer is zeroed: it would go to the disk otherwise,
 * whatever it is. Then ftruncate() makes the file as long as it should be.
 *
 * Build:  cc -o 2-tail 2-tail.c
 * Usage:  ./2-tail FILE [SIZE]
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

enum { BLOCK = 4096 }; /* bytes: a multiple of what most disks ask for */

static const char *path;

static void fill(char *data, long size);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    long size = 10000, length;
    aio_context_t ctx = 0;
    void *data;
    int fd, n;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        size = number(argv[2], 0, 1 << 20);

    /* Set up. The length is rounded up: 10000 letters take 12288 bytes. */
    length = (size + BLOCK - 1) / BLOCK * BLOCK;
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&data, BLOCK, length + BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    memset(data, '?', length + BLOCK); /* as if it had been used before */
    fill(data, size);
    memset((char *)data + size, 0, length - size);

    /* Submit, wait and check: one request, whose length is aligned. */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = length,
    };
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
    if (event.res != length) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }

    /* The padding goes. */
    if (ftruncate(fd, size) == -1)
        err(1, "ftruncate %s", path);
    printf("written: %ld bytes\n", size);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* The alphabet, again and again. */
static void fill(char *data, long size)
{
    for (long i = 0; i < size; i++)
        data[i] = 'a' + i % 26;
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
    "Usage: 2-tail FILE [SIZE]\n"
    "Makes FILE, or empties it, and writes SIZE (10000) letters to it.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    warnx("'%s' is not a number from %ld to %ld", text, min, max);
    fputs(usage, stderr);
    exit(2);
}
