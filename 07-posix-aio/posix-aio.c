/*
 * posix-aio.c - asynchronous I/O from the C library
 *
 * Writes a line to FILE and reads it back by POSIX AIO. There is no context
 * and no ring: the C library has threads that call pwrite() and pread(). So
 * it works on every kind of file, and costs a thread. The end of a request
 * is waited for with aio_suspend(), then told by a signal, then by a callback.
 *
 * Build:  cc -o posix-aio posix-aio.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./posix-aio FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: posix-aio FILE\n"
    "Makes FILE, or empties it, and writes a line to it; reads it back.\n";

/* What the handler and the callback leave for main. */
static struct aiocb *_Atomic told_of;   /* the request */
static volatile sig_atomic_t told_code; /* the handler: si_code */
static pthread_t told_by;               /* the callback: its thread */
static sem_t told;

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

/*
 * The handler interrupts main, and may call only what is async-signal-safe:
 * neither aio_read() nor printf() is. It notes, and main does.
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    told_code = info->si_code;
    told_of = info->si_value.sival_ptr;
}

/* The callback runs in a thread of the library, and may call anything. */
static void on_completion(union sigval value)
{
    told_of = value.sival_ptr;
    told_by = pthread_self();
    if (sem_post(&told) == -1)
        die("sem_post");
}

/*
 * Sleeps until sem_post(&told). A callback may fail to come: there may be no
 * memory for a thread to run it. So there is a limit, of ten seconds.
 */
static void wait_until_told(void)
{
    struct timespec limit;

    if (clock_gettime(CLOCK_REALTIME, &limit) == -1)
        die("clock_gettime");
    limit.tv_sec += 10;
    while (sem_timedwait(&told, &limit) == -1)
        if (errno != EINTR)
            die("sem_timedwait");
}

/* What was read must be what was written. */
static void compare(const char *got, const char *text, const char *path)
{
    if (strcmp(got, text) != 0) {
        errno = EIO;
        die("read back %s", path);
    }
    printf("read back: the same\n");
}

int main(int argc, char **argv)
{
    const struct timespec limit = { 10, 0 };    /* seconds */
    const char *path = argv[1];
    char text[] = "Hello, asynchronous world!\n";
    const size_t length = strlen(text);
    char got[sizeof(text)];
    struct aiocb aiocb;
    struct sigaction action;
    sigset_t set, unblocked;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file. */
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);

    /* Submit: a request a call, and the call says what is to be done. */
    prepare(&aiocb, fd, text, length, 0);
    if (aio_write(&aiocb) == -1)
        die("aio_write %s", path);
    printf("aio_write: 1 request taken\n");

    /* Wait. The request and its data are the library's until it is done. */
    wait_for(&aiocb);
    printf("aio_suspend: it is done\n");

    /* Check: did it fail, and if not, how much was written? */
    check(&aiocb, "aio_write", path);
    printf("aio_error: 0, aio_return: %zu\n", length);

    /* Reading back is the same with another call. */
    memset(got, 0, sizeof(got));
    prepare(&aiocb, fd, got, length, 0);
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);
    printf("aio_read: 1 request taken\n");
    wait_for(&aiocb);
    check(&aiocb, "aio_read", path);
    compare(got, text, path);

    /* Instead of waiting for it: be told by a signal. Real-time signals
     * queue, so that each request has its own, and carry a value. */
    memset(&action, 0, sizeof(action));
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_signal;
    if (sigaction(SIGRTMIN, &action, NULL) == -1)
        die("sigaction");
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)
        die("sigprocmask");
    sigdelset(&unblocked, SIGRTMIN);    /* who started us may block it */
    memset(got, 0, sizeof(got));
    prepare(&aiocb, fd, got, length, 0);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGRTMIN;
    aiocb.aio_sigevent.sigev_value.sival_ptr = &aiocb;
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);

    /* The signal is blocked, and let through only while ppoll() waits. So it
     * cannot come between the look at told_of and the wait. */
    while (told_of == NULL) {
        n = ppoll(NULL, 0, &limit, &unblocked);
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR)
            die("ppoll");
    }
    printf("told by a signal: si_code %s, si_value %s\n",
           told_code == SI_ASYNCIO ? "SI_ASYNCIO" : "of another kind",
           told_of == &aiocb ? "our request" : "not our request");
    check(&aiocb, "aio_read", path);
    compare(got, text, path);

    /* Or by a callback, which needs no signal and has a thread to run in. */
    told_of = NULL;
    if (sem_init(&told, 0, 0) == -1)
        die("sem_init");
    memset(got, 0, sizeof(got));
    prepare(&aiocb, fd, got, length, 0);
    aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    aiocb.aio_sigevent.sigev_notify_function = on_completion;
    aiocb.aio_sigevent.sigev_value.sival_ptr = &aiocb;
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);
    wait_until_told();
    printf("told by a callback: in %s thread, value %s\n",
           pthread_equal(told_by, pthread_self()) ? "main's" : "another",
           told_of == &aiocb ? "our request" : "not our request");
    check(&aiocb, "aio_read", path);
    compare(got, text, path);

    /* Tear down. */
    if (sem_destroy(&told) == -1)
        die("sem_destroy");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
