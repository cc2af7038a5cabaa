/*
 * 1-dropped-tail.c - exercise 3.1, find the bug
 *
 * Writes BLOCKS blocks to FILE, up to eight with one io_submit(). It waits
 * for the events of all that were taken, and checks each. Yet once in a while
 * there are zeros in the file where a block should be.
 *
 * Task:   Have every block written, whatever io_submit() returns.
 * Output: "blocks: N", status 0. If a call or a request fails: status 1, and
 *         on stderr "1-dropped-tail: io_submit: reason", or "1-dropped-tail:
 *         IOCB_CMD_PWRITE FILE: reason". As long as the kernel takes whole
 *         batches, it is one io_submit() for eight blocks.
 * Try:    AIO_FAULT='io_submit@1=short=3' and LD_PRELOAD, as the check says;
 *         then grep -a block demo.dat
 * Read:   03-batch-submit/README.md, line 47 (The code that matters);
 *         03-batch-submit/README.md, line 276 (Three requests, the second is
 *         bad. What does the call return?)
 * Check:  make exercise-3.1
 *
 * Build:  cc -o 1-dropped-tail 1-dropped-tail.c
 * Usage:  ./1-dropped-tail FILE [BLOCKS]
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
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BATCH = 8,                  /* requests in one io_submit() */
    BLOCK = 512                 /* bytes a request */
};

static const char usage[] =
    "Usage: 1-dropped-tail FILE [BLOCKS]\n"
    "Makes FILE, or empties it, and writes BLOCKS (20) blocks of 512 bytes.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    fprintf(stderr, "%s: '%s' is not a number from %ld to %ld\n%s",
            program_invocation_short_name, text, min, max, usage);
    exit(2);
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

int main(int argc, char **argv)
{
    static char data[BATCH][BLOCK];
    const char *path = argv[1];
    struct iocb iocbs[BATCH], *list[BATCH];
    struct io_event events[BATCH];
    aio_context_t ctx = 0;
    long blocks = 20, done = 0;
    int fd, n, taken, reaped;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        blocks = number(argv[2], 0, 1000000);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file and a context. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(BATCH, &ctx) == -1)
        die("io_setup");

    while (done < blocks) {
        int batch = blocks - done < BATCH ? blocks - done : BATCH;

        /* Prepare: the next blocks. */
        memset(iocbs, 0, sizeof(iocbs));
        for (int i = 0; i < batch; i++) {
            fill(data[i], done + i);
            iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
            iocbs[i].aio_fildes = fd;
            iocbs[i].aio_buf = (uintptr_t)data[i];
            iocbs[i].aio_nbytes = BLOCK;
            iocbs[i].aio_offset = (done + i) * BLOCK;
            list[i] = &iocbs[i];
        }

        /* Submit them. */
        do
            taken = io_submit(ctx, batch, list);
        while (taken == -1 && errno == EINTR);
        if (taken == -1)
            die("io_submit");

        /* Wait for all that were taken. */
        for (reaped = 0; reaped < taken; reaped += n) {
            n = io_getevents(ctx, 1, taken - reaped, events + reaped, NULL);
            if (n == -1 && errno != EINTR)
                die("io_getevents");
            if (n == -1)
                n = 0;
        }
        for (int i = 0; i < taken; i++) {
            long long res = events[i].res;

            if (res != BLOCK) {
                errno = res < 0 ? -res : EIO;
                die("IOCB_CMD_PWRITE %s", path);
            }
        }
        done += batch;          /* EDIT HERE, or further up */
    }
    printf("blocks: %ld\n", done);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
