/*
 * rw-flags.c - what aio_rw_flags can ask for
 *
 * One request for each RWF_ flag, all of five bytes at offset 0. Shows what
 * the event says and how long FILE is then. A flag that this kernel does not
 * know, or that FILE cannot do, is refused by io_submit() or in the event.
 *
 * Build:  cc -o rw-flags rw-flags.c
 * Usage:  ./rw-flags FILE
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

enum { PLAIN, APPENDING, UNREAD }; /* FILE, with O_APPEND, a broken pipe */

/* By number: the headers of an older system do not know them all. */
static const struct trial {
    const char *what;
    int flags, file, opcode;
} trials[] = {
    { "no flag, write", 0, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_HIPRI, write", 0x1, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_DSYNC, write", 0x2, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_SYNC, write", 0x4, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_NOWAIT, read", 0x8, PLAIN, IOCB_CMD_PREAD },
    { "RWF_NOWAIT, write", 0x8, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_APPEND, write", 0x10, PLAIN, IOCB_CMD_PWRITE },
    { "no flag, write with O_APPEND", 0, APPENDING, IOCB_CMD_PWRITE },
    { "RWF_NOAPPEND, write with O_APPEND", 0x20, APPENDING, IOCB_CMD_PWRITE },
    { "RWF_APPEND and RWF_NOAPPEND, write", 0x30, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_ATOMIC, write", 0x40, PLAIN, IOCB_CMD_PWRITE },
    { "RWF_DONTCACHE, write", 0x80, PLAIN, IOCB_CMD_PWRITE },
    { "no flag, write to no reader", 0, UNREAD, IOCB_CMD_PWRITE },
    { "RWF_NOSIGNAL, write to no reader", 0x100, UNREAD, IOCB_CMD_PWRITE },
    { "a flag that nobody knows, write", 1 << 30, PLAIN, IOCB_CMD_PWRITE },
};

static const char *path;
static volatile sig_atomic_t signals; /* SIGPIPE, so far */

static void on_sigpipe(int sig);
static void show_trial(aio_context_t ctx, const struct trial *trial, int fd);
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
    aio_context_t ctx = 0;
    int fds[3], ends[2];
    sigset_t mask;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (signal(SIGPIPE, on_sigpipe) == SIG_ERR)
        err(1, "signal");
    sigemptyset(&mask); /* whoever started us may have blocked it */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (pipe(ends) == -1 || close(ends[0]) == -1)
        err(1, "pipe");
    fds[UNREAD] = ends[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fds[PLAIN] = create(O_RDWR);
    fds[APPENDING] = open(path, O_WRONLY | O_APPEND);
    if (fds[PLAIN] == -1 || fds[APPENDING] == -1)
        err(1, "open %s", path);

    for (size_t i = 0; i < sizeof(trials) / sizeof(trials[0]); i++)
        show_trial(ctx, &trials[i], fds[trials[i].file]);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    for (int i = 0; i < 3; i++)
        if (close(fds[i]) == -1)
            err(1, "close %s", path);
    return EXIT_SUCCESS;
}

static void on_sigpipe(int sig)
{
    signals += sig == SIGPIPE;
}

/* One request. If it is refused there is no event; an event may be an error. */
static void show_trial(aio_context_t ctx, const struct trial *trial, int fd)
{
    char data[5] = "hello";
    struct iocb iocb = {
        .aio_rw_flags = trial->flags,
        .aio_lio_opcode = trial->opcode,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = sizeof(data),
    };
    struct iocb *list[1] = { &iocb };
    struct io_event event;
    struct stat st;
    int n, before = signals;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1) {
        if (trial->flags == 0 || (errno != EINVAL && errno != EOPNOTSUPP))
            err(1, "io_submit");
        printf("%s: refused by io_submit, %s\n", trial->what, strerror(errno));
        return;
    }
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");

    if (trial->flags == 0 && trial->file != UNREAD &&
        event.res != sizeof(data)) {
        errno = event.res < 0 ? -event.res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    printf("%s: res %lld", trial->what, (long long)event.res);
    if (event.res < 0)
        printf(", %s", strerror(-event.res));
    if (signals > before)
        printf(", and a SIGPIPE");
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        printf(", size %lld", (long long)st.st_size);
    printf("\n");
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
    "Usage: rw-flags FILE\n"
    "Makes FILE, or empties it, and tries each RWF_ flag on it.\n";

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
