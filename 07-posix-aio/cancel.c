/*
 * cancel.c - taking a request back
 *
 * Reads from an empty pipe, where nothing ever comes, and takes the requests
 * back with aio_cancel(): one that is running, one that is queued behind it,
 * and all of a descriptor. Then a write to FILE that is already done.
 *
 * Build:  cc -o cancel cancel.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./cancel FILE
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
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 3 };
static struct aiocb aiocbs[REQUESTS]; /* reads of the pipe */
static const char *path;

static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void wait_for(const struct aiocb *aiocb);
static void cancel(const char *what, int fd, struct aiocb *aiocb);
static void show(int request), write_and_cancel(int fd);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    char letters[REQUESTS];
    int fd, ends[2];

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (pipe(ends) == -1)
        err(1, "pipe");

    /* The first is running: as there is no thread yet, one is made for it
     * before aio_read() returns. On glibc the others are queued behind it,
     * as all requests for one descriptor are; on musl they run, too. */
    for (int i = 0; i < REQUESTS; i++) {
        prepare(&aiocbs[i], ends[0], &letters[i], 1, 0);
        if (aio_read(&aiocbs[i]) == -1)
            err(1, "aio_read pipe");
    }

    /* glibc takes back only what no thread has begun with. musl interrupts
     * the thread, if the call that it is in can be interrupted. */
    cancel("running", ends[0], &aiocbs[0]);
    show(0);
    cancel("queued", ends[0], &aiocbs[1]);
    show(1);

    /* All that there are for a descriptor. The answer is one for all, so
     * each must be asked. */
    cancel("all of the pipe", ends[0], NULL);
    show(0);
    show(2);

    /* What cannot be taken back must be brought to its end, or its buffer
     * stays the library's for ever: here, by a byte for each request. */
    if (write(ends[1], "!!!", REQUESTS) == -1)
        err(1, "write pipe");
    for (int i = 0; i < REQUESTS; i++)
        wait_for(&aiocbs[i]);
    printf("three bytes into the pipe\n");
    show(0);

    write_and_cancel(fd);

    /* On musl close() takes back what is in flight; on glibc a queued
     * request would go to whatever file has the number by then. */
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

/* Sleeps until a request is done. Asking aio_error() in a loop would spin. */
static void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec limit = { 10, 0 }; /* anew after each signal, */
    const time_t end = time(NULL) + 10;      /* but not for ever */

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 &&
            (errno != EINTR || time(NULL) > end))
            err(1, "aio_suspend");
}

/*
 * Takes back a request, or all of `fd` if it is NULL; prints the answer. musl
 * answers AIO_CANCELED a little before aio_error() says ECANCELED: wait.
 */
static void cancel(const char *what, int fd, struct aiocb *aiocb)
{
    int answer = aio_cancel(fd, aiocb);

    if (answer == -1)
        err(1, "aio_cancel");
    for (int i = 0; answer == AIO_CANCELED && i < REQUESTS; i++)
        if (aiocb == NULL || aiocb == &aiocbs[i])
            wait_for(&aiocbs[i]);
    printf("%s: %s\n", what,
           answer == AIO_CANCELED      ? "AIO_CANCELED"
           : answer == AIO_NOTCANCELED ? "AIO_NOTCANCELED"
                                       : "AIO_ALLDONE");
}

/* How a request stands. POSIX promises one answer of aio_return() only. */
static void show(int request)
{
    int error = aio_error(&aiocbs[request]);

    if (error == EINPROGRESS)
        printf("  request %d: aio_error EINPROGRESS\n", request);
    else
        printf("  request %d: aio_error %s, aio_return %zd\n", request,
               error == 0           ? "0"
               : error == ECANCELED ? "ECANCELED"
                                    : strerror(error),
               aio_return(&aiocbs[request]));
}

/* Too late: it is done. The result is not changed. */
static void write_and_cancel(int fd)
{
    char text[] = "Hello, asynchronous world!\n";
    struct aiocb writing;

    prepare(&writing, fd, text, strlen(text), 0);
    if (aio_write(&writing) == -1)
        err(1, "aio_write %s", path);
    wait_for(&writing);
    errno = aio_error(&writing);
    if (errno == 0 && aio_return(&writing) != (ssize_t)strlen(text))
        errno = EIO; /* short */
    if (errno != 0)
        err(1, "aio_write %s", path);
    cancel("done", fd, &writing);
    printf("  aio_error %d, aio_return %zd\n", aio_error(&writing),
           aio_return(&writing));
    cancel("all of FILE", fd, NULL);
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
    "Usage: cancel FILE\n"
    "Makes FILE, or empties it, and writes a line to it.\n";

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
