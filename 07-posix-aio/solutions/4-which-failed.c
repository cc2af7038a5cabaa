/*
 * 4-which-failed.c - solution 7.4, extend
 *
 * Reads the beginnings of several files with one call of lio_listio(). EIO
 * says that some request failed; each request says how it ended.
 *
 * Build:  cc -o 4-which-failed 4-which-failed.c (glibc before 2.34: add -lrt
 *         -pthread)
 * Usage:  ./4-which-failed FILE...
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX = 16, BLOCK = 4096 }; /* files, and bytes of each */

static int listio_wait(struct aiocb *const list[], int nent);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    static char data[MAX][BLOCK];
    static struct aiocb aiocbs[MAX], *list[MAX];
    int nr = argc - 1, error;

    start(argc, argv, 1, MAX);

    /* Prepare: a request for each file. */
    for (int i = 0; i < nr; i++) {
        int fd = open(argv[1 + i], O_RDONLY);

        if (fd == -1)
            err(1, "open %s", argv[1 + i]);
        aiocbs[i] = (struct aiocb){
            .aio_lio_opcode = LIO_READ,
            .aio_fildes = fd,
            .aio_buf = data[i],
            .aio_nbytes = BLOCK,
            .aio_sigevent.sigev_notify = SIGEV_NONE,
        };
        list[i] = &aiocbs[i];
    }

    /* Submit them all, and wait. Only after EIO all are done, too: after
     * another error some were never started, and have nothing to tell. */
    error = listio_wait(list, nr);
    errno = error;
    if (error != 0 && error != EIO)
        err(1, "lio_listio");
    for (int i = 0; i < nr; i++) {
        int reason = aio_error(&aiocbs[i]); /* returned, not in errno */
        ssize_t n = aio_return(&aiocbs[i]);

        if (reason != 0)
            printf("%s: %s\n", argv[1 + i], strerror(reason));
        else
            printf("%s: %zd bytes\n", argv[1 + i], n);
    }

    /* Tear down. */
    for (int i = 0; i < nr; i++)
        if (close(aiocbs[i].aio_fildes) == -1)
            err(1, "close %s", argv[1 + i]);
    errno = error;
    if (error != 0) /* some failed: the lines say which */
        err(1, "lio_listio");
    return EXIT_SUCCESS;
}

/*
 * lio_listio(LIO_WAIT) that no signal interrupts; returns 0 or an errno. In
 * glibc the requests point to a list of waiters on the stack of the call. If
 * it ends early with EINTR nobody takes it out of there: the requests in
 * flight write to it when they end, and the process crashes or hangs later.
 * Ctrl-C is put off as well: for files, not for pipes, which may never end.
 */
static int listio_wait(struct aiocb *const list[], int nent)
{
    sigset_t all, old;
    int error;

    sigfillset(&all);
    errno = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (errno != 0)
        err(1, "pthread_sigmask");
    error = lio_listio(LIO_WAIT, list, nent, NULL) == -1 ? errno : 0;
    errno = pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (errno != 0)
        err(1, "pthread_sigmask");
    return error;
}

static const char usage[] =
    "Usage: 4-which-failed FILE...\n"
    "Reads the first 4096 bytes of up to 16 files, in one call.\n";

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
