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

#include <sys/wait.h>

static void reqprio(void)
{
    static const int values[] = { -1, 0, 20, 21 };
    static struct aiocb aiocb;
    char what[32], letter = 'x';
    int fd = scratch_file();

    for (int i = 0; i < 8; i++) {
        prepare(&aiocb, fd, &letter, 1);
        aiocb.aio_reqprio = values[i / 2];
        snprintf(what, sizeof(what), "%s, %d", i % 2 ? "aio_read" : "aio_write",
                 values[i / 2]);
        answer(what, i % 2 ? aio_read(&aiocb) : aio_write(&aiocb));
        wait_for(&aiocb);
    }
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

/* The same with a signal that is not a real-time one. */
static void ordinary_signal(void)
{
    const struct rlimit none = { 0, 0 };
    static struct aiocb aiocb;
    siginfo_t info = { 0 };
    sigset_t set;
    char text[] = "hello";

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    if (setrlimit(RLIMIT_SIGPENDING, &none) == -1)
        err(1, "setrlimit");
    prepare(&aiocb, scratch_file(), text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGUSR1;
    aiocb.aio_sigevent.sigev_value.sival_int = 42;
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
    printf("SIGUSR1 comes: %s\n",
           sigtimedwait(&set, &info, &limit) == SIGUSR1 ? "yes" : "no");
    printf("its value: %d\n", info.si_value.sival_int);
    printf("its code: %s\n", info.si_code == SI_ASYNCIO ? "SI_ASYNCIO"
                             : info.si_code == SI_USER  ? "SI_USER"
                                                        : "another");
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

/* Eight callbacks, one after the other: whose stacks are left? They have a size
 * that nothing else has. */
static void callback_stacks(int state)
{
    static struct aiocb aiocb;
    const unsigned long size = 1101824;
    unsigned long from, to;
    char text[] = "hello", line[512];
    pthread_attr_t attributes;
    int stacks = 0;
    FILE *maps;

    sem_init(&called, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, state);
    pthread_attr_setstacksize(&attributes, size);
    for (int i = 0; i < 8; i++) {
        prepare(&aiocb, scratch_file(), text, 5);
        aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
        aiocb.aio_sigevent.sigev_notify_function = note_mask;
        aiocb.aio_sigevent.sigev_notify_attributes = &attributes;
        if (aio_write(&aiocb) == -1)
            err(1, "aio_write");
        while (sem_wait(&called) == -1)
            ;
        wait_for(&aiocb);
        usleep(20000); /* now the thread has ended */
    }
    maps = fopen("/proc/self/maps", "r");
    if (maps == NULL)
        err(1, "maps");
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx rw", &from, &to) == 2 &&
            to - from < 16 * size) /* but for guards; neighbours are one */
            stacks += (to - from + 65536) / size;
    fclose(maps);
    printf("%s: %s\n",
           state == PTHREAD_CREATE_JOINABLE ? "joinable" : "detached",
           stacks >= 8  ? "a stack each"
           : stacks > 3 ? "several"
                        : "a few at most");
}

static void callback_attributes(void)
{
    callback_stacks(PTHREAD_CREATE_DETACHED);
    callback_stacks(PTHREAD_CREATE_JOINABLE);
}

/* A block that is all zeros, and was never given to anybody. */
static void zeroed(void)
{
    static const struct aiocb none;
    static struct aiocb aiocb;
    const struct aiocb *const list[1] = { &none };

    answer("aio_error", aio_error(&none));
    answer("aio_return", aio_return(&aiocb));
    answer("aio_suspend", aio_suspend(list, 1, NULL));
}

/* One row of errors(): the end of a read or write, and how it is told. */
static void ends(const char *what, int op, int fd, void *data, off_t offset)
{
    static struct aiocb aiocb;

    if (fd == -1)
        err(1, "%s", what);
    prepare(&aiocb, fd, data, 5);
    aiocb.aio_offset = offset;
    if ((op == LIO_READ ? aio_read(&aiocb) : aio_write(&aiocb)) == -1)
        err(1, "%s", what);
    wait_for(&aiocb);
    printf("%s: %s\n", what, name_of(aio_error(&aiocb)));
}

/* What aio_error() says of requests that cannot succeed. The signals that go
 * with some of them would end the program: they do not come. */
static void errors(void)
{
    char data[] = "hello";
    struct rlimit before;
    int file = scratch_file(), pipes[2][2];

    make_pipe(pipes[0]);
    make_pipe(pipes[1]);
    close(pipes[1][0]);
    ends("an offset below 0", LIO_WRITE, file, data, -1);
    ends("a bad buffer", LIO_WRITE, file, (void *)8, 0);
    ends("a folder", LIO_READ, open(".", O_RDONLY), data, 0);
    ends("only for reading", LIO_WRITE, open(".", O_RDONLY), data, 0);
    ends("a pipe without a reader", LIO_WRITE, pipes[1][1], data, 0);
    if (fcntl(pipes[0][0], F_SETFL, O_NONBLOCK) == -1)
        err(1, "fcntl");
    ends("O_NONBLOCK, and nothing there", LIO_READ, pipes[0][0], data, 0);
    ends("a full disk", LIO_WRITE, open("/dev/full", O_WRONLY), data, 0);
    fflush(stdout);
    if (getrlimit(RLIMIT_FSIZE, &before) == -1)
        err(1, "getrlimit");
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 0, before.rlim_max });
    ends("over the size limit", LIO_WRITE, file, data, 0);
    setrlimit(RLIMIT_FSIZE, &before); /* stdout may be a file */
}

/* What aio_suspend() is given that it cannot take. */
static void suspend_nr(void)
{
    const struct aiocb *const list[1] = { NULL };

    answer("nent -1", aio_suspend(list, -1, &limit));
}

/* A time-out with more nanoseconds than a second has. */
static void suspend_odd_time(void)
{
    static struct aiocb aiocb;
    const struct aiocb *const list[1] = { &aiocb };
    char letter;
    int fds[2];

    make_pipe(fds);
    start_read(&aiocb, fds[0], &letter);
    answer("aio_suspend", aio_suspend(list, 1, &(struct timespec){ 0, 2e9 }));
}

/* Of twenty waits of 5 ms, how many are shorter? */
static void suspend_early(void)
{
    static struct aiocb aiocb;
    const struct aiocb *const list[1] = { &aiocb };
    const struct timespec timeout = { 0, 5000000 };
    struct timespec a, b;
    int early = 0, fds[2];
    char letter;

    make_pipe(fds);
    start_read(&aiocb, fds[0], &letter);
    for (int i = 0; i < 20; i++) {
        clock_gettime(CLOCK_MONOTONIC, &a);
        if (aio_suspend(list, 1, &timeout) != -1 || errno != EAGAIN)
            err(1, "aio_suspend");
        clock_gettime(CLOCK_MONOTONIC, &b);
        early += (b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec <
                 timeout.tv_nsec;
    }
    printf("early: %d of 20\n", early);
}

static int write_end, ticks;

static void on_tick(int signo)
{
    (void)signo;
    if (++ticks == 20 && write(write_end, "!", 1) == -1)
        _exit(1);
}

/* A handler runs again and again, and the 20th time it ends the request. */
static void interrupted(int flags, const struct timespec *timeout)
{
    static struct aiocb aiocb;
    const struct aiocb *const list[1] = { &aiocb };
    const struct itimerval run = { { 0, 5000 }, { 0, 5000 } }, none = { 0 };
    struct sigaction action = { .sa_flags = flags };
    char letter;
    int fds[2], result, error;

    make_pipe(fds);
    write_end = fds[1];
    ticks = 0;
    start_read(&aiocb, fds[0], &letter);
    action.sa_handler = on_tick;
    if (sigaction(SIGALRM, &action, NULL) == -1 ||
        setitimer(ITIMER_REAL, &run, NULL) == -1)
        err(1, "setitimer");
    result = aio_suspend(list, 1, timeout);
    error = errno;
    while (ticks < 20)
        pause();
    if (setitimer(ITIMER_REAL, &none, NULL) == -1)
        err(1, "setitimer");
    wait_for(&aiocb);
    errno = error;
    printf("%s, %s: ", flags ? "SA_RESTART" : "no SA_RESTART",
           timeout ? "a time-out" : "no time-out");
    printf("%s\n", result == -1 ? name_of(errno) : "goes on");
}

/* lio_listio() waits while a handler with SA_RESTART runs again and again. */
static void listio_restarted(void)
{
    static struct aiocb aiocb;
    struct aiocb *list[1] = { &aiocb };
    const struct itimerval run = { { 0, 5000 }, { 0, 5000 } }, none = { 0 };
    struct sigaction action = { .sa_flags = SA_RESTART };
    char letter;
    int fds[2], result;

    make_pipe(fds);
    write_end = fds[1];
    prepare(&aiocb, fds[0], &letter, 1);
    aiocb.aio_lio_opcode = LIO_READ;
    action.sa_handler = on_tick;
    if (sigaction(SIGALRM, &action, NULL) == -1 ||
        setitimer(ITIMER_REAL, &run, NULL) == -1)
        err(1, "setitimer");
    result = lio_listio(LIO_WAIT, list, 1, NULL);
    if (setitimer(ITIMER_REAL, &none, NULL) == -1)
        err(1, "setitimer");
    answer("lio_listio", result);
    printf("handlers: %s\n", ticks >= 20 ? "20 or more" : "fewer than 20");
}

/* (musl looks whether there ever was a handler without: those come first.) */
static void suspend_interrupted(void)
{
    interrupted(SA_RESTART, NULL);
    interrupted(SA_RESTART, &limit);
    interrupted(0, NULL);
    interrupted(0, &limit);
}

/* Once more, when there has been a handler without. */
static void suspend_restarted(void)
{
    struct sigaction action = { 0 };

    action.sa_handler = on_tick;
    if (sigaction(SIGUSR1, &action, NULL) == -1)
        err(1, "sigaction");
    interrupted(SA_RESTART, NULL);
    interrupted(SA_RESTART, &limit);
}

static void say_how_it_stands(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec short_limit = { 1, 0 };

    if (aio_error(aiocb) == EINPROGRESS)
        aio_suspend(list, 1, &short_limit);
    printf("%s\n", name_of(aio_error(aiocb)));
}

/* A read is in flight at a fork. The child starts reads of its own. */
static void forked_queue(void)
{
    static struct aiocb parents, same, other;
    char letters[3];
    int fds[2], more[2], status;

    make_pipe(fds);
    make_pipe(more);
    start_read(&parents, fds[0], &letters[0]);
    fflush(stdout);
    switch (fork()) {
    case -1:
        err(1, "fork");
    case 0:
        if (write(fds[1], "ab", 2) != 2 || write(more[1], "c", 1) != 1)
            err(1, "write");
        start_read(&same, fds[0], &letters[1]);
        printf("in the child, the same descriptor: ");
        say_how_it_stands(&same);
        start_read(&other, more[0], &letters[2]);
        printf("in the child, another one: ");
        say_how_it_stands(&other);
        fflush(stdout);
        _exit(0);
    }
    if (wait(&status) == -1 || status != 0)
        errx(1, "child: status %d", status);
    wait_for(&parents);
}

/* aio_lio_opcode is for lists: which call it is says what is to be done. */
static void opcode(void)
{
    static struct aiocb aiocb;
    char text[] = "hello", got[6] = "";
    int fd = scratch_file();

    prepare(&aiocb, fd, text, 5);
    aiocb.aio_lio_opcode = LIO_NOP;
    answer("aio_write", aio_write(&aiocb));
    wait_for(&aiocb);
    printf("aio_lio_opcode: %s\n",
           aiocb.aio_lio_opcode == LIO_NOP ? "as before" : "another");
    prepare(&aiocb, fd, got, 5);
    aiocb.aio_lio_opcode = LIO_WRITE;
    answer("aio_read", aio_read(&aiocb));
    wait_for(&aiocb);
    printf("got: %s\n", got);
}

/* Twenty-six writes at once to a file with O_APPEND: in which order? */
static void append_order(void)
{
    static struct aiocb aiocbs[26];
    char letters[] = "abcdefghijklmnopqrstuvwxyz", got[27] = "";
    int fd = scratch_file();

    if (fcntl(fd, F_SETFL, O_APPEND) == -1)
        err(1, "fcntl");
    for (int i = 0; i < 26; i++)
        start_write(&aiocbs[i], fd, &letters[i], 1);
    for (int i = 0; i < 26; i++)
        wait_for(&aiocbs[i]);
    if (pread(fd, got, 26, 0) == -1)
        err(1, "pread");
    printf("%s\n", got);
}

/* The end of the program while a read waits. */
static void exit_pending(void)
{
    static struct aiocb aiocb;
    char letter;
    int fds[2];

    make_pipe(fds);
    start_read(&aiocb, fds[0], &letter);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
}

static pthread_t main_thread;
static volatile sig_atomic_t in_main, elsewhere;

static void note_thread(int signo)
{
    (void)signo;
    if (pthread_equal(pthread_self(), main_thread))
        in_main = 1;
    else
        elsewhere = 1;
}

static void *do_nothing(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

/* Main blocks the signal, and an idle thread does not: who runs the handler? */
static void signal_elsewhere(void)
{
    const struct timespec nap = { 0, 10000000 };
    static struct aiocb aiocb;
    struct sigaction action = { .sa_flags = 0 };
    pthread_t idle;
    char text[] = "hello";
    sigset_t set;

    main_thread = pthread_self();
    errno = pthread_create(&idle, NULL, do_nothing, NULL);
    if (errno != 0)
        err(1, "pthread_create");
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    action.sa_handler = note_thread;
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 ||
        sigaction(SIGRTMIN, &action, NULL) == -1)
        err(1, "sigaction");
    prepare(&aiocb, scratch_file(), text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGRTMIN;
    answer("aio_write", aio_write(&aiocb));
    for (int naps = 0; !elsewhere && !in_main && naps < 1000; naps++)
        nanosleep(&nap, NULL);
    printf("the handler ran in %s\n", elsewhere ? "another thread"
                                      : in_main ? "main's"
                                                : "none");
}

static void stay(union sigval value)
{
    (void)value;
    sem_post(&ran);
    pause();
}

/* SIGTERM is blocked in main, and comes while a callback runs. */
static void callback_kills(void)
{
    static struct aiocb aiocb;
    char text[] = "hello";
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1 || sem_init(&ran, 0, 0) == -1)
        err(1, "sigprocmask");
    prepare(&aiocb, scratch_file(), text, 5);
    aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    aiocb.aio_sigevent.sigev_notify_function = stay;
    answer("aio_write", aio_write(&aiocb));
    fflush(stdout);
    while (sem_wait(&ran) == -1)
        continue;
    kill(getpid(), SIGTERM);
    nanosleep(&(struct timespec){ 0, 200000000 }, NULL);
    printf("still there\n");
}

/* When the request is over there is no room for another thread's stack. */
static void callback_lost(void)
{
    static struct aiocb aiocb;
    long pages = 0;
    char letter;
    int fds[2];
    FILE *file;

    make_pipe(fds);
    if (sem_init(&go, 0, 1) == -1 || sem_init(&ran, 0, 0) == -1)
        err(1, "sem_init");
    prepare(&aiocb, fds[0], &letter, 1);
    aiocb.aio_sigevent.sigev_notify = SIGEV_THREAD;
    aiocb.aio_sigevent.sigev_notify_function = on_completion;
    answer("aio_read", aio_read(&aiocb));
    file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        err(1, "statm");
    fclose(file);
    rlim_t most = pages * sysconf(_SC_PAGESIZE) + (1 << 20);
    if (setrlimit(RLIMIT_AS, &(struct rlimit){ most, most }) == -1)
        err(1, "setrlimit");
    write_byte(fds[1]);
    wait_for(&aiocb);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
    for (int naps = 0; naps < 30; naps++)
        nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
    printf("callback: %s\n", sem_trywait(&ran) == 0 ? "came" : "none");
}

static struct aiocb asked;
static volatile long times; /* that main's thread has got an answer */

static void ask(int signo)
{
    (void)signo;
    aio_error(&asked);
}

/* Two seconds without an answer, and the process sleeps: that is for ever. */
static void *look_for_hang(void *unused)
{
    struct timespec a, b;
    long before;

    do {
        before = times;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
        sleep(2);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    } while (times != before || b.tv_sec - a.tv_sec > 1);
    printf("hangs\n");
    exit(EXIT_SUCCESS);
    return unused;
}

/*
 * aio_error() takes a lock on glibc: what if a handler interrupts it there?
 * That may take a while to happen: glibc has half a minute, others a second.
 */
static void handler_asks(void)
{
    const struct itimerval often = { { 0, 50 }, { 0, 50 } };
    struct sigaction action = { .sa_flags = SA_RESTART };
    time_t end = time(NULL) + 2;
    pthread_t thread;
    sigset_t set;

#ifdef __GLIBC__
    end += 28;
#endif
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, look_for_hang, NULL) != 0)
        err(1, "pthread_create");
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    action.sa_handler = ask;
    if (sigaction(SIGALRM, &action, NULL) == -1 ||
        setitimer(ITIMER_REAL, &often, NULL) == -1)
        err(1, "setitimer");
    for (; time(NULL) < end; times++)
        aio_error(&asked);
    setitimer(ITIMER_REAL, &(struct itimerval){ 0 }, NULL);
    printf("does not hang\n");
}

static const struct question questions[] = {
    Q(reqprio),
    Q(error_is_returned),
    Q(return_twice),
    Q(zeroed_sigevent),
    Q(signals_queue),
    Q(suspend_before_callback),
    Q(signal_lost),
    Q(append),
    Q(return_errno),
    Q(callback_mask),
    Q(callback_attributes),
    Q(zeroed),
    Q(errors),
    Q(suspend_nr),
    Q(suspend_odd_time),
    Q(suspend_early),
    Q(suspend_interrupted),
    Q(listio_restarted),
    Q(opcode),
    Q(append_order),
    Q(exit_pending),
    Q(signal_elsewhere),
    Q(callback_kills),
    Q(callback_lost),
    Q(handler_asks),
    Q(ordinary_signal),
    Q(forked_queue),
    Q(suspend_restarted),
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return answer_one(argc, argv, questions);
}
