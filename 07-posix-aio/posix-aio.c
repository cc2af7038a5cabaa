/*
 * posix-aio.c - asynchronous I/O from the C library
 *
 * Writes a line to FILE and reads it by POSIX AIO. There is no context and no
 * ring: the C library has threads that call pwrite() and pread(). So it works
 * on every kind of file, and costs a thread.
 *
 * Build:  cc -o posix-aio posix-aio.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./posix-aio FILE
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

static const char *path;
static char text[] = "Hello, asynchronous world!\n";

static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void wait_for(const struct aiocb *aiocb);
static void check(struct aiocb *aiocb, const char *call, const char *path);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    struct aiocb aiocb;
    char data[64] = "";
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_RDWR);
    if (fd == -1)
        err(1, "open %s", path);

    /* Submit: a request a call, and the call says what is to be done. */
    prepare(&aiocb, fd, text, strlen(text), 0);
    if (aio_write(&aiocb) == -1)
        err(1, "aio_write %s", path);
    printf("aio_write: 1 request taken\n");

    /* Wait: the request and its data are the library's until it is done. */
    wait_for(&aiocb);
    printf("aio_suspend: it is done\n");

    /* Check: did it fail, and if not, how much was written? */
    check(&aiocb, "aio_write", path);
    printf("aio_error: 0, aio_return: %zu\n", strlen(text));

    /* To read is the same with another call. */
    prepare(&aiocb, fd, data, strlen(text), 0);
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", path);
    printf("aio_read: 1 request taken\n");
    wait_for(&aiocb);
    check(&aiocb, "aio_read", path);
    printf("read: %s", data);

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
    "Usage: posix-aio FILE\n"
    "Makes FILE, or empties it, writes a line to it, and reads it back.\n";

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
