/*
 * 5-one-call.c - solution 3.5, submit and wait in one call
 *
 * The requests of a batch are put into one ring, and io_uring_enter() is told
 * how many they are and how many results to wait for. When it returns, most
 * often all is done. If it has taken a part only, or has not waited to the
 * end, it is called again for the rest of both.
 *
 * Build:  cc -o 5-one-call 5-one-call.c
 * Usage:  ./5-one-call FILE [BLOCKS]
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

enum { BATCH = 8, BLOCK = 512 }; /* requests at a time, bytes each */

static const char *path;
static char data[BATCH][BLOCK];

/* The rings, shared with the kernel: what is to do, what is done. */
static unsigned *sq_tail, sq_mask, *sq_array;
static unsigned *cq_head, *cq_tail, cq_mask;
static struct io_uring_sqe *sqes;
static struct io_uring_cqe *cqes;

static int make_ring(void);
static void fill_batch(int fd, long first, int batch);
static void write_batch(int ring, int batch);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags);
static int io_uring_setup(unsigned entries, struct io_uring_params *params);
static int io_uring_enter(int fd, unsigned to_submit, unsigned min_complete,
                          unsigned flags);

int main(int argc, char **argv)
{
    long blocks = 20, done = 0;
    int fd, ring;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        blocks = number(argv[2], 0, 1000000);
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    ring = make_ring();

    while (done < blocks) {
        int batch = blocks - done < BATCH ? blocks - done : BATCH;

        fill_batch(fd, done, batch);
        write_batch(ring, batch);
        done += batch;
    }
    printf("blocks: %ld\n", done);

    if (close(ring) == -1) /* the memory goes at exit */
        err(1, "close the rings");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Eight places for requests, sixteen for results: none is ever missing. */
static int make_ring(void)
{
    struct io_uring_params p = { 0 };
    int ring = io_uring_setup(BATCH, &p);
    size_t size, more;
    char *at;

    if (ring == -1)
        err(1, "io_uring_setup");
    if (!(p.features & IORING_FEAT_SINGLE_MMAP))
        errx(1, "io_uring_setup: this kernel is too old");
    size = p.sq_off.array + p.sq_entries * sizeof(*sq_array);
    more = p.cq_off.cqes + p.cq_entries * sizeof(*cqes);
    at = mmap(NULL, size > more ? size : more, PROT_READ | PROT_WRITE,
              MAP_SHARED, ring, IORING_OFF_SQ_RING);
    sqes = mmap(NULL, p.sq_entries * sizeof(*sqes), PROT_READ | PROT_WRITE,
                MAP_SHARED, ring, IORING_OFF_SQES);
    if (at == MAP_FAILED || sqes == MAP_FAILED)
        err(1, "mmap");
    sq_tail = (void *)(at + p.sq_off.tail);
    sq_array = (void *)(at + p.sq_off.array);
    sq_mask = p.sq_entries - 1;
    cq_head = (void *)(at + p.cq_off.head);
    cq_tail = (void *)(at + p.cq_off.tail);
    cqes = (void *)(at + p.cq_off.cqes);
    cq_mask = p.cq_entries - 1;
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

/* A request for each of `batch` blocks goes into the ring. */
static void fill_batch(int fd, long first, int batch)
{
    unsigned tail = *sq_tail;

    for (int i = 0; i < batch; i++, tail++) {
        unsigned place = tail & sq_mask;

        fill(data[i], first + i);
        sqes[place] = (struct io_uring_sqe){
            .opcode = IORING_OP_WRITE,
            .fd = fd,
            .addr = (uintptr_t)data[i],
            .len = BLOCK,
            .off = (unsigned long long)(first + i) * BLOCK,
        };
        sq_array[place] = place;
    }
    /* The requests must be there before the kernel sees the new tail. */
    __atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
}

/* Takes all results that are there, checks each, and returns how many. */
static int take_results(void)
{
    unsigned head = *cq_head;
    int n = 0;

    for (; head != __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE); head++, n++) {
        int res = cqes[head & cq_mask].res;

        if (res != BLOCK) {
            errno = res < 0 ? -res : EIO;
            err(1, "IORING_OP_WRITE %s", path);
        }
    }
    /* They must be read before the kernel sees the new head. */
    __atomic_store_n(cq_head, head, __ATOMIC_RELEASE);
    return n;
}

/*
 * Submits a batch and waits for it, with one call, if all goes well. What was
 * not taken stays in the ring; what has no result yet is waited for.
 */
static void write_batch(int ring, int batch)
{
    int to_submit = batch, left = batch;

    while (left > 0) {
        int n = io_uring_enter(ring, to_submit, left, IORING_ENTER_GETEVENTS);

        if (n == -1 && errno != EINTR)
            err(1, "io_uring_enter");
        to_submit -= n > 0 ? n : 0;
        left -= take_results();
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
    "Usage: 5-one-call FILE [BLOCKS]\n"
    "Makes FILE, or empties it, and writes BLOCKS (20) blocks of 512 bytes.\n";

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
