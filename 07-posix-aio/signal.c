/*
 * signal.c - three ways to take the signal of a completion
 *
 * Each request sends a signal when it is done, with a value that says which
 * it was. The signals are taken by a handler, then without one: with
 * sigtimedwait(), and from a signalfd. Three writes to FILE for each way.
 *
 * Build:  cc -o signal signal.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./signal FILE
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
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 3, BLOCK = 4096 /* bytes a request */, ALL = 7 };

static const char *path;
static struct aiocb aiocbs[REQUESTS];
static volatile sig_atomic_t signals, told; /* a count; a bit a request */
static const struct timespec second = { 1, 0 };
static sigset_t set, unblocked; /* SIGRTMIN; all that main blocks but that */
static struct pollfd readable = { .events = POLLIN }; /* the signalfd */

static void take_by_handler(void), take_by_sigtimedwait(void);
static void take_from_signalfd(void);
static void run(const char *way, void (*take)(void), int fd);
static void on_signal(int signo, siginfo_t *info, void *context);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_flags = SA_SIGINFO };
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* A real-time signal: each is kept. (Of SIGUSR1 a second one is lost.) It
     * is blocked in all threads, so none comes where it is not expected. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)
        err(1, "sigprocmask");
    sigdelset(&unblocked, SIGRTMIN); /* who started us may block it */
    action.sa_sigaction = on_signal;
    if (sigaction(SIGRTMIN, &action, NULL) == -1)
        err(1, "sigaction");

    run("handler", take_by_handler, fd);
    run("sigtimedwait", take_by_sigtimedwait, fd);
    readable.fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (readable.fd == -1)
        err(1, "signalfd");
    run("signalfd", take_from_signalfd, fd);

    if (close(readable.fd) == -1)
        err(1, "close signalfd");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/*
 * Three writes, each of which sends SIGRTMIN when it is done. That is waited
 * for, ten seconds at most: a signal may be lost (see ulimit -i).
 */
static void run(const char *way, void (*take)(void), int fd)
{
    static char data[REQUESTS][BLOCK];
    static int block;
    time_t end = time(NULL) + 10;

    signals = told = 0;
    for (int i = 0; i < REQUESTS; i++, block++) {
        memset(data[i], 'a' + block, BLOCK);
        aiocbs[i] = (struct aiocb){
            .aio_fildes = fd,
            .aio_buf = data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = (off_t)block * BLOCK,
            .aio_sigevent = { .sigev_notify = SIGEV_SIGNAL,
                              .sigev_signo = SIGRTMIN,
                              .sigev_value.sival_int = i },
        };
        if (aio_write(&aiocbs[i]) == -1)
            err(1, "aio_write %s", path);
    }
    while (told != ALL && time(NULL) < end)
        take();
    errno = ETIMEDOUT;
    if (told != ALL)
        err(1, "%s", way);
    for (int i = 0; i < REQUESTS; i++) {
        ssize_t n = aio_return(&aiocbs[i]);

        errno = aio_error(&aiocbs[i]);
        if (errno != 0)
            err(1, "aio_write %s", path);
        errno = EIO;
        if (n != BLOCK)
            err(1, "aio_write %s: only %zd of %d bytes", path, n, BLOCK);
    }
    printf("%s: %d signals for %d requests\n", way, (int)signals, REQUESTS);
}

/* One signal. If somebody else has sent it, its si_code is another. */
static void note(int code, int request)
{
    if (code != SI_ASYNCIO || request < 0 || request >= REQUESTS)
        return;
    signals++;
    told |= 1 << request;
}

/*
 * The handler interrupts main, and may call only what is async-signal-safe:
 * neither aio_write() nor printf() is. It notes, and main does.
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    note(info->si_code, info->si_value.sival_int);
}

/* With a handler: ppoll() lets the signal through for as long as it waits. */
static void take_by_handler(void)
{
    if (ppoll(NULL, 0, &second, &unblocked) == -1 && errno != EINTR)
        err(1, "ppoll");
}

/* Without one: sigtimedwait() takes a signal as read() takes a byte. */
static void take_by_sigtimedwait(void)
{
    siginfo_t info;

    if (sigtimedwait(&set, &info, &second) != -1)
        note(info.si_code, info.si_value.sival_int);
    else if (errno != EINTR && errno != EAGAIN)
        err(1, "sigtimedwait");
}

/* Without one: a signalfd is one more descriptor for an event loop. */
static void take_from_signalfd(void)
{
    struct signalfd_siginfo info;
    int n = ppoll(&readable, 1, &second, NULL);

    if (n == -1 && errno != EINTR)
        err(1, "ppoll");
    if (n == 1 && read(readable.fd, &info, sizeof(info)) == -1)
        err(1, "read signalfd");
    if (n == 1)
        note(info.ssi_code, info.ssi_int);
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
    "Usage: signal FILE\n"
    "Makes FILE, or empties it, and writes 9 blocks of 4096 bytes to it.\n";

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
