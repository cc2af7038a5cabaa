/*
 * 2-perror.c - solution 7.2, the error is what aio_error() returns
 *
 * aio_error() does not set errno: it returns the error, as a positive number.
 * What perror() printed was the errno of some call before, or of none. And
 * aio_return() is called in both cases, once: the request is over then.
 *
 * Build:  cc -o 2-perror 2-perror.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./2-perror FILE
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
#include <time.h>
#include <unistd.h>

static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void wait_for(const struct aiocb *aiocb);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    const char *path;
    struct aiocb aiocb;
    char data[4096];
    ssize_t length;
    int fd, error;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    prepare(&aiocb, fd, data, sizeof(data), 0);
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", path);
    wait_for(&aiocb);

    /* The number is returned; it becomes errno only for err(). */
    error = aio_error(&aiocb);
    length = aio_return(&aiocb);
    if (error != 0) {
        errno = error;
        err(1, "aio_read %s", path);
    }
    printf("read: %zd bytes\n", length);

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

static const char usage[] =
    "Usage: 2-perror FILE\n"
    "Reads the first 4096 bytes of FILE, and says how many there are.\n";

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
