/*
 * suspend.c - all that aio_suspend() can say
 *
 * Waits for one of two requests: a write to FILE, and a read from an empty
 * pipe, which ends when this program wants it to. aio_suspend() says that
 * some request in the list is done, not which. It may also say that the time
 * is over, or that a signal came; then the requests just go on.
 *
 * Build:  cc -o suspend suspend.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./suspend FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

static const char usage[] =
    "Usage: suspend FILE\n"
    "Makes FILE, or empties it, and writes a line to it; waits for that.\n";

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

/* Waits, and prints what ended the wait. If it was a signal, and there is no
 * limit to the time, it waits again. */
static void suspend(const char *what, const struct aiocb *const list[],
                    int nent, const struct timespec *timeout)
{
    int error;

    do
        error = aio_suspend(list, nent, timeout) == -1 ? errno : 0;
    while (error == EINTR && timeout == NULL);
    if (error != 0 && error != EAGAIN && error != EINTR)
        die("aio_suspend");
    printf("%s: %s%s\n", what, error == 0 ? "" : "-1 ", name(error));
}

/* Nothing is to be done: that it came is enough. */
static void on_alarm(int signo)
{
    (void)signo;
}

int main(int argc, char **argv)
{
    const struct timespec at_once = { 0, 0 };
    const struct timespec soon = { 0, 10000000 };       /* 10 ms */
    const struct timespec limit = { 10, 0 };    /* seconds */
    const struct itimerval ticks = { { 0, 1000 }, { 0, 1000 } };
    const struct itimerval none = { { 0, 0 }, { 0, 0 } };
    const char *path = argv[1];
    char text[] = "Hello, asynchronous world!\n";
    char letter;
    struct aiocb of_pipe, of_file;
    const struct aiocb *list[3];
    struct sigaction action;
    sigset_t set;
    int fd, ends[2];

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    show_library();

    /* Set up: a file, and a pipe that nobody has written to. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (pipe(ends) == -1)
        die("pipe");

    /* Submit two requests. Only the second can end by itself. */
    prepare(&of_pipe, ends[0], &letter, sizeof(letter), 0);
    if (aio_read(&of_pipe) == -1)
        die("aio_read pipe");
    prepare(&of_file, fd, text, strlen(text), 0);
    if (aio_write(&of_file) == -1)
        die("aio_write %s", path);

    /* One is enough. A NULL is skipped, and counts as an entry: a list needs
     * no closing up when a request is struck off. Then look which it was. */
    list[0] = &of_pipe;
    list[1] = NULL;
    list[2] = &of_file;
    suspend("pipe, NULL or FILE", list, 3, NULL);
    printf("  pipe: %s\n", name(aio_error(&of_pipe)));
    printf("  FILE: %s\n", name(aio_error(&of_file)));
    check(&of_file, "aio_write", path);

    /* It never blocks for a request that is done: strike such off. */
    suspend("again", list, 3, NULL);
    list[2] = NULL;

    /* The time is relative, and what is left of it is not told. */
    suspend("only the pipe, 10 ms", list, 3, &soon);
    suspend("only the pipe, 0 ms", list, 3, &at_once);

    /* A signal ends the wait. But one that comes before the wait begins does
     * not, and aio_suspend() has no mask to hold it back: here the timer
     * ticks on until a tick falls into the wait. */
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm;
    if (sigaction(SIGALRM, &action, NULL) == -1)
        die("sigaction");
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);           /* who started us may block it */
    if (sigprocmask(SIG_UNBLOCK, &set, NULL) == -1)
        die("sigprocmask");
    if (setitimer(ITIMER_REAL, &ticks, NULL) == -1)
        die("setitimer");
    suspend("only the pipe, and a signal", list, 3, &limit);
    if (setitimer(ITIMER_REAL, &none, NULL) == -1)
        die("setitimer");

    /* Nothing to wait for: glibc returns at once, as if something were done.
     * musl waits, without a time-out for ever. Count what is in flight. */
    list[0] = NULL;
    suspend("only NULL, 10 ms", list, 3, &soon);

    /* None of this has touched the request. It ends when the byte comes. */
    printf("pipe: %s\n", name(aio_error(&of_pipe)));
    if (write(ends[1], "!", 1) == -1)
        die("write pipe");
    wait_for(&of_pipe);
    printf("pipe with a byte in it: %s\n", name(aio_error(&of_pipe)));
    check(&of_pipe, "aio_read", "pipe");

    /* Tear down. */
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close pipe");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
