/*
 * eventfd.c - completions as one more event in an event loop
 *
 * One epoll loop serves a timer, asynchronous writes and a pipe. The timer
 * starts the writes; an eventfd tells of their completions; when all have
 * come, a message goes through the pipe, as from another thread, and ends
 * the loop. The eventfd counts completions; the events themselves still
 * wait in the context and must be reaped.
 *
 * Build:  cc -o eventfd eventfd.c
 * Usage:  ./eventfd FILE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum {
    REQUESTS = 8,
    BLOCK = 65536               /* bytes a request */
};

static const char usage[] =
    "Usage: eventfd FILE\n"
    "Makes FILE, or empties it, and writes 8 blocks of 65536 bytes to it,\n"
    "from an epoll loop.\n";

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

/*
 * No C library has wrappers for these system calls. The parameters' types
 * matter: syscall() takes any number of arguments of any type, and an int
 * -1 passed for a long would arrive as 4294967295. All return -1 and set
 * errno on error.
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

static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* Reads the file as anybody would, and compares each block. */
static void read_back(const char *path, long blocks)
{
    char expected[BLOCK], got[BLOCK];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        die("open %s", path);
    for (long block = 0; block < blocks; block++) {
        fill(expected, block);
        errno = EIO;            /* in case it is the wrong data */
        if (fread(got, BLOCK, 1, file) != 1 ||
            memcmp(got, expected, BLOCK) != 0)
            die("read back block %ld of %s", block, path);
    }
    fclose(file);
    printf("read back: %ld blocks, each where it belongs\n", blocks);
}

/* Has `epoll` tell when there is something to read from `fd`. */
static void watch(int epoll, int fd)
{
    struct epoll_event interest = { .events = EPOLLIN, .data.fd = fd };

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &interest) == -1)
        die("epoll_ctl");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    const struct itimerspec soon = { .it_value.tv_nsec = 10000000 };
    const char message[] = "all are written";
    char told[sizeof(message)] = "";
    struct iocb iocbs[REQUESTS], *list[REQUESTS];
    struct io_event events[REQUESTS];
    struct epoll_event ready;
    aio_context_t ctx = 0;
    uint64_t counter, expirations, counted = 0;
    int epoll, timer, completions, ends[2];
    int fd, n, submitted = 0, reaped = 0;
    void *buffers;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file past the page cache, if its filesystem can do that. */
    fd = open(path, flags | O_DIRECT, 0666);
    if (fd == -1 && errno == EINVAL)
        fd = open(path, flags, 0666);
    if (fd == -1)
        die("open %s", path);
    printf("O_DIRECT: %s\n", fcntl(fd, F_GETFL) & O_DIRECT ? "yes" :
           "not here, going on through the page cache");
    errno = posix_memalign(&buffers, BLOCK, REQUESTS * BLOCK);
    if (errno != 0)
        die("posix_memalign");
    if (io_setup(REQUESTS, &ctx) == -1)
        die("io_setup");

    /* Three things to wait for, and one place to wait. */
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timer == -1)
        die("timerfd_create");
    completions = eventfd(0, EFD_NONBLOCK);
    if (completions == -1)
        die("eventfd");
    if (pipe2(ends, O_NONBLOCK) == -1)
        die("pipe2");
    epoll = epoll_create1(0);
    if (epoll == -1)
        die("epoll_create1");
    watch(epoll, timer);
    watch(epoll, completions);
    watch(epoll, ends[0]);

    /* Prepare: each request names the eventfd that is told of its end. */
    memset(iocbs, 0, sizeof(iocbs));
    for (int i = 0; i < REQUESTS; i++) {
        char *data = (char *)buffers + i * BLOCK;

        fill(data, i);
        iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        iocbs[i].aio_fildes = fd;
        iocbs[i].aio_buf = (uintptr_t)data;
        iocbs[i].aio_nbytes = BLOCK;
        iocbs[i].aio_offset = (long long)i * BLOCK;
        iocbs[i].aio_flags = IOCB_FLAG_RESFD;
        iocbs[i].aio_resfd = completions;
        list[i] = &iocbs[i];
    }

    if (timerfd_settime(timer, 0, &soon, NULL) == -1)
        die("timerfd_settime");
    while (told[0] == '\0') {
        n = epoll_wait(epoll, &ready, 1, 10000 /* ms */);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n != 1)
            die("epoll_wait");

        if (ready.data.fd == timer) {
            if (read(timer, &expirations, sizeof(expirations)) == -1)
                die("read timerfd");
            printf("timer: %d expiration\n", (int)expirations);

            /* Submit, and go on after a partial count. */
            while (submitted < REQUESTS) {
                n = io_submit(ctx, REQUESTS - submitted, list + submitted);
                if (n == -1 && errno != EINTR)
                    die("io_submit");
                if (n > 0)
                    submitted += n;
            }
            printf("io_submit: %d requests\n", submitted);
        }

        if (ready.data.fd == completions) {
            /* Reading says how many completed since the last reading ... */
            if (read(completions, &counter, sizeof(counter)) == -1)
                die("read eventfd");
            counted += counter;

            /* ... and takes nothing out of the context. This does. */
            do {
                n = io_getevents(ctx, 0, REQUESTS, events, NULL);
                if (n == -1 && errno != EINTR)
                    die("io_getevents");
                for (int i = 0; i < n; i++) {
                    if (events[i].res != BLOCK) {
                        errno = events[i].res < 0 ? -events[i].res : EIO;
                        die("IOCB_CMD_PWRITE %s", path);
                    }
                }
                if (n > 0)
                    reaped += n;
            } while (n != 0);

            /* An event can be there before it was counted: wait for both. */
            if (reaped == REQUESTS && counted == REQUESTS) {
                printf("eventfd: counted %d, events reaped: %d\n",
                       (int)counted, reaped);
                if (write(ends[1], message, sizeof(message)) == -1)
                    die("write pipe");
            }
        }

        if (ready.data.fd == ends[0]) {
            if (read(ends[0], told, sizeof(told)) == -1)
                die("read pipe");
            printf("pipe: %s\n", told);
        }
    }

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(epoll) == -1 || close(timer) == -1 || close(completions) == -1 ||
        close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");
    if (close(fd) == -1)
        die("close %s", path);
    free(buffers);
    read_back(path, REQUESTS);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
