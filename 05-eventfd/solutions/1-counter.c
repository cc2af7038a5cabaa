/*
 * 1-counter.c - solution 5.1, reap until there is nothing more
 *
 * Reading an eventfd returns how many completions there were since it was read
 * last, 8 for instance, and sets it to 0. The number is only a reason to look:
 * io_getevents() with min_nr 0 never waits, so it is called until it has
 * nothing more. It may find more than was counted, or less the next time.
 *
 * Build:  cc -o 1-counter 1-counter.c
 * Usage:  ./1-counter FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REQUESTS = 8, BLOCK = 4096 }; /* BLOCK: bytes a request */

static const char *path;

static void submit_all(aio_context_t ctx, int fd, int completions);
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
    struct io_event events[REQUESTS];
    struct pollfd ready = { .events = POLLIN };
    aio_context_t ctx = 0;
    uint64_t counter;
    int fd, n, reaped = 0;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(REQUESTS, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    ready.fd = eventfd(0, EFD_NONBLOCK);
    if (ready.fd == -1)
        err(1, "eventfd");
    submit_all(ctx, fd, ready.fd);

    while (reaped < REQUESTS) {
        /* Wait until there is something to read from the eventfd. */
        n = poll(&ready, 1, 1000 /* ms */);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n != 1)
            err(1, "poll");
        if (read(ready.fd, &counter, sizeof(counter)) == -1)
            err(1, "read eventfd");

        /* Reap: as many as there are, with no regard to the counter. */
        do {
            n = io_getevents(ctx, 0, REQUESTS, events, NULL);
            if (n == -1 && errno != EINTR)
                err(1, "io_getevents");
            for (int i = 0; i < n; i++, reaped++) {
                if (events[i].res != BLOCK) {
                    errno = events[i].res < 0 ? -events[i].res : EIO;
                    err(1, "IOCB_CMD_PWRITE %s", path);
                }
            }
        } while (n != 0);
    }
    printf("written: %d blocks\n", reaped);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(ready.fd) == -1)
        err(1, "close eventfd");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* Submits a write of each block: it tells the eventfd when it is done. */
static void submit_all(aio_context_t ctx, int fd, int completions)
{
    static char data[REQUESTS][BLOCK];
    static struct iocb iocbs[REQUESTS];
    struct iocb *list[REQUESTS];
    int submitted = 0;

    for (int i = 0; i < REQUESTS; i++) {
        fill(data[i], i);
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = i * BLOCK,
            .aio_flags = IOCB_FLAG_RESFD,
            .aio_resfd = completions,
        };
        list[i] = &iocbs[i];
    }
    while (submitted < REQUESTS) {
        int n = io_submit(ctx, REQUESTS - submitted, list + submitted);

        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        submitted += n > 0 ? n : 0;
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
    "Usage: 1-counter FILE\n"
    "Makes FILE, or empties it, and writes 8 blocks of 4096 bytes to it.\n";

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
