/*
 * listio.c - a list of requests in one call
 *
 * lio_listio() takes writes to FILE by the list. It waits until all are done,
 * or returns at once and has one signal sent when they are. If one fails, the
 * call says that one did, and only the request itself says which and why.
 *
 * Build:  cc -o listio listio.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./listio FILE
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 3, ENTRIES = REQUESTS + 2, BLOCK = 4096 };

/* The list may hold NULLs and requests to do nothing. */
static struct aiocb aiocbs[REQUESTS], nop = { .aio_lio_opcode = LIO_NOP };
static struct aiocb *all[ENTRIES] = { &aiocbs[0], NULL, &aiocbs[1], &nop,
                                      &aiocbs[2] };
static const struct timespec limit = { 10, 0 }; /* seconds, for each wait */
static time_t end; /* of all waits: a signal may begin one anew */
static const char *path;

static void prepare_all(int fd, int letter), wait_for_signal(sigset_t *set);
static void show(const char *what, int error, int bad);
static int listio_wait(struct aiocb *const list[], int nent);
static int create(int flags);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    /* musl does not copy `event`: it must stay until the signal has come. */
    static struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
                                     .sigev_value.sival_int = 42 };
    sigset_t set;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    end = time(NULL) + limit.tv_sec;
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* Wait for all of them. */
    prepare_all(fd, 'a');
    show("LIO_WAIT", listio_wait(all, ENTRIES), 0);

    /* Or go on, and be told once, when the last is done. */
    event.sigev_signo = SIGRTMIN;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    prepare_all(fd, 'b');
    if (lio_listio(LIO_NOWAIT, all, ENTRIES, &event) == -1)
        err(1, "lio_listio");
    wait_for_signal(&set);
    show("LIO_NOWAIT", 0, 0);

    /* One fails as it is done: the call says that, the requests say which. */
    prepare_all(fd, 'c');
    aiocbs[1].aio_offset = -1;
    show("one has a bad offset", listio_wait(all, ENTRIES), EINVAL);

    /* One has no file at all. glibc notices as late. musl refuses it, and does
     * not start those behind it: they look done, with 0 bytes. */
    prepare_all(fd, 'd');
    aiocbs[1].aio_fildes = -1;
    show("one has no descriptor", listio_wait(all, ENTRIES), EBADF);

    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Three writes, of one block each. The list says what each request does. */
static void prepare_all(int fd, int letter)
{
    static char data[REQUESTS][BLOCK];

    for (int i = 0; i < REQUESTS; i++) {
        memset(data[i], letter, BLOCK);
        aiocbs[i] = (struct aiocb){
            .aio_lio_opcode = LIO_WRITE,
            .aio_fildes = fd,
            .aio_buf = data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = (off_t)i * BLOCK,
            .aio_sigevent.sigev_notify = SIGEV_NONE,
        };
    }
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

/* Sleeps until the list's signal comes, but not for ever: it may be lost. */
static void wait_for_signal(sigset_t *set)
{
    siginfo_t info = { .si_code = SI_USER };

    while (info.si_code != SI_ASYNCIO) { /* another's, of that number */
        if (sigtimedwait(set, &info, &limit) == -1 && errno != EINTR)
            err(1, "sigtimedwait");
        if (time(NULL) > end)
            errx(1, "sigtimedwait: other signals only");
    }
    printf("told by one signal: si_value %d\n", info.si_value.sival_int);
}

/* What became of a list. If `bad` is not 0 request 1 is to fail, with that. */
static void show(const char *what, int error, int bad)
{
    errno = error;
    if (error != 0 && error != EIO && (error != EAGAIN || bad == 0))
        err(1, "lio_listio");
    printf("%s: %s\n", what, error == 0 ? "all are done" : strerror(error));
    for (int i = 0; i < REQUESTS; i++) {
        const struct aiocb *const list[1] = { &aiocbs[i] };

        while (aio_error(&aiocbs[i]) == EINPROGRESS) /* after EAGAIN */
            if (aio_suspend(list, 1, &limit) == -1 &&
                (errno != EINTR || time(NULL) > end))
                err(1, "aio_suspend");
        errno = aio_error(&aiocbs[i]);
        ssize_t n = aio_return(&aiocbs[i]);
        if (errno != 0 && (i != 1 || errno != bad))
            err(1, "LIO_WRITE %s", path);
        if (bad == 0 && n != BLOCK) {
            errno = EIO;
            err(1, "LIO_WRITE %s: only %zd of %d bytes", path, n, BLOCK);
        }
        if (errno != 0)
            printf("  request %d: %s\n", i, strerror(errno));
        else
            printf("  request %d: %zd bytes\n", i, n);
    }
    if (error != 0 && bad == 0) /* and no request says why */
        errx(1, "lio_listio: %s", strerror(error));
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
    "Usage: listio FILE\n"
    "Makes FILE, or empties it, and writes lists of blocks to it.\n";

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
