/*
 * 1-dropped-tail.c - solution 3.1, go on from what was taken
 *
 * Writes BLOCKS blocks to FILE, up to eight with one io_submit(). That may
 * take fewer than it is given. It was right to wait for that many; but the
 * next batch must begin with the first block that was not taken. If there is
 * something wrong with that one, io_submit() says so then.
 *
 * Build:  cc -o 1-dropped-tail 1-dropped-tail.c
 * Usage:  ./1-dropped-tail FILE [BLOCKS]
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

enum {
    BATCH = 8,  /* requests in one io_submit() */
    BLOCK = 512 /* bytes a request */
};

static const char *path;
static struct iocb iocbs[BATCH], *list[BATCH];
static char data[BATCH][BLOCK];

static void prepare_batch(int fd, long first, int batch);
static int submit_batch(aio_context_t ctx, int batch);
static void reap_all(aio_context_t ctx, int nr);
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
    long blocks = 20, done = 0;
    int fd;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        blocks = number(argv[2], 0, 1000000);
    if (io_setup(BATCH, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    while (done < blocks) {
        int batch = blocks - done < BATCH ? blocks - done : BATCH;
        int taken;

        prepare_batch(fd, done, batch);
        taken = submit_batch(ctx, batch);
        reap_all(ctx, taken);
        done += taken; /* not batch: the rest comes first now */
    }
    printf("blocks: %ld\n", done);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
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

/* Prepares a request for each of `batch` blocks, from block `first` on. */
static void prepare_batch(int fd, long first, int batch)
{
    for (int i = 0; i < batch; i++) {
        fill(data[i], first + i);
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = (first + i) * BLOCK,
        };
        list[i] = &iocbs[i];
    }
}

/* Submits them, and returns how many were taken. */
static int submit_batch(aio_context_t ctx, int batch)
{
    int taken;

    do
        taken = io_submit(ctx, batch, list);
    while (taken == -1 && errno == EINTR);
    if (taken == -1)
        err(1, "io_submit");
    return taken;
}

/* Waits for `nr` events, and checks each. */
static void reap_all(aio_context_t ctx, int nr)
{
    struct io_event events[BATCH];

    while (nr > 0) {
        int n = io_getevents(ctx, 1, nr, events, NULL);

        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        for (int i = 0; i < n; i++, nr--) {
            long long res = events[i].res;

            if (res != BLOCK) {
                errno = res < 0 ? -res : EIO;
                err(1, "IOCB_CMD_PWRITE %s", path);
            }
        }
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
    "Usage: 1-dropped-tail FILE [BLOCKS]\n"
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
