/*
 * posix-signals.c - one question to the C library's POSIX AIO
 *
 * How it tells of an end: aio_error(), aio_return(), aio_suspend(), signals
 * and callbacks, in cases that no program of the course shows. Lists, cancel,
 * syncs and queues: posix-probe.c.
 *
 * Build:  cc -o posix-signals posix-signals.c (glibc before 2.34: -lrt
 *         -pthread)
 * Usage:  ./posix-signals QUESTION
 */
#include "posix-probe.h"

static void reqprio(void)
{
    static struct aiocb aiocb;
    char letter = 'x';

    prepare(&aiocb, scratch_file(), &letter, 1);
    aiocb.aio_reqprio = -1;
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
}

/* aio_error() returns the error, and leaves errno alone. */
static void error_is_returned(void)
{
    int fd = open("/dev/null", O_WRONLY);
    static struct aiocb aiocb;
    static char letter;
    int error;

    start_read(&aiocb, fd, &letter);
    wait_for(&aiocb);
    errno = EXDEV;
    error = aio_error(&aiocb);
    printf("aio_error: %s, errno %s\n", name_of(error),
           errno == EXDEV ? "as before" : "changed");
}

static void return_twice(void)
{
    static struct aiocb aiocb;
    char text[] = "hello";

    start_write(&aiocb, scratch_file(), text, 5);
    wait_for(&aiocb);
    answer("aio_return", aio_return(&aiocb));
    answer("aio_return again", aio_return(&aiocb));
}

/* A sigevent that was only zeroed is not SIGEV_NONE, though it harms none. */
static void zeroed_sigevent(void)
{
    static struct aiocb aiocb;
    char text[] = "hello";

    prepare(&aiocb, scratch_file(), text, 5);
    memset(&aiocb.aio_sigevent, 0, sizeof(aiocb.aio_sigevent));
    printf("sigev_notify: %s, signal %d\n",
           aiocb.aio_sigevent.sigev_notify == SIGEV_SIGNAL ? "SIGEV_SIGNAL"
                                                           : "another",
           aiocb.aio_sigevent.sigev_signo);
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
    answer("aio_return", aio_return(&aiocb));
}

/* Three signals while the signal is blocked: how many arrive? */
static void count_signals(const char *what, int signo)
{
    const struct timespec at_once = { 0, 0 };
    const union sigval value = { 0 };
    sigset_t set;
    int arrived = 0;

    sigemptyset(&set);
    sigaddset(&set, signo);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    for (int i = 0; i < 3; i++)
        if (sigqueue(getpid(), signo, value) == -1)
            err(1, "sigqueue");
    while (sigtimedwait(&set, NULL, &at_once) == signo)
        arrived++;
    printf("%s: %d of 3\n", what, arrived);
}

static void signals_queue(void)
{
    count_signals("SIGRTMIN", SIGRTMIN);
    count_signals("SIGUSR1", SIGUSR1);
}

/* The callback waits for what main does after aio_suspend(). */
static void suspend_before_callback(void)
{
    static struct aiocb aiocb;
    struct timespec until;
    char text[] = "hello";

    if (sem_init(&go, 0, 0) == -1 || sem_init(&ran, 0, 0) == -1)
        err(1, "sem_init");
    prepare(&aiocb, scratch_file(), text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    aiocb.aio_sigevent.sigev_notify_function = on_completion;
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
    printf("callback is over: %s\n", sem_trywait(&ran) == 0 ? "yes" : "no");
    sem_post(&go);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += limit.tv_sec;
    answer("callback", sem_timedwait(&ran, &until));
}

/* No signal may wait to be taken: what becomes of a request that sends one? */
static void signal_lost(void)
{
    const struct rlimit none = { 0, 0 };
    const struct timespec at_once = { 0, 0 };
    static struct aiocb aiocb;
    sigset_t set;
    char text[] = "hello", got[5];
    int fd = scratch_file();

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    if (setrlimit(RLIMIT_SIGPENDING, &none) == -1)
        err(1, "setrlimit");
    prepare(&aiocb, fd, text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGRTMIN;
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
    answer("signal", sigtimedwait(&set, NULL, &at_once));
    answer("bytes in the file", pread(fd, got, sizeof(got), 0));
}

/* A write to a file opened with O_APPEND goes to its end: see aio_offset. */
static void append(void)
{
    static struct aiocb aiocb;
    char text[] = "hello", got[8] = "";
    int fd = scratch_file();

    if (write(fd, "12", 2) != 2 || fcntl(fd, F_SETFL, O_APPEND) == -1)
        err(1, "write");
    start_write(&aiocb, fd, text, 5);
    wait_for(&aiocb);
    if (pread(fd, got, 7, 0) == -1)
        err(1, "pread");
    printf("%s\n", got);
}

/* What aio_return() leaves in errno when the request has failed. */
static void return_errno(void)
{
    static struct aiocb aiocb;
    static char letter;
    int fd = open("/dev/null", O_WRONLY);
    ssize_t n;

    if (fd == -1)
        err(1, "open");
    start_read(&aiocb, fd, &letter);
    wait_for(&aiocb);
    errno = 4711;
    n = aio_return(&aiocb);
    printf("aio_return: %zd, errno %s\n", n,
           errno == 4711 ? "as before" : name_of(errno));
}

static sem_t called;
static int nr_blocked;

static void note_mask(union sigval value)
{
    sigset_t set;

    (void)value;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    for (int signo = 1; signo < 32; signo++)
        nr_blocked += sigismember(&set, signo) == 1;
    sem_post(&called);
}

/* Which signals can a callback be interrupted by? */
static void callback_mask(void)
{
    static struct aiocb aiocb;
    char text[] = "hello";

    sem_init(&called, 0, 0);
    prepare(&aiocb, scratch_file(), text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    aiocb.aio_sigevent.sigev_notify_function = note_mask;
    if (aio_write(&aiocb) == -1)
        err(1, "aio_write");
    while (sem_wait(&called) == -1)
        ;
    printf("blocked of 31 signals: %d\n", nr_blocked);
}

static const struct question questions[] = {
    Q(reqprio),       Q(error_is_returned),
    Q(return_twice),  Q(zeroed_sigevent),
    Q(signals_queue), Q(suspend_before_callback),
    Q(signal_lost),   Q(append),
    Q(return_errno),  Q(callback_mask),
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return answer_one(argc, argv, questions);
}
