/*
 * 2-perror.c - exercise 7.2, find the bug (easy)
 *
 * Reads the beginning of FILE by POSIX AIO. When that fails it says that
 * all went well: "aio_read: Success". Give it a folder to read.
 *
 * Task:   Have it say why a read failed.
 * Output: "read: N bytes", status 0. When the read fails, status 1 and
 *         "2-perror: aio_read FILE: reason".
 * Try:    mkdir folder; ./2-perror folder
 * Read:   07-posix-aio/README.md, line 70 (The code that matters);
 *         07-posix-aio/posix-aio.c
 * Check:  make exercise-7.2
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
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    prepare(&aiocb, fd, data, sizeof(data), 0);
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", path);
    wait_for(&aiocb);

    /* EDIT HERE: who knows what went wrong? */
    if (aio_error(&aiocb) != 0) {
        perror("2-perror: aio_read");
        return EXIT_FAILURE;
    }
    printf("read: %zd bytes\n", aio_return(&aiocb));

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
