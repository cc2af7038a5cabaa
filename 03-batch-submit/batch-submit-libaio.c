/*
 * batch-submit-libaio.c - the same through libaio
 *
 * batch-submit.c once more, line by line, on the library that many programs
 * use instead of raw system calls. `diff -y` shows what is different: the
 * functions are the library's; it returns -errno and leaves errno alone; the
 * names in struct iocb; and `res`, which is unsigned.
 *
 * Build:  cc -o batch-submit-libaio batch-submit-libaio.c -laio
 * Usage:  ./batch-submit-libaio FILE [REQUESTS [DEPTH]]
 * Needs:  libaio (libaio-dev, libaio-devel)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static void make_window(void), prepare(int fd), submit(io_context_t ctx);
static void reap(io_context_t ctx, long min_nr);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);

int main(int argc, char **argv)
{
    io_context_t ctx = NULL;
    int fd;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        requests = number(argv[2], 0, 262144);
    if (argc > 3)
        depth = number(argv[3], 1, 65536);
    errno = -io_setup(depth, &ctx); /* the library does not set it */
    if (errno != 0)
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

    errno = -io_destroy(ctx);
    if (errno != 0)
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
        io_prep_pwrite(&request->iocb, fd, request->data, BLOCK,
                       (long long)prepared * BLOCK);
        request->iocb.data = request; /* after it, which sets all to 0 */
        ready[nr_ready++] = &request->iocb;
    }
}

/*
 * Submits all that is ready. The kernel stops at a request that it cannot
 * take, and returns the number before it. So go on from there: now that
 * request comes first, and the call says what is wrong with it. EAGAIN: the
 * context is full, and only reaping makes room.
 */
static void submit(io_context_t ctx)
{
    while (nr_ready > 0) {
        int n = io_submit(ctx, nr_ready, ready);

        submits++;
        if (n == -EINTR)
            continue;
        if (n == -EAGAIN && in_flight > 0)
            break;
        if (n < 0) {
            errno = -n;
            err(1, "io_submit");
        }
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
static void complete(struct request *request, long res)
{
    struct iocb *iocb = &request->iocb;

    if (res <= 0) {
        errno = res < 0 ? -res : EIO;
        err(1, "IO_CMD_PWRITE %s", path);
    }
    iocb->u.c.buf = (char *)iocb->u.c.buf + res;
    iocb->u.c.nbytes -= res;
    iocb->u.c.offset += res;
    if (iocb->u.c.nbytes > 0) { /* short: the rest once more */
        ready[nr_ready++] = iocb;
        return;
    }
    idle[nr_idle++] = request;
    done++;
}

/*
 * Waits for min_nr events, and takes what else is there. They come in any
 * order: `data` says whose each one is. `res` is unsigned there; complete()
 * takes it as a long.
 */
static void reap(io_context_t ctx, long min_nr)
{
    struct io_event events[64];
    int n = io_getevents(ctx, min_nr, 64, events, NULL);

    reaps++;
    if (n < 0 && n != -EINTR) {
        errno = -n;
        err(1, "io_getevents");
    }
    for (int i = 0; i < n; i++) {
        in_flight--;
        complete(events[i].data, events[i].res);
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

static const char usage[] =
    "Usage: batch-submit-libaio FILE [REQUESTS [DEPTH]]\n"
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
