/*
 * batch-submit.c - many requests, a window of them in flight
 *
 * Writes REQUESTS blocks to FILE, at most DEPTH at a time: fill the window,
 * submit what is in it with one call, reap what is done, refill. io_submit()
 * may take only some requests, io_getevents() may return only some events.
 *
 * Build:  cc -o batch-submit batch-submit.c
 * Usage:  ./batch-submit FILE [REQUESTS [DEPTH]]
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 }; /* bytes a request */

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char data[BLOCK];
};

static const char *path;
static long requests = 64, depth = 8;
static struct request *window, **idle; /* all places, and the free ones */
static struct iocb **ready;            /* prepared, not yet submitted */
static long nr_idle, nr_ready, prepared, in_flight, done, submits, reaps, most;

static void make_window(void), prepare(int fd), submit(aio_context_t ctx);
static void reap(aio_context_t ctx, long min_nr);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    int fd;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        requests = number(argv[2], 0, 262144);
    if (argc > 3)
        depth = number(argv[3], 1, 65536);
    if (io_setup(depth, &ctx) == -1)
        err(1, "io_setup");
    make_window();
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    while (done < requests) {
        prepare(fd);
        submit(ctx);
        reap(ctx, 1);
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(ready);
    free(idle);
    free(window);

    printf("requests: %ld, in flight at most: %ld\n", done, most);
    printf("io_submit calls: %ld\n", submits);
    printf("io_getevents calls: %ld\n", reaps);
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
        };
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
 * negative errno.
 */
static void complete(struct request *request, long long res)
{
    struct iocb *iocb = &request->iocb;

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

/* The window: DEPTH places, all idle, and lists as long as that. */
static void make_window(void)
{
    window = calloc(depth, sizeof(*window));
    idle = calloc(depth, sizeof(*idle));
    ready = calloc(depth, sizeof(*ready));
    if (!window || !idle || !ready)
        err(1, "calloc");
    for (; nr_idle < depth; nr_idle++)
        idle[nr_idle] = &window[nr_idle];
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
    "Usage: batch-submit FILE [REQUESTS [DEPTH]]\n"
    "Makes FILE, or empties it, and writes REQUESTS (64) blocks of 4096\n"
    "bytes to it, at most DEPTH (8) in flight.\n";

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
