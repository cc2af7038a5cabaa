/*
 * 3-one-buffer.c - exercise 3.3, find the bug
 *
 * Writes BLOCKS blocks to FILE, up to four in flight, from one iocb and one
 * buffer that are filled anew for each. It works here. On a disk that takes
 * its time, the same block stands in the file several times.
 *
 * Task:   Have each block written, however late a request is done. Keep four
 *         in flight: when one is done, the next is submitted at once. (Not
 *         everything that is used again here is a mistake.)
 * Output: "blocks: N", status 0. If a call or a request fails: status 1, and
 *         on stderr "3-one-buffer: CALL: reason", or "3-one-buffer:
 *         IOCB_CMD_PWRITE FILE: reason".
 * Try:    LD_PRELOAD=tests/helpers/late.so, a disk that takes its time, and
 *         does the newest request first; then grep -a block demo.dat
 * Read:   02-single-write/README.md, line 50 (The code that matters) on what
 *         you may touch after io_submit();
 *         03-batch-submit/README.md, line 23 (The idea)
 * Check:  make exercise-3.3
 *
 * Build:  cc -o 3-one-buffer 3-one-buffer.c
 * Usage:  ./3-one-buffer FILE [BLOCKS]
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
    DEPTH = 4,                  /* requests in flight */
    BLOCK = 512                 /* bytes a request */
};

static const char usage[] =
    "Usage: 3-one-buffer FILE [BLOCKS]\n"
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
    static char data[BLOCK];    /* EDIT HERE, and further down */
    const char *path = argv[1];
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event events[DEPTH];
    aio_context_t ctx = 0;
    long blocks = 20, submitted = 0, in_flight = 0, done = 0;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        blocks = number(argv[2], 0, 1000000);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file and a context. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(DEPTH, &ctx) == -1)
        die("io_setup");

    while (done < blocks) {
        /* Submit until there are enough in flight, or no more blocks. */
        while (submitted < blocks && in_flight < DEPTH) {
            fill(data, submitted);
            memset(&iocb, 0, sizeof(iocb));
            iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
            iocb.aio_fildes = fd;
            iocb.aio_buf = (uintptr_t)data;
            iocb.aio_nbytes = BLOCK;
            iocb.aio_offset = submitted * BLOCK;
            if (io_submit(ctx, 1, list) == -1)
                die("io_submit");
            submitted++;
            in_flight++;
        }

        /* Reap: wait for one event, and take all that are there. */
        n = io_getevents(ctx, 1, DEPTH, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        for (int i = 0; i < n; i++) {
            long long res = events[i].res;

            if (res != BLOCK) {
                errno = res < 0 ? -res : EIO;
                die("IOCB_CMD_PWRITE %s", path);
            }
            in_flight--;
            done++;
        }
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
