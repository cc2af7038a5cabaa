/*
 * suspend.c - all that aio_suspend() can say
 *
 * Waits for one of two requests: a write to FILE, and a read from an empty
 * pipe. aio_suspend() says that one of them is done, not which; or that the
 * time is over, or that a signal came: then the requests just go on.
 *
 * Build:  cc -o suspend suspend.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./suspend FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static const struct timespec none, soon = { 0, 10000000 }, limit = { 10, 0 };

static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void suspend(const char *what, const struct aiocb *const list[],
                    const struct timespec *timeout);
static void show(const char *what, const struct aiocb *aiocb);
static void on_alarm(int signo);
static void check(struct aiocb *aiocb, const char *call, const char *path);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    char text[] = "Hello, asynchronous world!\n", letter;
    struct aiocb of_pipe, of_file;
    const struct aiocb *list[3] = { &of_pipe, NULL, &of_file };
    struct itimerval each_ms = { { 0, 1000 }, { 0, 1000 } };
    struct sigaction action = { .sa_handler = on_alarm };
    sigset_t mask;
    int fd, ends[2];

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (pipe(ends) == -1)
        err(1, "pipe");

    /* Two requests. Only the second can end by itself. */
    prepare(&of_pipe, ends[0], &letter, sizeof(letter), 0);
    if (aio_read(&of_pipe) == -1)
        err(1, "aio_read pipe");
    prepare(&of_file, fd, text, strlen(text), 0);
    if (aio_write(&of_file) == -1)
        err(1, "aio_write %s", path);

    /* One is enough. Then look which it was. */
    suspend("pipe, NULL or FILE", list, &limit);
    show("  pipe", &of_pipe);
    show("  FILE", &of_file);
    check(&of_file, "aio_write", path);

    /* It never blocks for one that is done: strike it off. NULL is skipped. */
    suspend("again", list, &limit);
    list[2] = NULL;

    /* The time is relative, and what is left of it is not told. */
    suspend("only the pipe, 10 ms", list, &soon);
    suspend("only the pipe, 0 ms", list, &none);

    /* A timer that ticks on: one signal may come just ahead of the wait. */
    if (sigaction(SIGALRM, &action, NULL) == -1)
        err(1, "sigaction");
    sigemptyset(&mask); /* whoever started us may have blocked it */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    if (setitimer(ITIMER_REAL, &each_ms, NULL) == -1)
        err(1, "setitimer");
    suspend("only the pipe, and a signal", list, &(struct timespec){ 10, 0 });

    /* Nothing to wait for: glibc returns at once, as if something were done.
     * musl waits, without a time-out for ever. Count what is in flight. */
    list[0] = NULL;
    suspend("only NULL, 10 ms", list, &soon);

    /* None of this has touched the request. It ends when the byte comes. */
    show("pipe", &of_pipe);
    if (write(ends[1], "!", 1) == -1)
        err(1, "write pipe");
    list[0] = &of_pipe;
    suspend("pipe with a byte in it", list, &limit);
    check(&of_pipe, "aio_read", "pipe");

    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        err(1, "close pipe");
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

/*
 * Waits, and prints what ended the wait. Up to `limit` only the end of a
 * request may: if there is no second thread, the write waits behind the read.
 */
static void suspend(const char *what, const struct aiocb *const list[],
                    const struct timespec *timeout)
{
    const time_t end = time(NULL) + limit.tv_sec;
    int error;

    do
        error = aio_suspend(list, 3, timeout) == -1 ? errno : 0;
    while (error == EINTR && timeout == &limit && time(NULL) <= end);
    if (error != 0 &&
        (timeout == &limit || (error != EAGAIN && error != EINTR)))
        err(1, "aio_suspend");
    alarm(0); /* no more signals: output is not to be interrupted */
    printf("%s: %s\n", what,
           error == EAGAIN  ? "-1 EAGAIN"
           : error == EINTR ? "-1 EINTR"
                            : "0");
}

static void show(const char *what, const struct aiocb *aiocb)
{
    int error = aio_error(aiocb);

    printf("%s: %s\n", what,
           error == EINPROGRESS ? "EINPROGRESS"
           : error == 0         ? "0"
                                : strerror(error));
}

/* Nothing is to be done: that it came is enough. */
static void on_alarm(int signo)
{
    (void)signo;
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);  /* returned: errno is not set */
    ssize_t n = aio_return(aiocb); /* once for each request */

    if (error != 0) {
        errno = error;
        err(1, "%s %s", call, path);
    }
    if (n == -1)
        err(1, "aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        err(1, "%s %s: only %zd of %zu bytes", call, path, n,
            aiocb->aio_nbytes);
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

static const char usage[] =
    "Usage: suspend FILE\n"
    "Makes FILE, or empties it, writes a line to it, and waits for that.\n";

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
