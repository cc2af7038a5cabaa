/*
 * signal.c - three ways to take the signal of a completion
 *
 * Each request sends a signal when it is done, with a value that says which
 * it was. The signals are taken by a handler, then without one: with
 * sigtimedwait(), and from a signalfd. Three writes to FILE for each way.
 *
 * Build:  cc -o signal signal.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./signal FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUESTS = 3,
    BLOCK = 4096                /* bytes a request */
};

static const char usage[] =
    "Usage: signal FILE\n"
    "Makes FILE, or empties it, and writes 9 blocks of 4096 bytes to it.\n";

/* Which requests a signal has told of. */
static volatile sig_atomic_t told[REQUESTS];

/*
 * No wait is longer than this. A signal may fail to come: there is a limit
 * to those that wait to be taken (ulimit -i), and beyond it they are lost.
 * glibc then says EAGAIN of the request, even if it has succeeded.
 */
static const struct timespec limit = { 10, 0 };

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

/* Notes that a signal told of a request. Main and the handler do no more. */
static void note(int code, int request)
{
    if (code == SI_ASYNCIO && request >= 0 && request < REQUESTS)
        told[request]++;
}

/*
 * A handler may call only what is async-signal-safe. To start the next
 * request here, as old texts advise, is wrong: aio_write() is not.
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    note(info->si_code, info->si_value.sival_int);
}

static int count_told(void)
{
    int count = 0;

    for (int i = 0; i < REQUESTS; i++)
        count += told[i];
    return count;
}

/* Starts writes of the blocks from `first` on. Each will send SIGRTMIN. */
static void start(struct aiocb *aiocbs, char data[][BLOCK], int fd, int first,
                  const char *path)
{
    for (int i = 0; i < REQUESTS; i++) {
        told[i] = 0;
        memset(data[i], 'a' + first + i, BLOCK);
        prepare(&aiocbs[i], fd, data[i], BLOCK, (off_t)(first + i) * BLOCK);
        aiocbs[i].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
        aiocbs[i].aio_sigevent.sigev_signo = SIGRTMIN;
        aiocbs[i].aio_sigevent.sigev_value.sival_int = i;
        if (aio_write(&aiocbs[i]) == -1)
            die("aio_write %s", path);
    }
}

/* All have been told of: how did they end? */
static void finish(const char *way, struct aiocb *aiocbs, const char *path)
{
    printf("%s: %d signals\n", way, count_told());
    for (int i = 0; i < REQUESTS; i++) {
        check(&aiocbs[i], "aio_write", path);
        printf("  request %d: told of %d time, %d bytes\n", i, (int)told[i],
               BLOCK);
    }
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    static char data[REQUESTS][BLOCK];
    struct aiocb aiocbs[REQUESTS];
    struct sigaction action;
    struct signalfd_siginfo info;
    struct pollfd readable;
    siginfo_t siginfo;
    sigset_t set, unblocked;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);

    /* The signal is blocked all the time, so that none comes where it is not
     * expected. A real-time signal: of these each is kept, while a second
     * SIGUSR1 would be lost as long as the first one waits. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)
        die("sigprocmask");
    sigdelset(&unblocked, SIGRTMIN);    /* who started us may block it */

    /* With a handler: ppoll() lets the signals through while it waits. */
    memset(&action, 0, sizeof(action));
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_signal;
    if (sigaction(SIGRTMIN, &action, NULL) == -1)
        die("sigaction");
    start(aiocbs, data, fd, 0, path);
    while (count_told() < REQUESTS) {
        n = ppoll(NULL, 0, &limit, &unblocked);
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR)
            die("ppoll");
    }
    finish("handler", aiocbs, path);

    /* Without: sigtimedwait() takes a signal as read() takes a byte. All
     * requests are done before the first is taken, and none is lost. */
    start(aiocbs, data, fd, REQUESTS, path);
    for (int i = 0; i < REQUESTS; i++)
        wait_for(&aiocbs[i]);
    while (count_told() < REQUESTS)
        if (sigtimedwait(&set, &siginfo, &limit) != -1)
            note(siginfo.si_code, siginfo.si_value.sival_int);
        else if (errno != EINTR)
            die("sigtimedwait");
    finish("sigtimedwait", aiocbs, path);

    /* Without: a signalfd is one more descriptor for an event loop. */
    readable.fd = signalfd(-1, &set, SFD_CLOEXEC);
    readable.events = POLLIN;
    if (readable.fd == -1)
        die("signalfd");
    start(aiocbs, data, fd, 2 * REQUESTS, path);
    while (count_told() < REQUESTS) {
        n = ppoll(&readable, 1, &limit, NULL);
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || (n == -1 && errno != EINTR))
            die("ppoll");
        if (n == 1 && read(readable.fd, &info, sizeof(info)) == -1)
            die("read signalfd");
        if (n == 1)
            note(info.ssi_code, info.ssi_int);
    }
    finish("signalfd", aiocbs, path);

    /* Tear down. */
    if (close(readable.fd) == -1)
        die("close signalfd");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
