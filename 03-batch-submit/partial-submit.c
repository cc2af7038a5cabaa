/*
 * partial-submit.c - when io_submit() takes only some of the requests
 *
 * Submits three writes with one call, and the second can't work. The kernel
 * takes the first and stops there: the count says where, but not why. The
 * reason is not lost. Submitted again, what is left begins with the bad
 * request, and now the call fails with its errno.
 *
 * Build:  cc -o partial-submit partial-submit.c
 * Usage:  ./partial-submit FILE
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

enum { REQUESTS = 3 };

static const char *path;
static const char *const texts[REQUESTS] = { "first\n", "second\n", "third\n" };

static int submit_some(aio_context_t ctx, int nr, struct iocb **list, int fd);
static void reap_all(aio_context_t ctx);
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
    aio_context_t ctx = 0;
    long long offset = 0;
    int fd, submitted = 0;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(REQUESTS, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* A line each. The request in the middle has no descriptor. */
    for (int i = 0; i < REQUESTS; i++) {
        iocbs[i] = (struct iocb){
            .aio_data = i,
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = i == 1 ? -1 : fd,
            .aio_buf = (uintptr_t)texts[i],
            .aio_nbytes = strlen(texts[i]),
            .aio_offset = offset,
        };
        list[i] = &iocbs[i];
        offset += strlen(texts[i]);
    }

    /* Submit what is left until nothing is. A count is no reason to give up. */
    while (submitted < REQUESTS)
        submitted += submit_some(ctx, REQUESTS - submitted, list + submitted,
                                 fd);
    reap_all(ctx);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/*
 * Submits the list, and returns how many were taken. An error is always that
 * of the first request in the list. One without a descriptor gets `fd`.
 */
static int submit_some(aio_context_t ctx, int nr, struct iocb **list, int fd)
{
    int n;

    do
        n = io_submit(ctx, nr, list);
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno == EBADF && (int)list[0]->aio_fildes == -1) {
        printf("io_submit of %d: %s\n", nr, strerror(errno));
        list[0]->aio_fildes = fd;
        printf("request %d had no descriptor: fixed\n",
               (int)list[0]->aio_data + 1);
        return 0;
    }
    if (n == -1)
        err(1, "io_submit");
    printf("io_submit of %d: %d taken\n", nr, n);
    return n;
}

/* Waits for all requests; each must have written the whole of its line. */
static void reap_all(aio_context_t ctx)
{
    struct io_event events[REQUESTS];
    int n, reaped = 0;

    while (reaped < REQUESTS) {
        n = io_getevents(ctx, 1, REQUESTS - reaped, events + reaped, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        if (n > 0)
            reaped += n;
    }
    for (int i = 0; i < REQUESTS; i++) {
        long long res = events[i].res;

        if (res != (long long)strlen(texts[events[i].data])) {
            errno = res < 0 ? -res : EIO;
            err(1, "IOCB_CMD_PWRITE %s", path);
        }
    }
    printf("events: %d, all written\n", reaped);
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
    "Usage: partial-submit FILE\n"
    "Makes FILE, or empties it, and writes three lines to it. The request\n"
    "for the second is wrong at first.\n";

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
