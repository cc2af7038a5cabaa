/*
 * batch-submit-io_uring.c - the same through io_uring
 *
 * batch-submit.c once more on io_uring's raw system calls, to be read side by
 * side. Requests are written into a ring that the kernel reads, and results
 * are read from another one: a call only says that there is something in the
 * first, or waits for something in the second.
 *
 * Build:  cc -o batch-submit-io_uring batch-submit-io_uring.c
 * Usage:  ./batch-submit-io_uring FILE [REQUESTS [DEPTH]]
 * Needs:  Linux 5.6, where io_uring is not forbidden
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 4096 }; /* bytes a request */

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct io_uring_sqe sqe;
    char data[BLOCK];
};

/* Two rings in memory shared with the kernel: what is to do, what is done. */
static unsigned sq_entries, *sq_head, *sq_tail, *sq_array;
static unsigned cq_entries, *cq_head, *cq_tail, *cq_overflow;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static const char *path;
static long requests = 64, depth = 8;
static struct request *window, **idle; /* all places, and the free ones */
static struct io_uring_sqe **ready;    /* prepared, not yet submitted */
static long nr_idle, nr_ready, prepared, in_flight, done, submits, reaps, most;

static int make_rings(void);
static void make_window(void), prepare(int fd), submit(int ring);
static void reap(int ring, unsigned min_nr);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_uring_setup(unsigned entries, struct io_uring_params *params);
static int io_uring_enter(int fd, unsigned to_submit, unsigned min_complete,
                          unsigned flags);

int main(int argc, char **argv)
{
    int fd, ring;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        requests = number(argv[2], 0, 262144);
    if (argc > 3)
        depth = number(argv[3], 1, 32768); /* io_uring's most */
    ring = make_rings();
    make_window();
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    while (done < requests) {
        prepare(fd);
        submit(ring);
        reap(ring, 1);
    }

    if (close(ring) == -1) /* their memory goes at exit */
        err(1, "close the rings");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(ready);
    free(idle);
    free(window);

    printf("requests: %ld, in flight at most: %ld\n", done, most);
    printf("io_uring_enter calls to submit: %ld\n", submits);
    printf("io_uring_enter calls to wait: %ld\n", reaps);
    return EXIT_SUCCESS;
}

/*
 * Makes the rings: both in one piece of memory (since Linux 5.4), and the
 * requests in another. There is a place for each request of the window, and
 * two for its result: none of the rings is ever full.
 */
static int make_rings(void)
{
    struct io_uring_params p = { 0 };
    int ring = io_uring_setup(depth, &p);
    size_t size, more;
    char *at;

    if (ring == -1)
        err(1, "io_uring_setup%s",
            errno == EPERM    ? " (kernel.io_uring_disabled? a sandbox?)"
            : errno == ENOMEM ? " (ulimit -l, before Linux 5.12?)"
                              : "");
    if (!(p.features & IORING_FEAT_SINGLE_MMAP))
        errx(1, "io_uring_setup: this kernel is too old");
    sq_entries = p.sq_entries;
    cq_entries = p.cq_entries;
    size = p.sq_off.array + sq_entries * sizeof(*sq_array);
    more = p.cq_off.cqes + cq_entries * sizeof(*cqes);
    at = mmap(NULL, size > more ? size : more, PROT_READ | PROT_WRITE,
              MAP_SHARED, ring, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
                MAP_SHARED, ring, IORING_OFF_SQES);
    if (at == MAP_FAILED || sqes == MAP_FAILED)
        err(1, "mmap");
    sq_head = (void *)(at + p.sq_off.head);
    sq_tail = (void *)(at + p.sq_off.tail);
    sq_array = (void *)(at + p.sq_off.array);
    cq_head = (void *)(at + p.cq_off.head);
    cq_tail = (void *)(at + p.cq_off.tail);
    cq_overflow = (void *)(at + p.cq_off.overflow);
    cqes = (void *)(at + p.cq_off.cqes);
    return ring;
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
        request->sqe = (struct io_uring_sqe){
            .user_data = (uintptr_t)request,
            .opcode = IORING_OP_WRITE,
            .fd = fd,
            .addr = (uintptr_t)request->data,
            .len = BLOCK,
            .off = (unsigned long long)prepared * BLOCK,
        };
        ready[nr_ready++] = &request->sqe;
    }
}

/*
 * Puts what is ready into the ring, and returns how many are in there that
 * the kernel has not taken. The entries must be complete before the kernel
 * can see the new tail: hence the release.
 */
static unsigned fill_ring(void)
{
    unsigned head = __atomic_load_n(sq_head, __ATOMIC_ACQUIRE);
    unsigned tail = *sq_tail;

    for (long i = 0; i < nr_ready; i++, tail++) {
        unsigned place = tail & (sq_entries - 1);

        sqes[place] = *ready[i];
        sq_array[place] = place;
    }
    nr_ready = 0;
    __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
    return tail - head;
}

/*
 * Submits all that is ready. The kernel may take only a part; what it has not
 * taken stays in the ring, so call again. A bad request is taken, too: it has
 * a result like all others, an error. EAGAIN, EBUSY: reap first.
 */
static void submit(int ring)
{
    unsigned waiting;

    while ((waiting = fill_ring()) > 0) {
        int n = io_uring_enter(ring, waiting, 0, 0);

        submits++;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && (errno == EAGAIN || errno == EBUSY) && in_flight > 0)
            break;
        if (n == -1)
            err(1, "io_uring_enter");
        in_flight += n;
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
    struct io_uring_sqe *sqe = &request->sqe;

    if (res <= 0) {
        errno = res < 0 ? -res : EIO;
        err(1, "IORING_OP_WRITE %s", path);
    }
    sqe->addr += res;
    sqe->len -= res;
    sqe->off += res;
    if (sqe->len > 0) { /* short: the rest once more */
        ready[nr_ready++] = sqe;
        return;
    }
    idle[nr_idle++] = request;
    done++;
}

/*
 * Takes all results that are there; only if there is none, waits for min_nr.
 * They come in any order: user_data says whose each one is. They must be read
 * before the kernel can see the new head: hence the release.
 */
static void reap(int ring, unsigned min_nr)
{
    unsigned head = *cq_head;

    if (head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE)) {
        int n = io_uring_enter(ring, 0, min_nr, IORING_ENTER_GETEVENTS);

        reaps++;
        if (n == -1 && errno != EINTR)
            err(1, "io_uring_enter");
    }
    for (; head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE); head++) {
        struct io_uring_cqe *cqe = &cqes[head & (cq_entries - 1)];

        in_flight--;
        complete((void *)(uintptr_t)cqe->user_data, cqe->res);
    }
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    if (*cq_overflow != 0)
        errx(1, "io_uring_enter: %u results are lost", *cq_overflow);
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

/* No C library has functions for these system calls. */
static int io_uring_setup(unsigned entries, struct io_uring_params *params)
{
    return syscall(SYS_io_uring_setup, entries, params);
}

static int io_uring_enter(int fd, unsigned to_submit, unsigned min_complete,
                          unsigned flags)
{
    return syscall(SYS_io_uring_enter, fd, to_submit, min_complete, flags, NULL,
                   0);
}

static const char usage[] =
    "Usage: batch-submit-io_uring FILE [REQUESTS [DEPTH]]\n"
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
