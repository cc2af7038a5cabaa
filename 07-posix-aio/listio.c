/*
 * listio.c - a list of requests in one call
 *
 * lio_listio() takes writes to FILE by the list: waiting until all are done,
 * then returning at once with one notification for the whole list, then with
 * one request that fails among good ones. It is one call for the program
 * only: the C library's threads make a system call for each request.
 *
 * Build:  cc -o listio listio.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./listio FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

enum {
    REQUESTS = 3,
    BLOCK = 4096                /* bytes a request */
};

static const char usage[] =
    "Usage: listio FILE\n"
    "Makes FILE, or empties it, and writes 3 blocks of 4096 bytes to it,\n"
    "several times.\n";

/*
 * Says "PROGRAM: CALL: reason" on stderr and ends the program with status 1.
 * The reason is errno's. `call` is a format like printf's, so that it can
 * name a file: die("open %s", path).
 */
static _Noreturn void die(const char *call, ...)
{
    int error = errno;
    va_list args;

    fflush(stdout);             /* what was printed first is seen first */
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, call);
    vfprintf(stderr, call, args);
    va_end(args);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(EXIT_FAILURE);
}

/* -h or --help: usage, status 0. Not min to max arguments: status 2. */
static void check_arguments(int argc, char **argv, int min, int max)
{
    int help = argc > 1 &&
               (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));

    if (!help && argc > min && argc <= max + 1 &&
        (argc < 2 || argv[1][0] != '-'))
        return;
    fputs(usage, help ? stdout : stderr);
    if (help && (fflush(stdout) != 0 || ferror(stdout)))
        die("standard output");
    exit(help ? EXIT_SUCCESS : 2);
}

/* glibc says what it is. musl has no macro to be known by. */
static void show_library(void)
{
#ifdef __GLIBC__
    printf("C library: glibc %s\n", gnu_get_libc_version());
#else
    printf("C library: musl, or another\n");
#endif
}

/* An error's name: the words of strerror() differ between C libraries. */
static const char *name(int error)
{
    switch (error) {
    case 0:
        return "0";
    case EAGAIN:
        return "EAGAIN";
    case EBADF:
        return "EBADF";
    case ECANCELED:
        return "ECANCELED";
    case EINPROGRESS:
        return "EINPROGRESS";
    case EINTR:
        return "EINTR";
    case EINVAL:
        return "EINVAL";
    case EIO:
        return "EIO";
    default:
        return strerror(error);
    }
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    memset(aiocb, 0, sizeof(*aiocb));
    aiocb->aio_fildes = fd;
    aiocb->aio_buf = data;
    aiocb->aio_nbytes = nbytes;
    aiocb->aio_offset = offset;
    aiocb->aio_sigevent.sigev_notify = SIGEV_NONE;
}

/* Sleeps until a request is done. Asking aio_error() in a loop would spin. */
static void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, NULL) == -1 && errno != EINTR)
            die("aio_suspend");
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);       /* returned: errno is not set */
    ssize_t n = aio_return(aiocb);      /* once for each request */

    if (error != 0) {
        errno = error;
        die("%s %s", call, path);
    }
    if (n == -1)
        die("aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        die("%s %s: only %zd of %zu bytes", call, path, n,
            aiocb->aio_nbytes);
    }
}

/* Three writes, of one block each. The list says what each request does. */
static void prepare_all(struct aiocb *aiocbs, int fd, char data[][BLOCK],
                        char letter)
{
    for (int i = 0; i < REQUESTS; i++) {
        memset(data[i], letter, BLOCK);
        prepare(&aiocbs[i], fd, data[i], BLOCK, (off_t)i * BLOCK);
        aiocbs[i].aio_lio_opcode = LIO_WRITE;
    }
}

/*
 * lio_listio(LIO_WAIT) that no signal interrupts. In glibc the requests point
 * to a list of waiters on the stack of the call. If the call ends early with
 * EINTR nobody takes it out of there: the requests in flight write to it when
 * they end, and the process crashes, somewhere else (glibc 2.36; the sources
 * of 2.42 are no different). So signals have to wait until the call is over.
 */
static int listio_wait(struct aiocb *const list[], int nent)
{
    sigset_t all, old;
    int result, error;

    sigfillset(&all);
    errno = pthread_sigmask(SIG_SETMASK, &all, &old);
    if (errno != 0)
        die("pthread_sigmask");
    result = lio_listio(LIO_WAIT, list, nent, NULL);
    error = errno;
    errno = pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (errno != 0)
        die("pthread_sigmask");
    errno = error;
    return result;
}

/* All must have succeeded: dies of the first that has not. */
static void check_all(struct aiocb *aiocbs, const char *path)
{
    for (int i = 0; i < REQUESTS; i++) {
        wait_for(&aiocbs[i]);
        check(&aiocbs[i], "LIO_WRITE", path);
        printf("  request %d: %d bytes\n", i, BLOCK);
    }
}

/* What lio_listio() said. */
static void show(const char *what, int result)
{
    if (result == -1 && errno != EIO && errno != EAGAIN && errno != EINVAL)
        die("lio_listio");
    printf("%s: %s%s\n", what, result == -1 ? "-1 " : "",
           name(result == -1 ? errno : 0));
}

/* Which have failed? After an error some may be in flight: wait for these. */
static void show_all(struct aiocb *aiocbs)
{
    for (int i = 0; i < REQUESTS; i++) {
        int error;

        wait_for(&aiocbs[i]);
        error = aio_error(&aiocbs[i]);
        if (error != 0)
            printf("  request %d: %s\n", i, name(error));
        else
            printf("  request %d: %zd bytes\n", i, aio_return(&aiocbs[i]));
    }
}

int main(int argc, char **argv)
{
    const struct timespec limit = { 10, 0 };
    const char *path = argv[1];
    static char data[REQUESTS][BLOCK];
    struct aiocb aiocbs[REQUESTS], nop;
    struct aiocb *list[REQUESTS + 2];
    struct sigevent event;
    siginfo_t info;
    sigset_t set;
    int fd, read_only;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    show_library();

    /* Set up: a file, open twice. The second way nothing can be written. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    read_only = open(path, O_RDONLY);
    if (read_only == -1)
        die("open %s", path);

    /* The list may hold NULLs and requests to do nothing. */
    prepare(&nop, -1, NULL, 0, 0);
    nop.aio_lio_opcode = LIO_NOP;
    list[0] = &aiocbs[0];
    list[1] = NULL;
    list[2] = &aiocbs[1];
    list[3] = &nop;
    list[4] = &aiocbs[2];

    /* Wait for all of them. EIO: some request failed. Ask each. */
    prepare_all(aiocbs, fd, data, 'a');
    if (listio_wait(list, REQUESTS + 2) == -1 && errno != EIO)
        die("lio_listio");
    printf("LIO_WAIT: all are done\n");
    check_all(aiocbs, path);

    /* Or go on, and be told once, when the last is done. A request may have
     * a notification of its own besides. musl does not copy `event`: it must
     * stay until the signal has come. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        die("sigprocmask");
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    event.sigev_value.sival_int = 42;
    prepare_all(aiocbs, fd, data, 'b');
    if (lio_listio(LIO_NOWAIT, list, REQUESTS + 2, &event) == -1)
        die("lio_listio");
    while (sigtimedwait(&set, &info, &limit) == -1)
        if (errno != EINTR)
            die("sigtimedwait");
    printf("LIO_NOWAIT: told by one signal, si_code %s, si_value %d\n",
           info.si_code == SI_ASYNCIO ? "SI_ASYNCIO" : "of another kind",
           info.si_value.sival_int);
    check_all(aiocbs, path);

    /* One fails as it is done: the call says that, the requests say which. */
    prepare_all(aiocbs, fd, data, 'c');
    aiocbs[1].aio_fildes = read_only;
    show("one cannot be done", listio_wait(list, REQUESTS + 2));
    show_all(aiocbs);

    /* One has no file at all. glibc finds that as late as the other fault.
     * musl refuses the request, and stops there: those behind it are never
     * started, and look as if they had succeeded, with 0 bytes. */
    prepare_all(aiocbs, fd, data, 'd');
    aiocbs[1].aio_fildes = -1;
    show("one has no descriptor", listio_wait(list, REQUESTS + 2));
    show_all(aiocbs);

    /* Neither LIO_WAIT nor LIO_NOWAIT. musl does not look. */
    show("mode 77", lio_listio(77, list, 0, NULL));

    /* Tear down. */
    if (close(read_only) == -1 || close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
