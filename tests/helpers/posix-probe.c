/*
 * posix-probe.c - one question to the C library's POSIX AIO
 *
 * What it does with lists, cancellation, syncs and queues, in cases that no
 * program of the course shows. Signals, callbacks and aio_suspend():
 * posix-signals.c.
 *
 * Build:  cc -o posix-probe posix-probe.c (glibc before 2.34: -lrt -pthread)
 * Usage:  ./posix-probe QUESTION
 */
#include "posix-probe.h"

static void library(void)
{
#ifdef __GLIBC__
    puts("glibc");
#else
    puts("musl");
#endif
}

/* A descriptor that is none: when is that said? */
static void bad_fd(void)
{
    static struct aiocb aiocb;
    static char letter;

    prepare(&aiocb, -1, &letter, 1);
    answer("aio_read", aio_read(&aiocb));
    wait_for(&aiocb);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
    answer("aio_return", aio_return(&aiocb) == -1 ? 0 : 1);
}

static void fsync_bad_fd(void)
{
    static struct aiocb aiocb;

    prepare(&aiocb, -1, NULL, 0);
    answer("aio_fsync", aio_fsync(O_SYNC, &aiocb));
}

/* A number that no open file has. */
static void cancel_bad_fd(void)
{
    const char *answers[] = { [AIO_CANCELED] = "AIO_CANCELED",
                              [AIO_NOTCANCELED] = "AIO_NOTCANCELED",
                              [AIO_ALLDONE] = "AIO_ALLDONE" };

    for (int i = 0; i < 2; i++) {
        int result = aio_cancel(i == 0 ? -1 : 900, NULL);

        puts(result == -1 ? name_of(errno) : answers[result]);
    }
}

/* A write is running, another one is queued, with a priority if there is one;
 * then a sync. When only the first has ended, is the sync done? */
static void sync_behind(int priority)
{
    static char much[1 << 20], some[1 << 20], sink[1 << 20];
    static struct aiocb running, queued, syncing;
    struct timespec limit = { 0, 100000000 }; /* 100 ms */
    const struct aiocb *const list[1] = { &syncing };
    int ends[2];

#ifdef __GLIBC__
    if (priority > 0)
        limit.tv_sec = 10; /* it will be done */
#endif
    if (pipe(ends) == -1)
        err(1, "pipe");
    prepare(&running, ends[1], much, sizeof(much));
    prepare(&queued, ends[1], some, sizeof(some));
    prepare(&syncing, ends[1], NULL, 0);
    queued.aio_reqprio = priority;
    if (aio_write(&running) == -1 || aio_write(&queued) == -1 ||
        aio_fsync(O_SYNC, &syncing) == -1)
        err(1, "aio_write or aio_fsync");
    for (size_t got = 0; got < sizeof(much);) {
        ssize_t n = read(ends[0], sink, sizeof(sink) - got);

        if (n == -1)
            err(1, "read");
        got += n;
    }
    wait_for(&running);
    aio_suspend(list, 1, &limit);
    printf("write: %s, sync: %s\n", name_of(aio_error(&queued)),
           aio_error(&syncing) == EINPROGRESS ? "waits" : "done");
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* what is in flight stays so */
}

static void sync_order(void)
{
    sync_behind(0);
}

static void sync_overtakes(void)
{
    sync_behind(5);
}

/* Reads from as many empty pipes: how many threads? */
static void threads_for(int requests)
{
    static struct aiocb aiocbs[32];
    static char letters[32];
    int ends[32][2], before = count_threads();

    for (int i = 0; i < requests; i++) {
        make_pipe(ends[i]);
        start_read(&aiocbs[i], ends[i][0], &letters[i]);
    }
    printf("%d requests, %d threads\n", requests, count_threads() - before);
    for (int i = 0; i < requests; i++)
        write_byte(ends[i][1]);
    for (int i = 0; i < requests; i++)
        wait_for(&aiocbs[i]);
}

static void pool(void)
{
    threads_for(25);
}

/* aio_init() is glibc's, and counts only before the first request. */
static void pool_of_two(void)
{
#ifdef __GLIBC__
    struct aioinit init = { .aio_threads = 2, .aio_num = 64 };

    aio_init(&init);
    threads_for(5);
    init.aio_threads = 4;
    aio_init(&init);
#endif
    threads_for(5);
}

static void threads_of_list(struct sigevent *event)
{
    static struct aiocb aiocbs[3], *list[3];
    static char letters[3];
    int ends[3][2], before = count_threads();

    for (int i = 0; i < 3; i++) {
        make_pipe(ends[i]);
        prepare(&aiocbs[i], ends[i][0], &letters[i], 1);
        aiocbs[i].aio_lio_opcode = LIO_READ;
        list[i] = &aiocbs[i];
    }
    answer("lio_listio", lio_listio(LIO_NOWAIT, list, 3, event));
    printf("3 requests, %d threads\n", count_threads() - before);
    for (int i = 0; i < 3; i++)
        write_byte(ends[i][1]);
    for (int i = 0; i < 3; i++)
        wait_for(&aiocbs[i]);
}

static void listio_threads(void)
{
    threads_of_list(NULL);
}

/* And one more to wait for them all? Signal 0 is none. */
static void listio_threads_event(void)
{
    static struct sigevent event = { .sigev_notify = SIGEV_SIGNAL };

    threads_of_list(&event);
}

/* The sigevent of a list is changed while its request is in flight. */
static void listio_event(void)
{
    static struct aiocb aiocb, *list[1] = { &aiocb };
    struct sigevent event;
    siginfo_t info;
    sigset_t set;
    static char letter;
    int ends[2];

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    make_pipe(ends);
    prepare(&aiocb, ends[0], &letter, 1);
    aiocb.aio_lio_opcode = LIO_READ;
    memset(&event, 0, sizeof(event));
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGRTMIN;
    event.sigev_value.sival_int = 1;
    answer("lio_listio", lio_listio(LIO_NOWAIT, list, 1, &event));
    event.sigev_value.sival_int = 2;
    write_byte(ends[1]);
    if (sigtimedwait(&set, &info, &limit) == -1)
        err(1, "sigtimedwait");
    printf("signal: value %d\n", info.si_value.sival_int);
}

/* Is there an AIO context while a request is under way? It would be mapped. */
static void maps(void)
{
    static struct aiocb aiocb;
    static char letter;
    char line[512];
    int ends[2], contexts = 0;
    FILE *file;

    make_pipe(ends);
    start_read(&aiocb, ends[0], &letter);
    file = fopen("/proc/self/maps", "r");
    if (file == NULL)
        err(1, "fopen");
    while (fgets(line, sizeof(line), file) != NULL)
        contexts += strstr(line, "[aio]") != NULL;
    fclose(file);
    printf("contexts: %d\n", contexts);
    if (write(ends[1], "x", 1) != 1)
        err(1, "write");
    wait_for(&aiocb);
}

/*
 * A worker without work leaves, after a second or at once. The first count
 * is good only if it was taken within that second.
 */
static void idle(void)
{
    const struct timespec nap = { 0, 10000000 };
    struct timespec done, counted;
    static struct aiocb aiocb;
    char text[] = "hello";
    double seconds;
    int threads;

    start_write(&aiocb, scratch_file(), text, 5);
    clock_gettime(CLOCK_MONOTONIC, &done);
    wait_for(&aiocb);
    threads = count_threads();
    clock_gettime(CLOCK_MONOTONIC, &counted);
    seconds = counted.tv_sec - done.tv_sec +
              (counted.tv_nsec - done.tv_nsec) / 1e9;
    if (seconds < 0.9 && threads != 2)
        printf("it left early: %d threads\n", threads);
    for (int naps = 0; count_threads() > 1 && naps < 1000; naps++)
        nanosleep(&nap, NULL);
    printf("threads in the end: %d\n", count_threads());
}

/* Is the one who waits for a request told that it was taken back? */
static void cancel_notifies(void)
{
    static struct aiocb first, second;
    static char letters[2];
    siginfo_t info;
    sigset_t set;
    int ends[2];

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    make_pipe(ends);
    start_read(&first, ends[0], &letters[0]);
    prepare(&second, ends[0], &letters[1], 1);
    second.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    second.aio_sigevent.sigev_signo = SIGRTMIN;
    second.aio_sigevent.sigev_value.sival_int = 2;
    answer("aio_read", aio_read(&second));
    answer("aio_cancel", aio_cancel(ends[0], &second));
    if (sigtimedwait(&set, &info, &limit) == -1)
        err(1, "sigtimedwait");
    printf("signal: value %d, %s\n", info.si_value.sival_int,
           name_of(aio_error(&second)));
}

/* The descriptor of a read that waits is closed. */
static void close_read(void)
{
    static struct aiocb aiocb;
    static char letter;
    int ends[2];

    make_pipe(ends);
    start_read(&aiocb, ends[0], &letter);
    answer("close", close(ends[0]));
    wait_for(&aiocb);
    printf("aio_error: %s\n", name_of(aio_error(&aiocb)));
}

/*
 * Two writes to one pipe, and its descriptor is closed while the first is
 * under way; then the number is another pipe's. Where does the second go?
 */
static void close_queued(void)
{
    static char much[MUCH], sink[MUCH];
    static struct aiocb first, second;
    char letter = 'w', got = '?';
    int one[2], two[2];
    ssize_t n, drained = 1;

    make_pipe(one);
    make_pipe(two);
    start_write(&first, one[1], much, sizeof(much));
    start_write(&second, one[1], &letter, 1);
    if (read(one[0], &got, 1) != 1) /* now the first is under way */
        err(1, "read");
    if (close(one[1]) == -1)
        err(1, "close");
    if (dup(two[1]) != one[1])
        err(1, "dup");
    while (drained < MUCH && (n = read(one[0], sink, sizeof(sink))) > 0)
        drained += n;
    wait_for(&first);
    wait_for(&second);
    answer("the first", aio_return(&first));
    answer("the second", aio_return(&second));
    if (read(two[0], &got, 1) == 1)
        printf("in the other pipe: '%c'\n", got);
}

/* Takes back a request behind a write to a pipe which is under way, or closes
 * their descriptor. */
static void cancel_second(int op, int closes)
{
    static char much[MUCH];
    static struct aiocb first, second;
    char letter = 'w', got;
    int ends[2];

    make_pipe(ends);
    start_write(&first, ends[1], much, sizeof(much));
    prepare(&second, ends[1], &letter, 1);
    if (op == LIO_WRITE ? aio_write(&second) : aio_fsync(op, &second))
        err(1, "aio_write or aio_fsync");
    if (read(ends[0], &got, 1) != 1) /* now the first is under way */
        err(1, "read");
    printf("both are in flight\n");
    fflush(stdout);
    if (closes)
        answer("close", close(ends[1]));
    else
        answer("aio_cancel", aio_cancel(ends[1], &second));
}

static void cancel_behind_write(void)
{
    cancel_second(LIO_WRITE, 0);
}

static void cancel_fsync(void)
{
    cancel_second(O_SYNC, 0);
}

static void close_behind_write(void)
{
    cancel_second(LIO_WRITE, 1);
}

static void close_fsync(void)
{
    cancel_second(O_SYNC, 1);
}

/* lio_listio(LIO_WAIT) of a read that waits, interrupted. */
__attribute__((noinline)) static void listio_interrupted(struct aiocb *aiocb,
                                                         int fd, char *letter)
{
    struct aiocb *list[1] = { aiocb };

    prepare(aiocb, fd, letter, 1);
    aiocb->aio_lio_opcode = LIO_READ;
    ticking(1);
    answer("lio_listio", lio_listio(LIO_WAIT, list, 1, NULL));
    ticking(0);
}

/* The stack that it has used is another's now, and then the read is done. */
__attribute__((noinline)) static void use_stack(struct aiocb *aiocb, int fd)
{
    volatile char stack[16384];

    for (size_t i = 0; i < sizeof(stack); i++)
        stack[i] = 0x55;
    write_byte(fd);
    wait_for(aiocb);
    stack[0] = 0;
}

static void listio_crash(void)
{
    struct aiocb aiocb;
    char letter;
    int ends[2];

    make_pipe(ends);
    listio_interrupted(&aiocb, ends[0], &letter);
    fflush(stdout);
    use_stack(&aiocb, ends[1]);
    answer("aio_return", aio_return(&aiocb));
}

/* The same while signals are blocked: it cannot be interrupted. */
static void listio_blocked(void)
{
    static struct aiocb aiocb, *list[1] = { &aiocb };
    sigset_t all, old;
    char letter;
    int ends[2];

    make_pipe(ends);
    prepare(&aiocb, ends[0], &letter, 1);
    aiocb.aio_lio_opcode = LIO_READ;
    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, &old) == -1)
        err(1, "sigprocmask");
    if (signal(SIGALRM, on_signal) == SIG_ERR || raise(SIGALRM) != 0)
        err(1, "raise");
    write_byte(ends[1]);
    answer("lio_listio", lio_listio(LIO_WAIT, list, 1, NULL));
    if (sigprocmask(SIG_SETMASK, &old, NULL) == -1)
        err(1, "sigprocmask");
    answer("aio_return", aio_return(&aiocb));
}

/* ---- Tables: each line is a fact ---- */

static const char *answer_of(int result)
{
    return result == AIO_CANCELED      ? "AIO_CANCELED"
           : result == AIO_NOTCANCELED ? "AIO_NOTCANCELED"
           : result == AIO_ALLDONE     ? "AIO_ALLDONE"
                                       : name_of(errno);
}

/* Signals number n to n + 1 after SIGRTMIN will be waited for. */
static void block_signals(sigset_t *set, int n)
{
    sigemptyset(set);
    sigaddset(set, SIGRTMIN + n);
    if (pthread_sigmask(SIG_BLOCK, set, NULL) != 0)
        errx(1, "pthread_sigmask");
}

/* How many of these come, of `most`; and none after these. */
static int count_arrived(const sigset_t *set, int most)
{
    const struct timespec soon = { 0, 50000000 }; /* 50 ms */
    int arrived = 0;

    while (sigtimedwait(set, NULL, arrived < most ? &limit : &soon) != -1)
        arrived++;
    return arrived;
}

enum { OF_LIST = 5 };
static struct aiocb of_list[OF_LIST], *list[OF_LIST];
static char letters[OF_LIST][4];

/* Reads of four bytes each, at the beginning of the file. */
static void prepare_list(int fd, int nr)
{
    for (int i = 0; i < nr; i++) {
        prepare(&of_list[i], fd, letters[i], 4);
        of_list[i].aio_lio_opcode = LIO_READ;
        list[i] = &of_list[i];
    }
}

static void wait_for_list(int nr)
{
    for (int i = 0; i < nr; i++)
        wait_for(&of_list[i]);
}

static void lists(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL };
    sigset_t own, of_all;
    int fd = scratch_file(), result;

    if (write(fd, "aaaabbbbcccc", 12) != 12)
        err(1, "write");
    block_signals(&own, 0);
    block_signals(&of_all, 1);
    event.sigev_signo = SIGRTMIN + 1;

    prepare_list(fd, 3);
    of_list[0].aio_offset = 8;
    of_list[2].aio_offset = 4;
    answer("LIO_READ at 8, 0, 4", lio_listio(LIO_WAIT, list, 3, &event));
    printf("data: %.4s %.4s %.4s\n", letters[0], letters[1], letters[2]);
    printf("LIO_WAIT with a sigevent: %d signals\n", count_arrived(&of_all, 0));

    prepare_list(fd, 2);
    of_list[0].aio_lio_opcode = -1;
    answer("opcode -1 and a read", lio_listio(LIO_WAIT, list, 2, NULL));
    printf("opcode -1: aio_error %s\n", name_of(aio_error(&of_list[0])));
    printf("the read: aio_error %s\n", name_of(aio_error(&of_list[1])));

    answer("mode 77", lio_listio(77, list, 0, NULL));
    answer("-1 entries", lio_listio(LIO_WAIT, list, -1, NULL));
    answer("no entries", lio_listio(LIO_WAIT, list, 0, NULL));

    for (int i = 0; i < 3; i++) {
        prepare_list(fd, 2);
        of_list[0].aio_reqprio = 21;
        answer(i == 0   ? "alone, aio_reqprio 21"
               : i == 1 ? "with another, LIO_WAIT"
                        : "with another, LIO_NOWAIT",
               lio_listio(i == 2 ? LIO_NOWAIT : LIO_WAIT, list, i == 0 ? 1 : 2,
                          NULL));
        wait_for_list(2);
    }

    /* What failed before is told to do nothing. */
    prepare_list(open("probe-file", O_WRONLY), 1);
    lio_listio(LIO_WAIT, list, 1, NULL);
    of_list[0].aio_lio_opcode = LIO_NOP;
    answer("LIO_NOP that failed before", lio_listio(LIO_WAIT, list, 1, NULL));

    prepare_list(fd, OF_LIST);
    of_list[3].aio_fildes = open("probe-file", O_WRONLY);
    for (int i = 0; i < OF_LIST; i++) {
        of_list[i].aio_sigevent.sigev_notify = SIGEV_SIGNAL;
        of_list[i].aio_sigevent.sigev_signo = SIGRTMIN;
    }
    result = lio_listio(LIO_NOWAIT, list, OF_LIST, &event);
    answer("LIO_NOWAIT, one of five fails", result);
    printf("its signals: %d of requests", count_arrived(&own, OF_LIST));
    printf(", %d of the list\n", count_arrived(&of_all, 1));
    wait_for_list(OF_LIST);
    printf("the one that failed: %s\n", name_of(aio_error(&of_list[3])));

    prepare_list(fd, 3);
    of_list[1].aio_fildes = -1;
    result = lio_listio(LIO_NOWAIT, list, 3, &event);
    answer("LIO_NOWAIT, one has no descriptor", result);
    printf("of the list: %d signals\n", count_arrived(&of_all, result == 0));
    wait_for_list(3);
    printf("the one behind it: %zd bytes\n", aio_return(&of_list[2]));
}

/* Callbacks: of a list, and of a request whose list is waited for. */
static void list_callbacks(void)
{
    struct timespec until;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD,
                              .sigev_notify_function = on_completion };
    int fd = scratch_file();

    if (sem_init(&go, 0, 0) == -1 || sem_init(&ran, 0, 0) == -1)
        err(1, "sem_init");
    prepare_list(fd, 3);
    of_list[1].aio_sigevent = event;
    answer("LIO_WAIT", lio_listio(LIO_WAIT, list, 3, NULL));
    printf("a callback of its requests: %s\n",
           sem_trywait(&ran) == 0 ? "over" : "not over");
    sem_post(&go);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += limit.tv_sec;
    answer("then", sem_timedwait(&ran, &until));

    prepare_list(fd, 3);
    sem_post(&go);
    answer("LIO_NOWAIT, SIGEV_THREAD", lio_listio(LIO_NOWAIT, list, 3, &event));
    answer("callback of the list", sem_timedwait(&ran, &until));
}

/* The signal of a list cannot be queued. */
static void list_lost(void)
{
    const struct rlimit none = { 0, 0 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL };
    sigset_t set;
    int fd = scratch_file();

    block_signals(&set, 0);
    event.sigev_signo = SIGRTMIN;
    if (setrlimit(RLIMIT_SIGPENDING, &none) == -1)
        err(1, "setrlimit");
    prepare_list(fd, 3);
    answer("LIO_NOWAIT", lio_listio(LIO_NOWAIT, list, 3, &event));
    wait_for_list(3);
    printf("its requests: %s %s %s\n", name_of(aio_error(&of_list[0])),
           name_of(aio_error(&of_list[1])), name_of(aio_error(&of_list[2])));
    printf("its signal: %s\n", count_arrived(&set, 0) ? "there" : "lost");
}

/* No user but root may have threads here. */
static void no_threads(void)
{
    const struct rlimit none = { 0, 0 };
    int fd = scratch_file();

    if (setrlimit(RLIMIT_NPROC, &none) == -1)
        err(1, "setrlimit");
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) == -1)
        err(1, "setresuid");
    prepare_list(fd, 2);
    answer("aio_read", aio_read(&of_list[0]));
    answer("aio_fsync", aio_fsync(O_SYNC, &of_list[1]));
    prepare_list(fd, 2);
    answer("LIO_WAIT", lio_listio(LIO_WAIT, list, 2, NULL));
    answer("LIO_NOWAIT", lio_listio(LIO_NOWAIT, list, 2, NULL));
}

static void cancels(void)
{
    static struct aiocb never, writing, running, copy, kept;
    static char much[MUCH], sink[MUCH];
    ssize_t n, drained = 1;
    int fd = scratch_file(), ends[2], others[2], result;

    printf("a descriptor without requests: %s\n",
           answer_of(aio_cancel(fd, NULL)));
    never.aio_fildes = fd;
    printf("a request never submitted: %s\n",
           answer_of(aio_cancel(fd, &never)));
    make_pipe(ends);
    make_pipe(others);
    start_write(&writing, ends[1], much, sizeof(much));
    if (read(ends[0], sink, 1) != 1) /* now it is under way */
        err(1, "read");
    printf("not its descriptor: %s\n", answer_of(aio_cancel(fd, &writing)));
    copy = writing;
    printf("a copy of a request: %s\n", answer_of(aio_cancel(ends[1], &copy)));
    if (dup2(others[1], ends[1]) == -1)
        err(1, "dup2");
    printf("dup2() over its descriptor: %s\n", name_of(aio_error(&writing)));
    while (drained < MUCH && (n = read(ends[0], sink, MUCH)) > 0)
        drained += n;
    wait_for(&writing);
    printf("the pipe is read: %s\n", name_of(aio_error(&writing)));

    start_write(&running, others[1], much, sizeof(much));
    if (read(others[0], sink, 1) != 1)
        err(1, "read");
    kept = running;
    result = aio_cancel(others[1], &running);
    printf("running: %s\n", answer_of(result));
    if (result != AIO_NOTCANCELED)
        wait_for(&running); /* musl answers a little early */
    printf("it wrote: %s\n", aio_error(&running) == EINPROGRESS ? "it goes on"
                             : aio_return(&running) < MUCH      ? "a part"
                                                                : "all");
    printf("its fields: %s\n",
           running.aio_fildes == kept.aio_fildes &&
                   running.aio_buf == kept.aio_buf &&
                   running.aio_nbytes == kept.aio_nbytes &&
                   running.aio_offset == kept.aio_offset &&
                   running.aio_reqprio == kept.aio_reqprio &&
                   running.aio_lio_opcode == kept.aio_lio_opcode &&
                   !memcmp(&running.aio_sigevent, &kept.aio_sigevent,
                           sizeof(kept.aio_sigevent))
               ? "the same"
               : "changed");
    _exit(fflush(stdout) != 0); /* it may be in flight */
}

static void sync_one(const char *what, int op, int fd, int rubbish)
{
    static struct aiocb aiocb;
    int result;

    prepare(&aiocb, fd, rubbish ? (void *)&aiocb : NULL, rubbish);
    aiocb.aio_offset = -rubbish;
    aiocb.aio_reqprio = rubbish;
    result = aio_fsync(op, &aiocb);
    if (result == -1) {
        answer(what, result);
        return;
    }
    wait_for(&aiocb);
    printf("%s: aio_error %s, aio_return %d\n", what,
           name_of(aio_error(&aiocb)), (int)aio_return(&aiocb));
}

static void syncs(void)
{
    int fd = scratch_file();

    sync_one("O_DSYNC", O_DSYNC, fd, 0);
    sync_one("O_SYNC", O_SYNC, fd, 0);
    sync_one("buffer, length, offset and priority of 12345", O_SYNC, fd, 12345);
    sync_one("a file open for reading", O_SYNC, open("probe-file", O_RDONLY),
             0);
    sync_one("a folder", O_SYNC, open(".", O_RDONLY | O_DIRECTORY), 0);
    sync_one("/dev/null", O_SYNC, open("/dev/null", O_WRONLY), 0);
    sync_one("neither O_DSYNC nor O_SYNC", 0, fd, 0);
}

static void limits(void)
{
    printf("_SC_AIO_MAX: %ld\n", sysconf(_SC_AIO_MAX));
    printf("_SC_AIO_LISTIO_MAX: %ld\n", sysconf(_SC_AIO_LISTIO_MAX));
    printf("_SC_AIO_PRIO_DELTA_MAX: %ld\n", sysconf(_SC_AIO_PRIO_DELTA_MAX));
    printf("_SC_ASYNCHRONOUS_IO: %s\n",
           sysconf(_SC_ASYNCHRONOUS_IO) > 0 ? "above 0" : "not above 0");
}

/* A request in flight is copied, and the copy asked. */
static void copied(void)
{
    const struct timespec soon = { 0, 50000000 }; /* 50 ms */
    static struct aiocb reading, copy;
    const struct aiocb *const of_copy[1] = { &copy };
    static char letter;
    int ends[2];

    make_pipe(ends);
    start_read(&reading, ends[0], &letter);
    copy = reading;
    write_byte(ends[1]);
    wait_for(&reading);
    printf("the request: %s\n", name_of(aio_error(&reading)));
    printf("a copy made before: %s\n", name_of(aio_error(&copy)));
    answer("aio_suspend of the copy", aio_suspend(of_copy, 1, &soon));
}

enum { POOL = 20 };
static struct aiocb waiting[POOL];
static int of_waiting[POOL][2];

/* As many reads of empty pipes as glibc has threads. */
static void fill_pool(void)
{
    static char letter[POOL];

    for (int i = 0; i < POOL; i++) {
        make_pipe(of_waiting[i]);
        start_read(&waiting[i], of_waiting[i][0], &letter[i]);
    }
}

static void end_soon(const char *what, const struct aiocb *aiocb)
{
    const struct timespec soon = { 0, 200000000 }; /* 200 ms */
    const struct aiocb *const of_one[1] = { aiocb };

    aio_suspend(of_one, 1, &soon);
    printf("%s: %s\n", what, name_of(aio_error(aiocb)));
}

static void full_pool(void)
{
    static struct aiocb writing;
    char text[] = "hello";

    fill_pool();
    start_write(&writing, scratch_file(), text, 5);
    end_soon("behind 20 reads of pipes, a write to a file", &writing);
    write_byte(of_waiting[7][1]);
    wait_for(&writing);
    printf("one of the reads is over: %s\n", name_of(aio_error(&writing)));
    _exit(fflush(stdout) != 0); /* 19 are in flight */
}

/* The first in a queue that waits for a thread is taken back. */
static void orphans(void)
{
    static struct aiocb first, second;
    char text[] = "hello";
    int fd = scratch_file();

    fill_pool();
    start_write(&first, fd, text, 5);
    start_write(&second, fd, text, 5);
    printf("the first of two: %s\n", answer_of(aio_cancel(fd, &first)));
    for (int i = 0; i < POOL; i++)
        write_byte(of_waiting[i][1]);
    for (int i = 0; i < POOL; i++)
        wait_for(&waiting[i]);
    end_soon("all threads are idle, the second", &second);
    _exit(fflush(stdout) != 0);
}

#ifdef __GLIBC__
/* What it costs to queue up so many for one descriptor. */
static double queueing(int requests)
{
    struct aiocb *aiocbs = calloc(requests, sizeof(*aiocbs));
    struct timespec begin, end;
    static char letter;
    int ends[2];

    if (!aiocbs)
        err(1, "calloc");
    make_pipe(ends);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
    for (int i = 0; i < requests; i++)
        start_read(&aiocbs[i], ends[0], &letter);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
}

static void long_queue(void)
{
    double few = queueing(3000), many = queueing(12000);

    printf("four times as many: %s times the work\n",
           many > 8 * few ? "more than eight" : "up to eight");
    _exit(fflush(stdout) != 0); /* all are in flight */
}
#else
static void long_queue(void)
{
    puts("a thread for each");
}
#endif

static const struct question questions[] = {
    Q(lists),
    Q(list_callbacks),
    Q(list_lost),
    Q(no_threads),
    Q(cancels),
    Q(syncs),
    Q(limits),
    Q(copied),
    Q(full_pool),
    Q(orphans),
    Q(long_queue),
    Q(cancel_bad_fd),
    Q(sync_order),
    Q(sync_overtakes),
    Q(library),
    Q(bad_fd),
    Q(fsync_bad_fd),
    Q(pool),
    Q(pool_of_two),
    Q(listio_threads),
    Q(listio_threads_event),
    Q(listio_event),
    Q(idle),
    Q(cancel_notifies),
    Q(close_read),
    Q(close_queued),
    Q(cancel_behind_write),
    Q(cancel_fsync),
    Q(close_behind_write),
    Q(close_fsync),
    Q(listio_crash),
    Q(listio_blocked),
    Q(maps),
    { NULL, NULL },
};

int main(int argc, char **argv)
{
    return answer_one(argc, argv, questions);
}
