/*
 * eventfd.c - completions as one more event in an event loop
 *
 * What odirect does, in an epoll loop that serves a timer as well.
 *
 * Build:  cc -o eventfd eventfd.c
 * Usage:  ./eventfd FILE [SIZE]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BLOCK = 65536, TICK = 1 }; /* bytes a request; milliseconds */

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char *data; /* BLOCK bytes, aligned */
};

static unsigned memory_align = 1, offset_align = 1; /* bytes */
static const char *path;
static long size = 1000000, requests, depth = 8;
static struct request *window, **idle; /* all places, and the free ones */
static struct iocb **ready;            /* prepared, not yet submitted */
static long nr_idle, nr_ready, prepared, in_flight, done, submits, reaps, most;
static int completions, timer, wakeups, ticks, missed, quiet;

static void ask_alignment(int fd), allocate(int fd, long long length);
static void make_window(void), prepare(int fd), submit(aio_context_t ctx);
static void reap(aio_context_t ctx, long min_nr), drain(aio_context_t ctx);
static int make_loop(void), wait_for_either(int epoll);
static void tick(void), start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags), io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    int fd, epoll, ready_fd;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        size = number(argv[2], 0, INT32_MAX / BLOCK * BLOCK);
    requests = size / BLOCK + (size % BLOCK > 0);
    if (io_setup(depth, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    ask_alignment(fd);
    allocate(fd, size);
    make_window();
    epoll = make_loop();

    while (done < requests) {
        prepare(fd);
        submit(ctx);
        ready_fd = wait_for_either(epoll);
        if (ready_fd == timer)
            tick();
        if (ready_fd == completions)
            drain(ctx);
    }

    /* The padding goes: the file is as long as it was asked to be. */
    if (ftruncate(fd, size) == -1)
        err(1, "ftruncate %s", path);
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    if (close(epoll) == -1 || close(timer) == -1 || close(completions) == -1)
        err(1, "close");
    free(window[0].data);
    free(ready);
    free(idle);
    free(window);

    printf("requests: %ld, in flight at most: %ld\n", done, most);
    printf("io_submit calls: %ld\n", submits);
    printf("io_getevents calls: %ld\n", reaps);
    printf("eventfd wake-ups: %d\n", wakeups);
    printf("timer ticks: %d, missed: %d\n", ticks, missed);
    return EXIT_SUCCESS;
}

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* `length`, up to the next multiple of the alignment. */
static long long padded(long long length)
{
    return (length + offset_align - 1) / offset_align * offset_align;
}

/* Prepares a request for each idle place, as long as there are blocks. */
static void prepare(int fd)
{
    for (; nr_idle > 0 && prepared < requests; prepared++) {
        struct request *request = idle[--nr_idle];

        fill(request->data, prepared);
        request->iocb = (struct iocb){
            .aio_data = (uintptr_t)request,
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)request->data,
            .aio_nbytes = BLOCK,
            .aio_offset = (long long)prepared * BLOCK,
            .aio_flags = IOCB_FLAG_RESFD, /* aio_resfd counts */
            .aio_resfd = completions,
        };
        if (prepared == size / BLOCK) { /* the tail */
            request->iocb.aio_nbytes = padded(size % BLOCK);
            memset(request->data + size % BLOCK, 0, BLOCK - size % BLOCK);
            printf("tail: %ld bytes, written as %lld\n", size % BLOCK,
                   padded(size % BLOCK));
        }
        ready[nr_ready++] = &request->iocb;
    }
}

/*
 * Submits all that is ready. The kernel stops at a request that it cannot
 * take, and returns the number before it. So go on from there: now that
 * request comes first, and the call says what is wrong with it. EAGAIN: the
 * context is full, and only reaping makes room.
 */
static void submit(aio_context_t ctx)
{
    while (nr_ready > 0) {
        int n = io_submit(ctx, nr_ready, ready);

        submits++;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN && in_flight > 0)
            break;
        if (n == -1)
            err(1, "io_submit");
        in_flight += n;
        nr_ready -= n;
        memmove(ready, ready + n, nr_ready * sizeof(*ready));
    }
    if (in_flight > most)
        most = in_flight;
}

/*
 * Looks at what became of a request: `res` is the number of bytes, or a
 * negative errno. After a short write, go on at a place that is aligned.
 */
static void complete(struct request *request, long long res)
{
    struct iocb *iocb = &request->iocb;

    if (res > 0)
        res -= res % offset_align;
    if (res <= 0) {
        errno = res < 0 ? -res : EIO;
        err(1, "IOCB_CMD_PWRITE %s", path);
    }
    iocb->aio_buf += res;
    iocb->aio_nbytes -= res;
    iocb->aio_offset += res;
    if (iocb->aio_nbytes > 0) { /* short: the rest once more */
        ready[nr_ready++] = iocb;
        return;
    }
    idle[nr_idle++] = request;
    done++;
}

/*
 * Waits for min_nr events, and takes what else is there. They come in any
 * order: aio_data says whose each one is.
 */
static void reap(aio_context_t ctx, long min_nr)
{
    struct io_event events[64];
    int n = io_getevents(ctx, min_nr, 64, events, NULL);

    reaps++;
    if (n == -1 && errno != EINTR)
        err(1, "io_getevents");
    for (int i = 0; i < n; i++) {
        in_flight--;
        complete((void *)(uintptr_t)events[i].data, events[i].res);
    }
}

/* Has epoll tell when there is something to read from `fd`. */
static void watch(int epoll, int fd)
{
    struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == -1)
        err(1, "epoll_ctl");
}

/* Two things to wait for, and one place to wait. */
static int make_loop(void)
{
    const struct timespec period = { .tv_nsec = TICK * 1000000 };
    const struct itimerspec each = { .it_interval = period,
                                     .it_value = period };
    int epoll;

    completions = eventfd(0, EFD_NONBLOCK);
    if (completions == -1)
        err(1, "eventfd");
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timer == -1)
        err(1, "timerfd_create");
    if (timerfd_settime(timer, 0, &each, NULL) == -1)
        err(1, "timerfd_settime");
    epoll = epoll_create1(0);
    if (epoll == -1)
        err(1, "epoll_create1");
    watch(epoll, completions);
    watch(epoll, timer);
    return epoll;
}

/* Waits, and returns the descriptor that can be read. */
static int wait_for_either(int epoll)
{
    struct epoll_event ready;
    int n;

    do
        n = epoll_wait(epoll, &ready, 1, -1); /* the timer ticks */
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "epoll_wait");
    return ready.data.fd;
}

/*
 * The eventfd's turn. Its counter is how many have completed since it was
 * read last; reading sets it to 0, and takes nothing out of the context. So
 * read first, and then reap until nothing comes: who completes meanwhile is
 * reaped, or raises the counter again.
 */
static void drain(aio_context_t ctx)
{
    uint64_t count;
    long before;

    if (read(completions, &count, sizeof(count)) == -1)
        err(1, "read eventfd");
    wakeups++;
    quiet = 0;
    do {
        before = in_flight;
        errno = 0; /* EINTR does not say that nothing is there */
        reap(ctx, 0);
    } while (in_flight < before || errno == EINTR);
}

/*
 * The timer's turn. Reading says how often it has expired since: more than
 * once if the loop was held up. It ends a wait in which nothing completes.
 */
static void tick(void)
{
    uint64_t expired;

    if (read(timer, &expired, sizeof(expired)) == -1)
        err(1, "read timerfd");
    ticks += expired;
    missed += expired - 1;
    errno = ETIMEDOUT;
    if (++quiet > 10000 / TICK) /* missed ones aside: we may be stopped */
        err(1, "epoll_wait");
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, others[37];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/*
 * What addresses, and what offsets and lengths, must be multiples of. statx()
 * says that since Linux 6.1, and 0 means not with this file.
 */
static void ask_alignment(int fd)
{
    const char *source = "a guess: statx does not say";
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    struct new_statx stx = { 0 };

    memory_align = offset_align = 4096; /* fits nearly every disk */
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign)) {
        memory_align = stx.stx_dio_mem_align;
        offset_align = stx.stx_dio_offset_align;
        source = "says statx";
    }
    if (memory_align == 0 && fcntl(fd, F_SETFL, 0) == -1)
        err(1, "fcntl %s", path);
    if (!(fcntl(fd, F_GETFL) & O_DIRECT)) {
        memory_align = offset_align = 1;
        printf("O_DIRECT: not here, going on through the page cache\n");
    } else {
        printf("O_DIRECT: yes\nalignment: memory %u, offset and length %u "
               "(%s)\n",
               memory_align, offset_align, source);
    }
    if (BLOCK % memory_align != 0 || BLOCK % offset_align != 0)
        errx(1, "%s: %d is no multiple of the alignment", path, BLOCK);
}

/* Gives the file its blocks, and its length, before there is data in them. */
static void allocate(int fd, long long length)
{
    int n;

    do
        n = length == 0 ? 0 : fallocate(fd, 0, 0, padded(length));
    while (n == -1 && errno == EINTR);
    if (n == 0)
        return;
    if (errno == EFBIG && fallocate(fd, 0, 0, length) == 0 &&
        fcntl(fd, F_SETFL, 0) == 0) {
        offset_align = 1;
        printf("no room for padding: going on through the page cache\n");
        return;
    }
    if (errno != EOPNOTSUPP)
        err(1, "fallocate %s", path);
    printf("space ahead: not on this filesystem\n");
}

/*
 * The window: DEPTH places, all idle, and lists as long as that. Buffers
 * aligned to a whole block are aligned to all that divides it.
 */
static void make_window(void)
{
    void *buffers;

    errno = posix_memalign(&buffers, BLOCK, depth * BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    window = calloc(depth, sizeof(*window));
    idle = calloc(depth, sizeof(*idle));
    ready = calloc(depth, sizeof(*ready));
    if (!window || !idle || !ready)
        err(1, "calloc");
    for (; nr_idle < depth; nr_idle++) {
        window[nr_idle].data = (char *)buffers + nr_idle * BLOCK;
        idle[nr_idle] = &window[nr_idle];
    }
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

/*
 * No C library has functions for these system calls. The types matter:
 * syscall() converts nothing. All return -1 and set errno on error.
 */
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

/* The timespec is the kernel's: two longs, however long time_t is. */
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

static const char usage[] =
    "Usage: eventfd FILE [SIZE]\n"
    "Makes FILE, or empties it, and writes SIZE (1000000) bytes to it,\n"
    "past the page cache, from an epoll loop.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    warnx("'%s' is not a number from %ld to %ld", text, min, max);
    fputs(usage, stderr);
    exit(2);
}
