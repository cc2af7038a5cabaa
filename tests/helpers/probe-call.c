/*
 * probe-call.c - one question to the kernel, and what the call says
 *
 * What io_setup, io_destroy, io_submit, io_getevents and io_pgetevents do in
 * each case, right or wrong. Each question is a function below, named as on
 * the command line; answers are lines such as
 *
 *     3                the call returned this
 *     EINVAL           the call returned -1, and errno is this
 *     res EFAULT       the request was taken, and the event's res is -EFAULT
 *
 * Files that it needs are made in the current folder.
 *
 * Build:  cc -pthread -o probe-call probe-call.c
 * Usage:  ./probe-call QUESTION
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/time_types.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREADX 4 /* in the headers as a comment only */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* ---- Helpers ---- */

static int io_setup(unsigned nr_events, aio_context_t *ctxp)
{
    return syscall(SYS_io_setup, nr_events, ctxp);
}

static int io_destroy(aio_context_t ctx)
{
    return syscall(SYS_io_destroy, ctx);
}

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

/* The last parameter of io_pgetevents; no header declares it. */
struct aio_sigset {
    const void *sigmask;
    size_t sigsetsize;
};

static int io_pgetevents(aio_context_t ctx, long min_nr, long nr,
                         struct io_event *events,
                         struct __kernel_old_timespec *timeout,
                         const struct aio_sigset *sigset)
{
    return syscall(SYS_io_pgetevents, ctx, min_nr, nr, events, timeout, sigset);
}

/* strerrorname_np() is not everywhere. */
static const struct {
    int number;
    const char *name;
} errors[] = {
/* clang-format off */
#define E(error) { error, #error }
    E(EAGAIN), E(EBADF), E(EFAULT), E(EFBIG), E(EINTR), E(EINVAL), E(ENOMEM),
    E(ENOSPC), E(ENOSYS), E(EOPNOTSUPP), E(EPERM),
    /* clang-format on */
};

static const char *name_of(int error)
{
    static char number[16];

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == error)
            return errors[i].name;
    snprintf(number, sizeof(number), "errno %d", error);
    return number;
}

/* Prints what a call returned. */
static void answer(long result)
{
    if (result == -1)
        puts(name_of(errno));
    else
        printf("%ld\n", result);
}

static aio_context_t context(unsigned nr_events)
{
    aio_context_t ctx = 0;

    if (io_setup(nr_events, &ctx) == -1)
        err(1, "io_setup");
    return ctx;
}

/* The context that most questions use. */
static aio_context_t the_context(void)
{
    static aio_context_t ctx;

    if (ctx == 0)
        ctx = context(8);
    return ctx;
}

/* An address that nothing is mapped at, and memory that is only read. */
static void *map(int protection)
{
    void *page = mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);

    if (page == MAP_FAILED)
        err(1, "mmap");
    return page;
}

static void *bad_address(void)
{
    return map(PROT_NONE);
}

/* A file that holds `text`, opened with `flags`. */
static int file(const char *text, int flags)
{
    int fd = open("call.file", O_WRONLY | O_CREAT | O_TRUNC, 0666);

    if (fd == -1)
        err(1, "open");
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        err(1, "write");
    close(fd);
    fd = open("call.file", flags);
    if (fd == -1)
        err(1, "open");
    return fd;
}

/* The reading end of a pipe, and the writing end. */
static int empty_pipe(int *write_end)
{
    int ends[2];

    if (pipe(ends) == -1)
        err(1, "pipe");
    if (write_end != NULL)
        *write_end = ends[1];
    return ends[0];
}

static struct iocb request(int opcode, int fd, const void *data, size_t size)
{
    struct iocb iocb;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = opcode;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = size;
    return iocb;
}

/* "Tell when this can be read": pending on an empty pipe. */
static struct iocb poll_request(int fd)
{
    struct iocb iocb = request(IOCB_CMD_POLL, fd, NULL, 0);

    iocb.aio_buf = POLLIN;
    return iocb;
}

/* Done at once, for an empty pipe can be written to. */
static struct iocb done_request(void)
{
    struct iocb iocb;
    int write_end;

    empty_pipe(&write_end);
    iocb = poll_request(write_end);
    iocb.aio_buf = POLLOUT;
    return iocb;
}

static int submit(aio_context_t ctx, struct iocb *iocb)
{
    return io_submit(ctx, 1, &iocb);
}

static void must_submit(aio_context_t ctx, struct iocb iocb)
{
    if (submit(ctx, &iocb) != 1)
        err(1, "io_submit");
}

static void print_event(const struct io_event *event)
{
    if (event->res < 0)
        printf("res %s\n", name_of(-event->res));
    else
        printf("res %lld\n", (long long)event->res);
    if (event->res2 != 0)
        printf("res2 %lld\n", (long long)event->res2);
}

/* Waits for one event, and prints it. */
static void print_next(aio_context_t ctx)
{
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;
    int n = io_getevents(ctx, 1, 1, &event, &timeout);

    if (n == 1)
        print_event(&event);
    else
        printf("no event\n");
}

/* Submits a request; prints why it is refused, or its event. */
static void try(struct iocb *iocb)
{
    aio_context_t ctx = the_context();

    if (submit(ctx, iocb) == 1)
        print_next(ctx);
    else
        puts(name_of(errno));
}

static long read_number(const char *path)
{
    FILE *stream = fopen(path, "r");
    long n;

    if (stream == NULL)
        err(1, "open %s", path);
    if (fscanf(stream, "%ld", &n) != 1)
        err(1, "read %s", path);
    fclose(stream);
    return n;
}

static long aio_nr(void)
{
    return read_number("/proc/sys/fs/aio-nr");
}

/*
 * Stays on one CPU. Each CPU has a stock of places in the ring, and so a
 * context that is full on one may not be on another.
 */
static void stay_here(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    if (sched_setaffinity(0, sizeof(set), &set) == -1)
        err(1, "sched_setaffinity");
}

/* Fills the context with pending requests; returns how many it took. */
static long fill(aio_context_t ctx, int fd)
{
    struct iocb iocb = poll_request(fd);
    long taken = 0;

    while (submit(ctx, &iocb) == 1)
        taken++;
    if (errno != EAGAIN)
        err(1, "io_submit");
    return taken;
}

/* Interrupts again and again, until it is switched off. */
static volatile sig_atomic_t signals;

static void on_alarm(int sig)
{
    (void)sig;
    signals = signals + 1;
}

static void alarms(int on)
{
    const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    const struct itimerval never = { { 0, 0 }, { 0, 0 } };
    int error = errno;

    signal(SIGALRM, on_alarm);
    if (setitimer(ITIMER_REAL, on ? &often : &never, NULL) == -1)
        err(1, "setitimer");
    errno = error;
}

/* ---- io_setup ---- */

static void setup_bad_address(void)
{
    answer(io_setup(1, bad_address()));
    answer(io_setup(0, bad_address())); /* looked at first */
}

static void setup_not_zero(void)
{
    aio_context_t ctx = 1;

    answer(io_setup(1, &ctx));
    answer(io_setup(5000000, &ctx));
}

static void setup_nothing(void)
{
    aio_context_t ctx = 0;

    answer(io_setup(0, &ctx));
}

/* A number of 32 bits is doubled: from 2147483648 on it begins anew. */
static void setup_too_many(void)
{
    static const unsigned many[] = { 4194305,    2147483647, 2147483648,
                                     2151677952, 2151677953, 4294967295 };

    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        aio_context_t ctx = 0;

        printf("%u: ", many[i]);
        answer(io_setup(many[i], &ctx));
    }
}

/* The ring needs address space. */
static void setup_no_memory(void)
{
    struct rlimit limit = { 1 << 20, 1 << 20 };
    aio_context_t ctx = 0;

    if (setrlimit(RLIMIT_AS, &limit) == -1)
        err(1, "setrlimit");
    answer(io_setup(128, &ctx));
}

/*
 * All that is left, and then one more. Others must not notice: it is tried
 * where they have no context, and lasts some microseconds.
 */
static void setup_takes_all(void)
{
    long max = read_number("/proc/sys/fs/aio-max-nr");

    for (int i = 0; i < 200; i++, usleep(5000)) {
        aio_context_t all = 0, one = 0;
        int first, second, error;

        if (aio_nr() != 0)
            continue;
        first = io_setup(max, &all);
        if (first == -1)
            continue;
        second = io_setup(1, &one);
        error = errno;
        if (io_destroy(all) == -1)
            err(1, "io_destroy");
        answer(first);
        errno = error;
        answer(second);
        return;
    }
    puts("others use AIO");
}

/* With one event in use, as many as the limit are one too many. */
static void setup_over_limit(void)
{
    aio_context_t ctx = 0;

    the_context();
    answer(io_setup(read_number("/proc/sys/fs/aio-max-nr"), &ctx));
}

/* The context is made, and then unmade, as its address goes nowhere. */
static void setup_read_only(void)
{
    long more = -1;

    for (int i = 0; i < 50 && more != 0; i++) {
        long before = aio_nr();

        if (io_setup(1000, map(PROT_READ)) != -1 || errno != EFAULT)
            err(1, "io_setup into read-only memory");
        more = aio_nr() - before;
    }
    printf("EFAULT, aio-nr %ld more\n", more);
}

/*
 * How aio-nr changes: with three contexts, when one is destroyed, and when a
 * process ends that has one. Others use AIO meanwhile, all the time where a
 * class does: look at it without a pause, for steps of no usual size.
 */
static void aio_nr_counts(void)
{
    enum { NR = 777 };
    static const char *const ways[] = { "one destroyed", "a process ended",
                                        "a process called exec" };
    long more = 0;

    for (int i = 0; i < 200 && more != 3 * NR; i++) {
        aio_context_t ctx[3];
        long before = aio_nr();

        for (int j = 0; j < 3; j++)
            ctx[j] = context(NR);
        more = aio_nr() - before;
        for (int j = 0; j < 3; j++)
            if (io_destroy(ctx[j]) == -1)
                err(1, "io_destroy");
    }
    printf("three contexts for %d: %ld\n", NR, more);

    for (int way = 0; way < 3; way++) {
        long step = 0;

        for (int i = 0; i < 200 && step != -NR; i++) {
            pid_t pid, ended = 0;
            long now, before;

            pid = fork(); /* it waits until we are looking */
            if (pid == -1)
                err(1, "fork");
            if (pid == 0) {
                aio_context_t ctx = context(NR);

                raise(SIGSTOP);
                if (way == 0 && io_destroy(ctx) == -1)
                    _exit(1);
                if (way == 2)
                    execlp("sleep", "sleep", "2", (char *)NULL);
                _exit(0);
            }
            if (waitpid(pid, NULL, WUNTRACED) == -1)
                err(1, "waitpid");
            before = aio_nr();
            kill(pid, SIGCONT);
            while (step != -NR && ended == 0) {
                ended = waitpid(pid, NULL, WNOHANG);
                now = aio_nr();
                step = now - before;
                before = now;
            }
            if (way == 2)
                kill(pid, SIGKILL);
            if (ended == 0 && waitpid(pid, NULL, 0) == -1)
                err(1, "waitpid");
        }
        printf("%s: %ld\n", ways[way], step);
    }
}

/* ---- The ring ---- */

struct ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
    struct io_event events[];
};

static struct ring *ring_of(aio_context_t ctx)
{
    return (struct ring *)(uintptr_t)ctx;
}

/* Is a ring mapped there? */
static int mapped(aio_context_t ctx)
{
    unsigned long start, end;
    char line[256];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");

    if (maps == NULL)
        err(1, "open /proc/self/maps");
    while (fgets(line, sizeof(line), maps) != NULL)
        if (sscanf(line, "%lx-%lx", &start, &end) == 2 && start == ctx &&
            strstr(line, "/[aio]") != NULL)
            found = 1;
    fclose(maps);
    return found;
}

static void ring_header(void)
{
    aio_context_t ctx = context(8);
    struct ring *ring = ring_of(ctx);

    printf("mapped as /[aio]: %s\n", mapped(ctx) ? "yes" : "no");
    printf("head %u, tail %u\n", ring->head, ring->tail);
    printf("magic %x\n", ring->magic);
    printf("compat %u, incompat %u\n", ring->compat_features,
           ring->incompat_features);
    printf("header %u\n", ring->header_length);

    /* An event is in the ring until it is reaped. */
    must_submit(ctx, done_request());
    printf("done: head %u, tail %u, res %lld\n", ring->head, ring->tail,
           (long long)ring->events[0].res);
    print_next(ctx);
    printf("reaped: head %u, tail %u\n", ring->head, ring->tail);
}

/* Does a forked child have its parent's ring? Linux 7.2 leaves it out. */
static void ring_in_child(void)
{
    aio_context_t ctx = context(8);
    pid_t pid = fork();

    if (pid == -1)
        err(1, "fork");
    if (pid == 0) {
        printf("the ring is %s mapped\n", mapped(ctx) ? "still" : "not");
        fflush(stdout);
        _exit(0);
    }
    if (waitpid(pid, NULL, 0) == -1)
        err(1, "waitpid");
}

/* How many CPUs there could be: "0-3,8-11" is 8. */
static long possible_cpus(void)
{
    FILE *stream = fopen("/sys/devices/system/cpu/possible", "r");
    long first, last, cpus = 0;
    int c = ',';

    if (stream == NULL)
        return sysconf(_SC_NPROCESSORS_CONF);
    while (c == ',' && fscanf(stream, "%ld", &first) == 1) {
        last = first;
        c = getc(stream);
        if (c == '-') {
            if (fscanf(stream, "%ld", &last) != 1)
                err(1, "read the possible CPUs");
            c = getc(stream);
        }
        cpus += last - first + 1;
    }
    fclose(stream);
    return cpus;
}

static void ring_size(void)
{
    static const long asked[] = { 1, 8, 32, 128, 512, 2048 };
    long page = sysconf(_SC_PAGESIZE), cpus = possible_cpus();

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        aio_context_t ctx = context(asked[i]);
        long least = asked[i] > 4 * cpus ? asked[i] : 4 * cpus;
        long bytes = 32 + 32 * (2 * least + 2);
        long rounded = (bytes + page - 1) / page * page;

        printf("%ld: %s\n", asked[i],
               (long)(32 + 32 * ring_of(ctx)->nr) == rounded ? "as computed"
                                                             : "another size");
    }
}

/* ---- io_destroy ---- */

static void destroy_bad(void)
{
    static char memory[8192];
    aio_context_t ctx = context(1);

    answer(io_destroy(0));
    answer(io_destroy((uintptr_t)memory));
    answer(io_destroy((uintptr_t)bad_address()));
    answer(io_destroy(-1));
    answer(io_destroy(ctx + 64));
    answer(io_destroy(ctx));
    answer(io_destroy(ctx));
}

static void destroy_pending(void)
{
    aio_context_t ctx = context(4);

    must_submit(ctx, poll_request(empty_pipe(NULL)));
    must_submit(ctx, poll_request(empty_pipe(NULL)));
    answer(io_destroy(ctx));
}

/* Reads in flight when the context is destroyed: their data arrives. */
static void destroy_waits(void)
{
    enum { READS = 16, SIZE = 65536 };
    static struct iocb iocbs[READS];
    struct iocb *list[READS];
    aio_context_t ctx = context(READS);
    char *data;
    int fd, missing = 0;

    data = mmap(NULL, READS * SIZE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data == MAP_FAILED)
        err(1, "mmap");
    fd = file("", O_RDWR);
    memset(data, 'x', SIZE);
    for (int i = 0; i < READS; i++)
        if (pwrite(fd, data, SIZE, (off_t)i * SIZE) != SIZE)
            err(1, "write");
    if (fsync(fd) == -1)
        err(1, "fsync");
    close(fd);
    fd = open("call.file", O_RDONLY | O_DIRECT);
    if (fd == -1) /* not on this filesystem: no matter */
        fd = open("call.file", O_RDONLY);
    if (fd == -1)
        err(1, "open");
    memset(data, 0, SIZE);
    for (int i = 0; i < READS; i++) {
        iocbs[i] = request(IOCB_CMD_PREAD, fd, data + i * SIZE, SIZE);
        iocbs[i].aio_offset = (long long)i * SIZE;
        list[i] = &iocbs[i];
    }
    answer(io_submit(ctx, READS, list));
    answer(io_destroy(ctx));
    for (int i = 0; i < READS; i++)
        missing += data[i * SIZE] != 'x' || data[(i + 1) * SIZE - 1] != 'x';
    printf("missing: %d\n", missing);
}

/* Looks on while a context is destroyed that has requests in flight. */
static int looking, destroyed;

static void *look_on(void *argument)
{
    aio_context_t ctx = *(aio_context_t *)argument;
    unsigned char resident;
    int refused;

    __atomic_store_n(&looking, 1, __ATOMIC_RELEASE);
    while (mincore((void *)(uintptr_t)ctx, 1, &resident) == 0)
        ;
    refused = io_destroy(ctx) == -1 && errno == EINVAL;
    refused &= !__atomic_load_n(&destroyed, __ATOMIC_ACQUIRE);
    return (void *)(intptr_t)refused;
}

/* The ring goes first: io_destroy then waits for POLLs to be canceled. */
static void destroy_unmaps(void)
{
    void *first = NULL;

    for (int i = 0; i < 50 && first == NULL; i++) {
        aio_context_t ctx = context(4);
        pthread_t thread;

        looking = destroyed = 0;
        must_submit(ctx, poll_request(empty_pipe(NULL)));
        if (pthread_create(&thread, NULL, look_on, &ctx) != 0)
            err(1, "pthread_create");
        while (!__atomic_load_n(&looking, __ATOMIC_ACQUIRE))
            sched_yield();
        if (io_destroy(ctx) == -1)
            err(1, "io_destroy");
        __atomic_store_n(&destroyed, 1, __ATOMIC_RELEASE);
        pthread_join(thread, &first);
    }
    printf("unmapped, and unknown to another, before io_destroy returned: %s\n",
           first ? "yes" : "no");
}

/* And aio-nr has fallen by then: a thread looks on, as above. */
static long fell;

static void *look_at_aio_nr(void *argument)
{
    long before = aio_nr();

    (void)argument;
    __atomic_store_n(&looking, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&destroyed, __ATOMIC_ACQUIRE)) {
        long now = aio_nr();

        if (before - now == 777)
            fell += !__atomic_load_n(&destroyed, __ATOMIC_ACQUIRE);
        before = now;
    }
    return NULL;
}

static void destroy_uncharges(void)
{
    for (int i = 0; i < 50 && fell == 0; i++) {
        aio_context_t ctx = context(777);
        pthread_t thread;

        looking = destroyed = 0;
        must_submit(ctx, poll_request(empty_pipe(NULL)));
        if (pthread_create(&thread, NULL, look_at_aio_nr, NULL) != 0)
            err(1, "pthread_create");
        while (!__atomic_load_n(&looking, __ATOMIC_ACQUIRE))
            sched_yield();
        if (io_destroy(ctx) == -1)
            err(1, "io_destroy");
        __atomic_store_n(&destroyed, 1, __ATOMIC_RELEASE);
        pthread_join(thread, NULL);
    }
    printf("aio-nr fell before io_destroy returned: %s\n", fell ? "yes" : "no");
}

static pid_t waiter;

static void *wait_in_thread(void *ctx)
{
    struct __kernel_old_timespec timeout = { 20, 0 };
    struct io_event event;

    __atomic_store_n(&waiter, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    answer(io_getevents(*(aio_context_t *)ctx, 1, 1, &event, &timeout));
    return NULL;
}

/* A thread sleeps in io_getevents when its context goes away. */
static void destroy_wakes(void)
{
    aio_context_t ctx = context(1);
    char path[64], state = '?';
    pthread_t thread;
    pid_t tid;

    if (pthread_create(&thread, NULL, wait_in_thread, &ctx) != 0)
        err(1, "pthread_create");
    while ((tid = __atomic_load_n(&waiter, __ATOMIC_ACQUIRE)) == 0)
        sched_yield();
    snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
    for (int i = 0; i < 5000 && state != 'S'; i++) {
        FILE *stat = fopen(path, "r");

        if (stat == NULL || fscanf(stat, "%*d (%*[^)]) %c", &state) != 1)
            err(1, "read %s", path);
        fclose(stat);
        usleep(1000);
    }
    if (state != 'S')
        err(1, "the thread does not wait");
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    pthread_join(thread, NULL);
}

/* ---- io_submit: the call ---- */

static void submit_bad_context(void)
{
    struct iocb iocb = done_request();
    struct iocb *list[1] = { &iocb };
    aio_context_t ctx = context(1);

    answer(io_submit(0, 1, list));
    answer(io_submit(0, 0, list));
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    answer(io_submit(ctx, 1, list));
}

static void submit_negative(void)
{
    struct iocb iocb = done_request();
    struct iocb *list[1] = { &iocb };

    answer(io_submit(the_context(), -1, list));
}

static void submit_nothing(void)
{
    answer(io_submit(the_context(), 0, NULL));
}

static void submit_bad_list(void)
{
    answer(io_submit(the_context(), 1, bad_address()));
}

static void submit_bad_iocb(void)
{
    struct iocb *list[1] = { bad_address() };

    answer(io_submit(the_context(), 1, list));
}

/*
 * The int -1 where a long is due. The list has one request, and ends where
 * readable memory does: a call for 4294967295 requests takes that one.
 */
static void submit_int(void)
{
    struct iocb iocb = done_request();
    long page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iocb **list = (struct iocb **)(pages + page) - 1;

    if (pages == MAP_FAILED)
        err(1, "mmap");
    if (mprotect(pages + page, page, PROT_NONE) == -1)
        err(1, "mprotect");
    *list = &iocb;
    answer(syscall(SYS_io_submit, the_context(), -1, list));
    answer(syscall(SYS_io_submit, the_context(), -1L, list));
}

static void submit_partial(void)
{
    struct iocb good = done_request(), bad = poll_request(-1);
    struct iocb *list[3] = { &good, &bad, &good };

    answer(io_submit(the_context(), 3, list));
    answer(io_submit(the_context(), 2, list + 1));
    answer(io_submit(the_context(), 1, list + 2));
}

/* What was in the iocb is gone when the event comes. */
static void submit_copies_iocb(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;
    int write_end;
    struct iocb iocb = poll_request(empty_pipe(&write_end));

    iocb.aio_data = 42;
    if (submit(ctx, &iocb) != 1)
        err(1, "io_submit");
    memset(&iocb, 0xff, sizeof(iocb));
    if (write(write_end, "!", 1) != 1)
        err(1, "write");
    if (io_getevents(ctx, 1, 1, &event, &timeout) != 1)
        err(1, "io_getevents");
    printf("data %llu\n", (unsigned long long)event.data);
    printf("obj %s\n", event.obj == (uintptr_t)&iocb ? "the same" : "another");
    printf("POLLIN %s\n",
           event.res > 0 && (event.res & POLLIN) ? "set" : "not set");
}

/* The same for the segments of a read that is in flight. */
static void submit_copies_iovec(void)
{
    enum { BIG = 65536 }; /* what any disk takes */
    aio_context_t ctx = the_context();
    struct iovec iov[2];
    struct iocb iocb;
    char *data;
    int fd;

    if (posix_memalign((void **)&data, BIG, 2 * BIG) != 0)
        err(1, "posix_memalign");
    memset(data, 'x', 2 * BIG);
    fd = file("", O_RDWR);
    if (write(fd, data, 2 * BIG) != 2 * BIG || fsync(fd) == -1)
        err(1, "write");
    close(fd);
    fd = open("call.file", O_RDONLY | O_DIRECT);
    if (fd == -1)
        fd = open("call.file", O_RDONLY);
    memset(data, 0, 2 * BIG);
    iov[0].iov_base = data + BIG;
    iov[0].iov_len = BIG;
    iov[1].iov_base = data;
    iov[1].iov_len = BIG;
    iocb = request(IOCB_CMD_PREADV, fd, iov, 2);
    if (submit(ctx, &iocb) != 1)
        err(1, "io_submit");
    memset(&iocb, 0xff, sizeof(iocb));
    memset(iov, 0xff, sizeof(iov));
    print_next(ctx);
    printf("%c%c\n", data[0], data[2 * BIG - 1]);
}

static int thread_pipe, thread_file;
static char thread_data[4];

static void *submit_in_thread(void *argument)
{
    (void)argument;
    must_submit(the_context(), poll_request(thread_pipe));
    must_submit(the_context(),
                request(IOCB_CMD_PREAD, thread_file, thread_data, 4));
    return NULL;
}

/* A thread submits and ends. Its requests do not end with it. */
static void submit_thread_ends(void)
{
    struct io_event event;
    int write_end;
    pthread_t thread;

    thread_pipe = empty_pipe(&write_end);
    thread_file = file("data", O_RDONLY);
    if (pthread_create(&thread, NULL, submit_in_thread, NULL) != 0)
        err(1, "pthread_create");
    pthread_join(thread, NULL);
    print_next(the_context());
    if (write(write_end, "!", 1) != 1)
        err(1, "write");
    if (io_getevents(the_context(), 1, 1, &event, NULL) != 1)
        err(1, "io_getevents");
    printf("POLLIN %s\n", event.res & POLLIN ? "set" : "not set");
}

/* The second request of a batch is done, the first still waits. */
static void submit_no_order(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;
    struct iocb first,
        second = request(IOCB_CMD_FDSYNC, file("", O_WRONLY), NULL, 0);
    struct iocb *list[2] = { &first, &second };

    first = poll_request(empty_pipe(NULL));
    first.aio_data = 1;
    second.aio_data = 2;
    answer(io_submit(ctx, 2, list));
    if (io_getevents(ctx, 1, 2, &event, &timeout) != 1)
        err(1, "io_getevents");
    printf("done: %llu\n", (unsigned long long)event.data);
}

/* ---- io_submit: each request ---- */

static void iocb_reserved2(void)
{
    struct iocb iocb = done_request();

    iocb.aio_reserved2 = 1;
    try(&iocb);
}

static void iocb_nbytes(void)
{
    static char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY), data, -1);

    try(&iocb);
}

/* Full, all done, one event reaped. */
static void iocb_no_slot(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;
    int write_end, fd = empty_pipe(&write_end);
    struct iocb iocb = poll_request(fd);
    struct ring *ring = ring_of(ctx);
    unsigned taken;

    stay_here();
    taken = fill(ctx, fd);
    answer(submit(ctx, &iocb));
    if (write(write_end, "!", 1) != 1)
        err(1, "write");
    for (int i = 0; i < 5000; i++) {
        if (__atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == taken)
            break;
        usleep(1000);
    }
    answer(submit(ctx, &iocb));
    if (io_getevents(ctx, 1, 1, &event, &timeout) != 1)
        err(1, "io_getevents");
    answer(submit(ctx, &iocb));
}

static void iocb_fd(void)
{
    struct iocb iocb;
    int closed = file("x", O_RDONLY);

    close(closed);
    iocb = poll_request(-1);
    try(&iocb);
    iocb = poll_request(closed);
    try(&iocb);
    iocb = request(IOCB_CMD_NOOP, -1, NULL, 0); /* before the opcode */
    try(&iocb);
}

static void iocb_path(void)
{
    static char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_PATH), data, 1);

    try(&iocb);
}

static void iocb_resfd(void)
{
    struct iocb iocb = done_request();

    iocb.aio_flags = IOCB_FLAG_RESFD;
    iocb.aio_resfd = -1;
    try(&iocb);
    iocb.aio_resfd = empty_pipe(NULL);
    try(&iocb);
    iocb.aio_resfd = eventfd(0, 0);
    try(&iocb);
}

/* The kernel writes aio_key. */
static void iocb_read_only(void)
{
    struct iocb *iocb = map(PROT_READ | PROT_WRITE);

    *iocb = done_request();
    if (mprotect(iocb, 4096, PROT_READ) == -1)
        err(1, "mprotect");
    try(iocb);
}

static void iocb_opcode(void)
{
    static const int opcodes[] = { PREADX, IOCB_CMD_NOOP, 9, 10, 65535 };
    int fd = file("x", O_RDWR);

    for (size_t i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
        struct iocb iocb = request(opcodes[i], fd, NULL, 0);

        try(&iocb);
    }
}

static void iocb_ioprio(void)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct none[2];
    char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY), data, 1);

    iocb.aio_flags = IOCB_FLAG_IOPRIO;
    iocb.aio_reqprio = (short)(7 << 13); /* no such class */
    try(&iocb);
    memset(none, 0, sizeof(none));
    if (syscall(SYS_capset, &header, none) == -1)
        err(1, "capset");
    iocb.aio_reqprio = 1 << 13 | 4; /* real-time */
    try(&iocb);
    iocb.aio_reqprio = 2 << 13 | 4; /* best effort */
    try(&iocb);
}

static void iocb_rw_flags(void)
{
    char data[1] = "y";
    int fd = file("x", O_RDWR);
    struct iocb iocb = request(IOCB_CMD_PREAD, fd, data, 1);

    iocb.aio_rw_flags = 1 << 30;
    try(&iocb);
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    try(&iocb);
    iocb = request(IOCB_CMD_PREAD, open("/proc/version", O_RDONLY), data, 1);
    iocb.aio_rw_flags = RWF_NOWAIT;
    try(&iocb);
}

static void iocb_mode(void)
{
    char data[1] = "y";
    struct iocb iocb;

    iocb = request(IOCB_CMD_PWRITE, file("x", O_RDONLY), data, 1);
    try(&iocb);
    iocb = request(IOCB_CMD_PREAD, file("x", O_WRONLY), data, 1);
    try(&iocb);
}

static void iocb_directory(void)
{
    char data[1];
    int fd = open(".", O_RDONLY);
    struct iocb iocb = request(IOCB_CMD_PREAD, fd, data, 1);

    if (fd == -1)
        err(1, "open");
    try(&iocb);
    iocb = request(IOCB_CMD_FSYNC, fd, NULL, 0);
    try(&iocb);
}

static void iocb_device(void)
{
    struct iocb iocb = request(IOCB_CMD_PWRITE, open("/dev/full", O_WRONLY),
                               "x", 1);

    try(&iocb);
}

/* A file of /proc that can only be read by read(). */
static void iocb_no_async_read(void)
{
    char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, open("/proc/self/mem", O_RDONLY),
                               data, 1);

    try(&iocb);
}

static void iocb_iovec(void)
{
    static struct iovec iov[1025];
    static char data[1];
    int fd = file("x", O_RDONLY);
    struct iocb iocb = request(IOCB_CMD_PREADV, fd, bad_address(), 1);

    try(&iocb);

    for (int i = 0; i < 1025; i++) {
        iov[i].iov_base = data;
        iov[i].iov_len = 1;
    }
    iocb = request(IOCB_CMD_PREADV, fd, iov, 1024);
    try(&iocb);
    iocb = request(IOCB_CMD_PREADV, fd, iov, 1025);
    try(&iocb);
    iocb = request(IOCB_CMD_PREADV, fd, iov, 0);
    try(&iocb);
    iov[0].iov_len = -1;
    iocb = request(IOCB_CMD_PREADV, fd, iov, 1);
    try(&iocb);
}

static void iocb_offset(void)
{
    char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY), data, 1);

    iocb.aio_offset = -1;
    try(&iocb);
}

/* The last byte would be behind the last possible one. */
static void iocb_overflow(void)
{
    char data[2] = "y";
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDWR), data, 2);

    iocb.aio_offset = INT64_MAX - 1;
    try(&iocb);
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    try(&iocb);
}

static void iocb_fsync(void)
{
    int fd = file("x", O_RDWR), write_end;
    struct iocb iocb;

    for (int opcode = IOCB_CMD_FSYNC; opcode <= IOCB_CMD_FDSYNC; opcode++) {
        iocb = request(opcode, fd, NULL, 0);
        try(&iocb);
        iocb = request(opcode, fd, &iocb, 0);
        try(&iocb);
        iocb = request(opcode, fd, NULL, 1);
        try(&iocb);
        iocb = request(opcode, fd, NULL, 0);
        iocb.aio_offset = 1;
        try(&iocb);
        iocb = request(opcode, fd, NULL, 0);
        iocb.aio_rw_flags = 1;
        try(&iocb);
        empty_pipe(&write_end);
        iocb = request(opcode, write_end, NULL, 0);
        try(&iocb);
    }
}

static void iocb_poll(void)
{
    struct iocb iocb;

    iocb = done_request();
    iocb.aio_offset = 1;
    try(&iocb);
    iocb = done_request();
    iocb.aio_nbytes = 1;
    try(&iocb);
    iocb = done_request();
    iocb.aio_rw_flags = 1;
    try(&iocb);
    iocb = done_request();
    iocb.aio_buf = 0x10000;
    try(&iocb);
    iocb = done_request();
    try(&iocb);
}

/* A terminal has a queue of waiters for input and one for output. */
static void poll_two_queues(void)
{
    const int fds[] = { open("/dev/ptmx", O_RDWR | O_NOCTTY),
                        mkfifo("fifo", 0600) == -1 ? -1 : open("fifo", O_RDWR),
                        file("x", O_RDONLY) };
    struct iocb iocb;

    const int order[] = { 0, 1, 2, 0, 2 };
    const int events[] = { POLLIN, POLLIN, POLLIN, POLLOUT /* that is ready */,
                           POLLPRI /* of a file: no queue */ };

    for (int i = 0; i < 5; i++) {
        if (fds[order[i]] == -1)
            err(1, "open");
        iocb = done_request();
        iocb.aio_fildes = fds[order[i]];
        iocb.aio_buf = events[i];
        try(&iocb);
    }
}

static void iocb_ignored(void)
{
    char data[1];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY), data, 1);

    iocb.aio_flags = ~(IOCB_FLAG_RESFD | IOCB_FLAG_IOPRIO);
    try(&iocb);
    iocb.aio_flags = 0;
    iocb.aio_resfd = -1;
    try(&iocb);
    iocb.aio_resfd = 0;
    iocb.aio_reqprio = (short)(7 << 13);
    try(&iocb);
    iocb.aio_reqprio = 0;
    iocb.aio_key = 42;
    try(&iocb);
    printf("aio_key %u\n", (unsigned)iocb.aio_key);
}

/*
 * The order of the checks: a request that is wrong in all respects. One by
 * one they are mended, in that order, and each time the next one shows.
 * Neighbours have different errors, where there are such.
 */
static void iocb_order(void)
{
    aio_context_t full = context(1), ctx = the_context();
    struct iocb *iocb = map(PROT_READ | PROT_WRITE);
    int read_only = file("x", O_RDONLY), folder = open(".", O_RDONLY);
    static char data[1];
    struct iovec iov = { data, 1 };
    struct iocb *list[1];

    stay_here();
    fill(full, empty_pipe(NULL));

    *iocb = request(IOCB_CMD_NOOP, -1, bad_address(), -1);
    iocb->aio_reserved2 = 1;
    iocb->aio_flags = IOCB_FLAG_RESFD | IOCB_FLAG_IOPRIO;
    iocb->aio_resfd = folder;
    iocb->aio_reqprio = (short)(7 << 13);
    iocb->aio_rw_flags = 1 << 30;
    iocb->aio_offset = -1;

    printf("list: ");
    answer(io_submit(full, 1, bad_address()));
    printf("iocb unreadable: ");
    list[0] = bad_address();
    answer(io_submit(full, 1, list));
    printf("aio_reserved2: ");
    answer(submit(full, iocb));
    iocb->aio_reserved2 = 0;
    printf("aio_nbytes: ");
    answer(submit(full, iocb));
    iocb->aio_nbytes = 1;
    printf("no slot: ");
    answer(submit(full, iocb));
    printf("aio_fildes: ");
    answer(submit(ctx, iocb));
    iocb->aio_fildes = read_only;
    printf("aio_resfd: ");
    answer(submit(ctx, iocb));
    iocb->aio_resfd = eventfd(0, 0);
    if (mprotect(iocb, 4096, PROT_READ) == -1)
        err(1, "mprotect");
    printf("iocb not writable: ");
    answer(submit(ctx, iocb));
    if (mprotect(iocb, 4096, PROT_READ | PROT_WRITE) == -1)
        err(1, "mprotect");
    printf("aio_lio_opcode: ");
    answer(submit(ctx, iocb));
    iocb->aio_lio_opcode = IOCB_CMD_PWRITEV;
    printf("aio_reqprio: ");
    answer(submit(ctx, iocb));
    iocb->aio_reqprio = 0;
    printf("aio_rw_flags: ");
    answer(submit(ctx, iocb));
    iocb->aio_rw_flags = 0;
    printf("open mode: ");
    answer(submit(ctx, iocb));
    iocb->aio_lio_opcode = IOCB_CMD_PREADV;
    iocb->aio_fildes = folder;
    printf("directory: ");
    answer(submit(ctx, iocb));
    iocb->aio_fildes = read_only;
    printf("iovec: ");
    answer(submit(ctx, iocb));
    iocb->aio_buf = (uintptr_t)&iov;
    printf("aio_offset: ");
    answer(submit(ctx, iocb));
    iocb->aio_offset = 0;
    printf("nothing: ");
    answer(submit(ctx, iocb));
}

/* ---- Errors in the event ---- */

static void event_bad_buffer(void)
{
    struct iocb iocb;

    iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY), bad_address(), 1);
    try(&iocb);
    iocb = request(IOCB_CMD_PWRITE, file("x", O_WRONLY), bad_address(), 1);
    try(&iocb);
}

/* An address that no process has: that is seen at once. */
static void event_no_address(void)
{
    struct iocb iocb = request(IOCB_CMD_PREAD, file("x", O_RDONLY),
                               (void *)-4096, 1);

    try(&iocb);
}

/* io_submit waits for an empty pipe; a signal comes, until one is seen. */
static void event_interrupted(void)
{
    const struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    struct iocb iocb;
    char data[1];
    int ends[2];

    if (pipe(ends) == -1)
        err(1, "pipe");
    signal(SIGALRM, on_alarm);
    setitimer(ITIMER_REAL, &often, NULL);
    iocb = request(IOCB_CMD_PREAD, ends[0], data, 1);
    try(&iocb);
}

/* Only the first of two pages can be read, or written to. */
static void event_second_page(void)
{
    const int page = sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *data = pages + page - 4096;
    int fd = file("", O_RDWR);
    struct iocb iocb = request(IOCB_CMD_PWRITE, fd, data, 8192);

    if (pages == MAP_FAILED)
        err(1, "mmap");
    if (pwrite(fd, data, 8192, 0) != 8192)
        err(1, "write");
    if (mprotect(pages + page, page, PROT_NONE) == -1)
        err(1, "mprotect");
    try(&iocb);
    iocb.aio_lio_opcode = IOCB_CMD_PREAD;
    try(&iocb);
}

/* Memory that is a file, and sealed against writing. */
static void event_sealed(void)
{
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
    struct iocb iocb = request(IOCB_CMD_PWRITE, fd, "x", 1);

    if (fd == -1 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1)
        err(1, "memfd_create");
    try(&iocb);
}

/* Three times 2^30 bytes, of memory that nobody touches, to nowhere. */
static void event_most(void)
{
    size_t size = (size_t)3 << 30, page = sysconf(_SC_PAGESIZE);
    int fd = open("/dev/null", O_WRONLY);
    struct iocb iocb;
    struct io_event event;
    void *data;

    if (sizeof(long) < 8) { /* so many are negative there */
        puts("as many as whole pages below 2^31");
        return;
    }
    data = mmap(NULL, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED || fd == -1)
        err(1, "mmap");
    iocb = request(IOCB_CMD_PWRITE, fd, data, size);
    must_submit(the_context(), iocb);
    if (io_getevents(the_context(), 1, 1, &event, NULL) != 1)
        err(1, "io_getevents");
    if (event.res == (long long)(INT32_MAX / page * page))
        puts("as many as whole pages below 2^31");
    else
        print_event(&event);
}

/* The size that a file has right after the event of a write that extends. */
static void event_size(void)
{
    static const int flags[] = { O_WRONLY, O_WRONLY | O_DIRECT };
    char *data = mmap(NULL, 65536, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct stat st;

    for (int i = 0; i < 2; i++) {
        struct iocb iocb;
        int fd;

        file("", O_WRONLY);
        fd = open("call.file", flags[i]);
        if (fd == -1) /* not on this filesystem */
            fd = open("call.file", O_WRONLY);
        iocb = request(IOCB_CMD_PWRITE, fd, data, 65536);
        try(&iocb);
        if (fstat(fd, &st) == -1)
            err(1, "fstat");
        printf("size %lld\n", (long long)st.st_size);
    }
}

/* The largest size of a file here, found with ftruncate(); then a write. */
static void event_largest(void)
{
    const struct rlimit no_limit = { RLIM_INFINITY, RLIM_INFINITY };
    int fd = file("", O_WRONLY);
    long long good = 1, bad = INT64_MAX;
    struct iocb iocb = request(IOCB_CMD_PWRITE, fd, "xy", 2);

    signal(SIGXFSZ, SIG_DFL); /* would end us, and does not come */
    if (setrlimit(RLIMIT_FSIZE, &no_limit) == -1)
        err(1, "setrlimit"); /* somebody has set one that we can't lift */
    if (ftruncate(fd, bad) == 0)
        good = bad;
    while (bad - good > 1) {
        long long middle = good + (bad - good) / 2;

        if (ftruncate(fd, middle) == 0)
            good = middle;
        else
            bad = middle;
    }
    if (good == INT64_MAX)
        puts("none but 2^63 - 1");
    if (good == INT64_MAX || ftruncate(fd, 0) == -1)
        return;
    iocb.aio_offset = good - 1;
    try(&iocb);
    iocb.aio_offset = good;
    try(&iocb);
}

static void event_direct(void)
{
    enum { BIG = 65536 }; /* what any disk takes */
    static char pages[2 * BIG];
    char *data = pages + (-(uintptr_t)pages & (BIG - 1));
    struct iocb iocb;
    int fd;

    file("0123456789", O_RDONLY);
    fd = open("call.file", O_RDONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL) {
        puts("no O_DIRECT");
        return;
    }
    iocb = request(IOCB_CMD_PREAD, fd, data, BIG);
    try(&iocb);
    iocb = request(IOCB_CMD_PREAD, fd, data, 5);
    try(&iocb);
    iocb.aio_nbytes = 512;
    iocb.aio_offset = 5;
    try(&iocb);
}

static void event_limit(void)
{
    static char data[8192];
    struct rlimit limit = { 4096, 4096 };
    struct iocb iocb = request(IOCB_CMD_PWRITE, file("", O_WRONLY), data,
                               sizeof(data));

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) == -1)
        err(1, "setrlimit");
    try(&iocb);
    iocb.aio_offset = 4096;
    try(&iocb);
    signal(SIGXFSZ, SIG_DFL);
    iocb.aio_nbytes = 0; /* nothing can always be written */
    try(&iocb);
}

/* To be asked on a filesystem that has room for less than 256 KiB. */
static void event_full(void)
{
    static char data[262144];
    long long size = 0;
    struct stat st;
    int fd = file("", O_WRONLY);
    struct iocb iocb = request(IOCB_CMD_PWRITE, fd, data, sizeof(data));
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;

    if (submit(the_context(), &iocb) != 1)
        err(1, "io_submit");
    if (io_getevents(the_context(), 1, 1, &event, &timeout) != 1)
        err(1, "io_getevents");
    if (fstat(fd, &st) == 0)
        size = st.st_size;
    printf("short: %s\n",
           event.res > 0 && event.res < 262144 && event.res == size ? "yes"
                                                                    : "no");
    iocb.aio_offset = size;
    try(&iocb);
    iocb.aio_nbytes = 0;
    try(&iocb);
}

/*
 * A read that would have to wait, and must not. On a pipe since Linux 6.4;
 * else of a file that is not in the page cache.
 */
static void event_nowait(void)
{
    static char data[4096];
    int fd = empty_pipe(NULL);
    struct iocb iocb = request(IOCB_CMD_PREAD, fd, data, 1);

    iocb.aio_rw_flags = RWF_NOWAIT;
    if (submit(the_context(), &iocb) == 1) {
        print_next(the_context());
        return;
    }
    if (errno != EOPNOTSUPP)
        err(1, "io_submit");
    fd = file("", O_RDWR);
    if (write(fd, data, sizeof(data)) != sizeof(data) || fsync(fd) == -1)
        err(1, "write");
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    iocb.aio_fildes = fd;
    try(&iocb);
}

/* The same where there is nothing to wait for. */
static void event_nowait_ready(void)
{
    char data[1];
    int write_end;
    struct iocb iocb = request(IOCB_CMD_PREAD, empty_pipe(&write_end), data, 1);

    if (write(write_end, "x", 1) != 1)
        err(1, "write");
    iocb.aio_rw_flags = RWF_NOWAIT;
    try(&iocb);
}

/* The flag without AIO: a page that is not in the page cache, and one that is.
 * A quick disk may have it there meanwhile, for the kernel reads ahead. */
static void nowait_preadv2(void)
{
    static char data[4096];
    struct iovec iov = { data, sizeof(data) };
    int fd = file("", O_RDWR), flags = RWF_NOWAIT;
    long cold, warm;

    if (write(fd, data, sizeof(data)) != sizeof(data))
        err(1, "write");
    for (int tries = 0; tries < 20; tries++) {
        if (fsync(fd) == -1)
            err(1, "fsync");
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        cold = syscall(SYS_preadv2, fd, &iov, 1L, 0L, 0L, flags);
        if (cold == -1)
            break;
    }
    printf("not cached: %s\n", cold == -1 ? name_of(errno) : "there");
    if (pread(fd, data, sizeof(data), 0) != sizeof(data))
        err(1, "pread");
    warm = syscall(SYS_preadv2, fd, &iov, 1L, 0L, 0L, flags);
    printf("cached: ");
    if (warm == -1)
        puts(name_of(errno));
    else
        printf("%ld\n", warm);
}

static void event_nowait_write(void)
{
    char data[1] = "y";
    struct iocb iocb = request(IOCB_CMD_PWRITE, file("x", O_RDWR), data, 1);

    iocb.aio_rw_flags = RWF_NOWAIT;
    try(&iocb);
}

static void event_append(void)
{
    struct iocb iocb = request(IOCB_CMD_PWRITE,
                               file("12345", O_WRONLY | O_APPEND), "678", 3);
    struct stat st;

    iocb.aio_offset = 1;
    try(&iocb);
    if (stat("call.file", &st) == -1)
        err(1, "stat");
    printf("size %lld\n", (long long)st.st_size);
}

static void event_position(void)
{
    char data[4];
    int fd = file("12345", O_RDWR);
    struct iocb iocb = request(IOCB_CMD_PREAD, fd, data, 4);

    try(&iocb);
    iocb = request(IOCB_CMD_PWRITE, fd, data, 4);
    try(&iocb);
    printf("position %lld\n", (long long)lseek(fd, 0, SEEK_CUR));
}

static void event_end_of_file(void)
{
    char data[10];
    struct iocb iocb = request(IOCB_CMD_PREAD, file("12345", O_RDONLY), data,
                               10);

    try(&iocb);
    iocb.aio_offset = 5;
    try(&iocb);
    iocb.aio_offset = 6;
    try(&iocb);
}

/* ---- io_getevents ---- */

static void getevents_bad_timeout(void)
{
    struct io_event event;

    answer(io_getevents(the_context(), 1, 1, &event, bad_address()));
    answer(io_getevents(0, 1, 1, &event, bad_address()));
}

static void getevents_arguments(void)
{
    struct __kernel_old_timespec zero = { 0, 0 };
    aio_context_t ctx = the_context();

    must_submit(ctx, done_request());
    answer(io_getevents(0, 0, 1, NULL, &zero));
    answer(io_getevents(ctx, -1, 1, NULL, &zero));
    answer(io_getevents(ctx, 0, -1, NULL, &zero));
    answer(io_getevents(ctx, -2, -1, NULL, &zero));
    answer(io_getevents(ctx, 2, 1, NULL, &zero));
    answer(io_getevents(ctx, 0, 0, NULL, NULL));
    print_next(ctx);
}

static void getevents_bad_events(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec timeout = { 10, 0 };

    must_submit(ctx, done_request());
    answer(io_getevents(ctx, 1, 1, bad_address(), &timeout));
    print_next(ctx);
}

/* 20 ms, though no valid timespec; and a second before now. */
static void getevents_odd_timeout(void)
{
    struct __kernel_old_timespec odd = { -1, 1020000000 }, negative = { -1, 0 };
    struct io_event event;

    answer(io_getevents(the_context(), 1, 1, &event, &odd));
    alarms(1);
    answer(io_getevents(the_context(), 1, 1, &event, &negative));
    alarms(0);
}

/* Time-outs are not counted down, whatever ends the wait. */
static void getevents_keeps_timeout(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec brief = { 0, 20000000 }, timeout = { 10, 1 };
    struct io_event events[2];

    answer(io_getevents(ctx, 1, 1, events, &brief));
    must_submit(ctx, done_request());
    answer(io_getevents(ctx, 1, 1, events, &timeout));
    alarms(1);
    answer(io_getevents(ctx, 1, 1, events, &timeout));
    alarms(0);
    printf("%ld.%09ld %ld.%09ld\n", (long)brief.tv_sec, brief.tv_nsec,
           (long)timeout.tv_sec, timeout.tv_nsec);
}

/* ---- io_pgetevents ---- */

/* The kernel's signal set has 64 bits, the library's may have more. */
enum { SIGSET_SIZE = 8 };

/*
 * What Ctrl-Z and fg do to a wait: stopped and continued, again and again, and
 * then the request is done. (The child is not killed: we might be stopped.)
 */
static void stopped(int mask)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec timeout = { 10, 0 };
    struct io_event event;
    struct iocb iocb = done_request();
    struct aio_sigset none = { NULL, SIGSET_SIZE };
    int end, fd = empty_pipe(&end);
    pid_t parent = getpid(), pid;

    iocb.aio_fildes = fd;
    iocb.aio_buf = POLLIN;
    must_submit(ctx, iocb);
    pid = fork();
    if (pid == -1)
        err(1, "fork");
    if (pid == 0) {
        for (int i = 0; i < 20; i++) {
            usleep(10000);
            kill(parent, SIGSTOP);
            usleep(10000);
            kill(parent, SIGCONT);
        }
        _exit(write(end, "!", 1) != 1);
    }
    answer(mask ? io_pgetevents(ctx, 1, 1, &event, &timeout, &none)
                : io_getevents(ctx, 1, 1, &event, &timeout));
    waitpid(pid, NULL, 0);
}

static void getevents_stopped(void)
{
    stopped(0);
}

static void pgetevents_stopped(void)
{
    stopped(1);
}

static void pgetevents_plain(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec zero = { 0, 0 };
    struct aio_sigset nothing = { NULL, 0 };
    struct io_event event;

    must_submit(ctx, done_request());
    answer(io_pgetevents(ctx, 1, 1, &event, &zero, NULL));
    must_submit(ctx, done_request());
    answer(io_pgetevents(ctx, 1, 1, &event, &zero, &nothing));
    answer(io_pgetevents(ctx, 1, 1, &event, &zero, NULL));
}

static void pgetevents_arguments(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec zero = { 0, 0 };
    struct io_event event;
    sigset_t mask;
    struct aio_sigset wrong_size = { &mask, 3 };
    struct aio_sigset bad_mask = { bad_address(), SIGSET_SIZE };
    struct aio_sigset good = { &mask, SIGSET_SIZE };

    sigemptyset(&mask);
    answer(io_pgetevents(0, 0, 1, &event, bad_address(), &wrong_size));
    answer(io_pgetevents(0, 0, 1, &event, bad_address(), &good));
    answer(io_pgetevents(0, 0, 1, &event, &zero, bad_address()));
    answer(io_pgetevents(ctx, 0, 1, &event, &zero, &wrong_size));
    answer(io_pgetevents(ctx, 0, 1, &event, &zero, &bad_mask));
    answer(io_pgetevents(0, 0, 1, &event, &zero, &good));
    answer(io_pgetevents(ctx, 0, 1, &event, &zero, &good));
}

/* Blocked before and after, let in by the mask of the wait. */
static void pgetevents_mask(void)
{
    aio_context_t ctx = the_context();
    struct __kernel_old_timespec brief = { 0, 20000000 }, timeout = { 10, 0 };
    struct io_event event;
    sigset_t all, none, after;
    struct aio_sigset blocking = { &all, SIGSET_SIZE };
    struct aio_sigset open = { &none, SIGSET_SIZE };

    signal(SIGUSR1, on_alarm);
    sigfillset(&all);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &all, NULL);
    raise(SIGUSR1); /* pending from here on */
    answer(io_getevents(ctx, 1, 1, &event, &brief));
    answer(io_pgetevents(ctx, 1, 1, &event, &brief, &blocking));
    printf("handled: %d\n", (int)signals);
    answer(io_pgetevents(ctx, 1, 1, &event, &timeout, &open));
    printf("handled: %d\n", (int)signals);
    sigprocmask(SIG_SETMASK, NULL, &after);
    printf("blocked again: %d\n", sigismember(&after, SIGUSR1));
    raise(SIGUSR1);
    must_submit(ctx, done_request());
    answer(io_pgetevents(ctx, 1, 1, &event, &timeout, &open));
}

/* ---- Not questions, but what tests need beside them ---- */

/* hold N: has a context for N events, until nobody reads its output. */
static int hold(unsigned nr_events)
{
    struct pollfd reader = { 1, 0, 0 };

    context(nr_events);
    puts("held");
    fflush(stdout);
    return poll(&reader, 1, -1) != 1;
}

/* delayed FILE: how many parts of it have no place on the disk yet. */
static int delayed(const char *path)
{
    enum { EXTENTS = 64 };
    struct fiemap *map = calloc(1, sizeof(*map) +
                                       EXTENTS * sizeof(map->fm_extents[0]));
    int fd = open(path, O_RDONLY), parts = 0;

    if (map == NULL || fd == -1)
        err(1, "open %s", path);
    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_extent_count = EXTENTS;
    if (syscall(SYS_ioctl, fd, FS_IOC_FIEMAP, map) == -1 &&
        errno != EOPNOTSUPP) /* in memory only, say */
        err(1, "FS_IOC_FIEMAP");
    for (unsigned i = 0; i < map->fm_mapped_extents; i++)
        if (map->fm_extents[i].fe_flags & FIEMAP_EXTENT_DELALLOC)
            parts++;
    printf("%d\n", parts);
    return EXIT_SUCCESS;
}

/* A buffered write with RWF_DSYNC: the call itself waits for the disk. */
static void event_dsync(void)
{
    aio_context_t ctx = the_context();
    int fd = file("", O_WRONLY);
    struct iocb iocb = request(IOCB_CMD_PWRITE, fd, "durable", 7);

    iocb.aio_rw_flags = 2; /* RWF_DSYNC */
    must_submit(ctx, iocb);
    printf("done by io_submit: %s\n", ring_of(ctx)->tail == 1 ? "yes" : "no");
    printf("parts that are in the page cache only: ");
    delayed("call.file");
    print_next(ctx);
}

static const struct question {
    const char *name;
    void (*ask)(void);
} questions[] = {
/* clang-format off */
#define Q(name) { #name, name }
    Q(setup_bad_address), Q(setup_not_zero), Q(setup_nothing),
    Q(setup_too_many), Q(setup_over_limit), Q(setup_read_only),
    Q(aio_nr_counts), Q(ring_header), Q(ring_in_child), Q(ring_size),
    Q(destroy_bad), Q(destroy_pending), Q(destroy_waits), Q(destroy_wakes),
    Q(submit_bad_context), Q(submit_negative), Q(submit_nothing),
    Q(submit_bad_list), Q(submit_bad_iocb), Q(submit_int), Q(submit_partial),
    Q(submit_copies_iocb), Q(submit_copies_iovec), Q(submit_no_order),
    Q(iocb_reserved2), Q(iocb_nbytes), Q(iocb_no_slot), Q(iocb_fd),
    Q(iocb_path), Q(iocb_resfd), Q(iocb_read_only), Q(iocb_opcode),
    Q(iocb_ioprio), Q(iocb_rw_flags), Q(iocb_mode), Q(iocb_directory),
    Q(iocb_iovec), Q(iocb_offset), Q(iocb_fsync), Q(iocb_poll),
    Q(poll_two_queues), Q(event_interrupted), Q(iocb_ignored), Q(iocb_order),
    Q(event_bad_buffer), Q(event_no_address), Q(event_direct), Q(event_limit),
    Q(event_full), Q(event_nowait), Q(event_nowait_write), Q(event_append),
    Q(event_position), Q(event_end_of_file), Q(getevents_bad_timeout),
    Q(getevents_arguments), Q(getevents_bad_events), Q(getevents_odd_timeout),
    Q(getevents_keeps_timeout), Q(pgetevents_plain), Q(pgetevents_arguments),
    Q(pgetevents_mask), Q(getevents_stopped), Q(pgetevents_stopped),
    Q(iocb_device), Q(event_dsync), Q(setup_no_memory), Q(setup_takes_all),
    Q(destroy_unmaps), Q(destroy_uncharges), Q(submit_thread_ends),
    Q(iocb_overflow), Q(event_second_page), Q(event_sealed), Q(event_most),
    Q(event_size), Q(event_largest), Q(event_nowait_ready), Q(nowait_preadv2),
    Q(iocb_no_async_read),
    /* clang-format on */
};

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "hold"))
        return hold(atoi(argv[2]));
    if (argc == 3 && !strcmp(argv[1], "delayed"))
        return delayed(argv[2]);
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (argc == 2 && !strcmp(argv[1], questions[i].name)) {
            questions[i].ask();
            return EXIT_SUCCESS;
        }
    fprintf(stderr, "Usage: probe-call QUESTION, one of\n");
    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        fprintf(stderr, "    %s\n", questions[i].name);
    return 2;
}
