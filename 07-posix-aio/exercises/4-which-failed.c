/*
 * 4-which-failed.c - exercise 7.4, extend (medium)
 *
 * Reads the beginnings of several files with one call of lio_listio(). When
 * one of them cannot be read, all that anybody hears is "lio_listio:
 * Input/output error". The call knows no more. The requests do.
 *
 * Task:   Have it tell for each file how its request ended, also when some
 *         failed: aio_error() is asked first, as ever, and then aio_return().
 * Output: For each file, in the order given, "FILE: N bytes", or "FILE:
 *         reason". If one failed, then as now: status 1, and "4-which-failed:
 *         lio_listio: reason" with the reason of EIO. If lio_listio() itself
 *         failed (by another error than EIO), that only, and no line.
 * Try:    mkdir folder; ./4-which-failed 4-which-failed.c folder
 * Read:   07-posix-aio/README.md, line 463 (Is a list of requests one system
 *         call?);
 *         07-posix-aio/listio.c
 * Check:  make exercise-7.4
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
    int nr = argc - 1;

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

    /* EDIT HERE: submit them all, and wait. Which has failed, if any has? */
    errno = listio_wait(list, nr);
    if (errno != 0)
        err(1, "lio_listio");
    for (int i = 0; i < nr; i++)
        printf("%s: %zd bytes\n", argv[1 + i], aio_return(&aiocbs[i]));

    /* Tear down. */
    for (int i = 0; i < nr; i++)
        if (close(aiocbs[i].aio_fildes) == -1)
            err(1, "close %s", argv[1 + i]);
    return EXIT_SUCCESS;
}

/*
 * lio_listio(LIO_WAIT) that no signal interrupts; returns 0 or an errno. In
 * glibc the requests point to a list of waiters on the stack of the call. If
 * it ends early with EINTR nobody takes it out of there: the requests in
 * flight write to it when they end, and the process crashes or hangs later.
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
