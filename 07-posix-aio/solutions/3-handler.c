/*
 * 3-handler.c - solution 7.3, find the bug
 *
 * Reads FILE block by block. A signal tells of each block, and its handler
 * only notes that it came. All else is done in main(), where printf() and
 * aio_read() interrupt nothing.
 *
 * Build:  cc -o 3-handler 3-handler.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./3-handler FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096 }; /* bytes a request */

static const char *path;
static struct aiocb aiocb; /* one request, for one block at a time */
static char data[BLOCK];
static volatile sig_atomic_t told; /* a signal has come */

static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static int next_block(void);
static void on_signal(int signo, siginfo_t *info, void *context);
static struct timespec until(time_t end);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART };
    sigset_t set, unblocked;
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = open(path, O_RDONLY);
    if (fd == -1)
        err(1, "open %s", path);
    action.sa_sigaction = on_signal;
    if (sigaction(SIGRTMIN, &action, NULL) == -1)
        err(1, "sigaction");

    /* The first block. The signal may come from now on. */
    prepare(&aiocb, fd, data, BLOCK, 0);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGRTMIN;
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", path);
    printf("reading %s\n", path);

    /* From here on signals come in ppoll() only: none can slip in between
     * the look at a variable and the wait. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)
        err(1, "sigprocmask");
    sigdelset(&unblocked, SIGRTMIN);
    for (time_t end = time(NULL) + 10;;) {
        struct timespec left = until(end);

        if (told) {
            told = 0; /* before the next can tell, not after */
            if (!next_block())
                break;
            end = time(NULL) + 10;
        } else if (left.tv_sec == 0) {
            errno = ETIMEDOUT;
            err(1, "ppoll");
        } else if (ppoll(NULL, 0, &left, &unblocked) == -1 && errno != EINTR) {
            err(1, "ppoll");
        }
    }
    printf("end of file: %lld bytes\n", (long long)aiocb.aio_offset);

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

/* A block is there: on to the next. Returns 0 at the end of the file. */
static int next_block(void)
{
    int error = aio_error(&aiocb);
    ssize_t n = aio_return(&aiocb);

    if (error != 0) {
        errno = error;
        err(1, "aio_read %s", path);
    }
    if (n == 0)
        return 0;
    printf("at %lld: %zd bytes\n", (long long)aiocb.aio_offset, n);
    aiocb.aio_offset += n;
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", path);
    return 1;
}

/*
 * A handler that cannot do harm. Neither stdio nor aio_read() is safe in one:
 * the signal may have come while their locks are held.
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    if (info->si_code == SI_ASYNCIO) /* and not somebody else's */
        told = 1;
}

/* From now to `end`: a wait that a signal interrupts does not begin anew. */
static struct timespec until(time_t end)
{
    time_t now = time(NULL);

    return (struct timespec){ .tv_sec = end > now ? end - now : 0 };
}

static const char usage[] =
    "Usage: 3-handler FILE\n"
    "Reads FILE in blocks of 4096 bytes, and says how many bytes there are.\n";

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
