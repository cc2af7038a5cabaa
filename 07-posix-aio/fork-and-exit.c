/*
 * fork-and-exit.c - what becomes of requests in a child, and at exit
 *
 * POSIX AIO is threads, and fork() copies none of them. So a child has only
 * copies of the structures, and on glibc it may get no threads of its own. At
 * exit the threads end in the middle of their work, while the kernel waits
 * for what it was given by kernel AIO.
 *
 * Build:  cc -o fork-and-exit fork-and-exit.c (glibc before 2.34: add -lrt
 *         -pthread)
 * Usage:  ./fork-and-exit FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MUCH = 2 << 20 };       /* bytes, more than a pipe holds */
enum { CHILD = -1, DONE = 2 }; /* what split() returns */

static const char *path;

static void exit_with_posix(void), child_has_one(void);
static void child_starts_one(int fd), exit_with_kernel(int fd);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);

int main(int argc, char **argv)
{
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_RDWR);
    if (fd == -1)
        err(1, "open %s", path);
    signal(SIGCHLD, SIG_DFL); /* ignored, a child's status would be lost */

    exit_with_posix();
    child_has_one();
    child_starts_one(fd);
    exit_with_kernel(fd);

    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    *aiocb = (struct aiocb){
        .aio_fildes = fd,
        .aio_buf = data,
        .aio_nbytes = nbytes,
        .aio_offset = offset,
        .aio_sigevent.sigev_notify = SIGEV_NONE,
    };
}

/* Is it done, in a second, or two if signals come? */
static int is_done(const struct aiocb *aiocb, const char *call,
                   const char *path)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec second = { 1, 0 };
    const time_t end = time(NULL) + second.tv_sec;

    while (aio_suspend(list, 1, &second) == -1 && errno == EINTR &&
           time(NULL) <= end)
        continue;
    errno = aio_error(aiocb);
    if (errno != 0 && errno != EINPROGRESS)
        err(1, "%s %s", call, path);
    return errno == 0;
}

static void show(const char *what, int done)
{
    printf("POSIX, %s: %s\n", what, done ? "done" : "not done");
}

/* fork(): CHILD in the child. The parent gets the status that it ends with. */
static int split(void)
{
    pid_t child = fork();
    sigset_t mask;
    int status;

    if (child == -1)
        err(1, "fork");
    if (child == 0) {
        signal(SIGALRM, SIG_DFL); /* whoever started us may have changed it */
        sigemptyset(&mask);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        alarm(20); /* a worker that it has not may hold a lock of glibc's */
        return CHILD;
    }
    while (waitpid(child, &status, 0) == -1)
        if (errno != EINTR)
            err(1, "waitpid");
    if (WIFSIGNALED(status))
        errx(1, "child: %s", strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == EXIT_FAILURE)
        exit(EXIT_FAILURE); /* it has said why */
    return WEXITSTATUS(status);
}

/* The child ends while one write is under way, and another behind it. */
static void exit_with_posix(void)
{
    static char data[MUCH];
    struct aiocb aiocbs[2];
    int ends[2], arrived;

    if (pipe(ends) == -1)
        err(1, "pipe");
    if (split() == CHILD) {
        struct pollfd readable = { .fd = ends[0], .events = POLLIN };

        for (int i = 0; i < 2; i++) {
            prepare(&aiocbs[i], ends[1], data, MUCH, 0);
            if (aio_write(&aiocbs[i]) == -1)
                err(1, "aio_write pipe");
        }
        errno = ETIMEDOUT;
        if (poll(&readable, 1, 10000) != 1) /* then it is under way */
            err(1, "poll");
        _exit(EXIT_SUCCESS);
    }
    if (ioctl(ends[0], FIONREAD, &arrived) == -1)
        err(1, "ioctl");
    printf("POSIX, at exit: %d of %d bytes have arrived\n", arrived, 2 * MUCH);
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close pipe");
}

/* A read of a pipe is in flight. The child's copy of it is just bytes. */
static void child_has_one(void)
{
    static struct aiocb aiocb; /* it may outlive this call */
    static char letter;
    int ends[2], done;

    if (pipe(ends) == -1)
        err(1, "pipe");
    prepare(&aiocb, ends[0], &letter, 1, 0);
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read pipe");
    done = split();
    if (done == CHILD) {
        if (write(ends[1], "!", 1) == -1)
            err(1, "write pipe");
        _exit(is_done(&aiocb, "aio_read", "pipe") ? DONE : EXIT_SUCCESS);
    }
    show("a read in flight, in the child", done);
    show("a read in flight, in the parent",
         is_done(&aiocb, "aio_read", "pipe"));
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close pipe");
}

/*
 * A worker is idle when the process forks. The child has none, but on glibc a
 * copy of the note that there is one: it never makes another. musl knows when
 * it is in a child.
 */
static void child_starts_one(int fd)
{
    static char letter = 'p';
    static struct aiocb aiocb;
    int done;

#ifdef __GLIBC__
    /* An idle worker leaves after a second. Not here: it may take longer. */
    aio_init(&(struct aioinit){
        .aio_threads = 20, .aio_num = 64, .aio_idle_time = 60 /* s */ });
#endif
    prepare(&aiocb, fd, &letter, 1, 0);
    if (aio_write(&aiocb) == -1)
        err(1, "aio_write %s", path);
    show("a write of the parent", is_done(&aiocb, "aio_write", path));
    done = split();
    if (done == CHILD) {
        prepare(&aiocb, fd, &letter, 1, 1);
        if (aio_write(&aiocb) == -1)
            err(1, "aio_write %s", path);
        _exit(is_done(&aiocb, "aio_write", path) ? DONE : EXIT_SUCCESS);
    }
    show("a write of the child", done);
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

/* The child ends while the disk is at work. (The file has its blocks.) */
static void exit_with_kernel(int fd)
{
    static char data[MUCH] __attribute__((aligned(65536)));
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PWRITE,
                         .aio_buf = (uintptr_t)data,
                         .aio_nbytes = MUCH };
    struct iocb *list[1] = { &iocb };
    aio_context_t ctx = 0;
    long there = 0;

    write_all(fd, data, MUCH, 0);
    if (fsync(fd) == -1)
        err(1, "fsync %s", path);
    if (split() == CHILD) {
        int direct = open(path, O_WRONLY | O_DIRECT);

        iocb.aio_fildes = direct != -1 ? direct : fd;
        memset(data, 'k', MUCH);
        if (io_setup(1, &ctx) == -1)
            err(1, "io_setup");
        while (io_submit(ctx, 1, list) == -1)
            if (errno != EINTR)
                err(1, "io_submit");
        _exit(EXIT_SUCCESS);
    }
    if (pread(fd, data, MUCH, 0) == -1)
        err(1, "pread %s", path);
    for (long i = 0; i < MUCH; i++)
        there += data[i] == 'k';
    printf("kernel, at exit: %ld of %d bytes are in the file\n", there, MUCH);
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

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static const char usage[] =
    "Usage: fork-and-exit FILE\n"
    "Makes FILE, or empties it, and has child processes write to it.\n";

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
