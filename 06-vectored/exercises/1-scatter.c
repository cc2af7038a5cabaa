/*
 * 1-scatter.c - exercise 6.1, extend (easy)
 *
 * Reads a record from FILE. The header must lie in one place of memory, and
 * the body in another. So it reads both into a third, and copies each to its
 * place. The kernel can do that.
 *
 * Task:   One request, and no copying: IOCB_CMD_PREADV puts the header into
 *         header[] and the body into body[].
 * Output: As it is: the header's line, and the number of lines in the body. A
 *         read that fails ends it with status 1 and "1-scatter:
 *         IOCB_CMD_PREADV FILE: reason"; a record that is not whole, too.
 * Read:   06-vectored/README.md, line 50 (The code that matters);
 *         06-vectored/vectored.c
 * Check:  make exercise-6.1
 *
 * Build:  cc -o 1-scatter 1-scatter.c
 * Usage:  ./1-scatter FILE
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
#include <sys/syscall.h>
#include <unistd.h>

enum { HEADER = 64, BODY = 4096 }; /* bytes */

/* Where they belong, each on a page of its own. */
static _Alignas(4096) char header[HEADER];
static _Alignas(4096) char body[BODY];

static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    char record[HEADER + BODY];
    struct iocb iocb, *list[1] = { &iocb };
    aio_context_t ctx = 0;
    struct io_event event;
    const char *path;
    int fd, n, lines = 0;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* EDIT HERE: what is read, and to where? */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)record,
        .aio_nbytes = sizeof(record),
    };
    while (io_submit(ctx, 1, list) == -1)
        if (errno != EINTR)
            err(1, "io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");
    if (event.res != HEADER + BODY) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PREAD %s", path);
    }
    memcpy(header, record, HEADER);
    memcpy(body, record + HEADER, BODY);

    /* The header is a line of text; of the body, the lines are counted. */
    for (int i = 0; i < BODY; i++)
        lines += body[i] == '\n';
    printf("header: %.*s\n", (int)strcspn(header, "\n"), header);
    printf("lines in the body: %d\n", lines);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
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
    "Usage: 1-scatter FILE\n"
    "Reads a record from FILE: a header of 64 bytes, a body of 4096.\n";

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
