/*
 * 2-tail.c - exercise 4.2, fill in
 *
 * Writes SIZE letters to FILE with O_DIRECT. But O_DIRECT knows only whole
 * blocks, and so the tail of the file is missing: of 10000 letters there
 * are 8192.
 *
 * Task:   Have the file hold all SIZE letters, and nothing behind them. The
 *         request stays a multiple of 4096 bytes, and O_DIRECT stays on.
 *         What is too much, ftruncate() cuts off.
 * Output: "written: SIZE bytes", status 0. Calls that fail end the program
 *         with status 1 and "2-tail: CALL FILE: reason", as ever.
 * Read:   04-odirect/README.md, line 58 (The code that matters);
 *         04-odirect/odirect.c
 * Check:  make exercise-4.2
 *
 * Build:  cc -o 2-tail 2-tail.c
 * Usage:  ./2-tail FILE [SIZE]
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

enum { BLOCK = 4096 };          /* bytes: a multiple of what disks ask for */

static const char usage[] =
    "Usage: 2-tail FILE [SIZE]\n"
    "Makes FILE, or empties it, and writes SIZE (10000) letters to it.\n";

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

/* The alphabet, again and again. */
static void fill(char *data, long size)
{
    for (long i = 0; i < size; i++)
        data[i] = 'a' + i % 26;
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;
    long size = 10000, length;
    aio_context_t ctx = 0;
    void *data;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        size = number(argv[2], 0, 1 << 20);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up. EDIT HERE: how long must the request be? */
    length = size / BLOCK * BLOCK;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_DIRECT, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    errno = posix_memalign(&data, BLOCK, length + BLOCK);
    if (errno != 0)
        die("posix_memalign");
    fill(data, length);

    /* Submit, wait and check: one request, whose length is aligned. */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = length;
    if (io_submit(ctx, 1, list) == -1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    if (event.res != length) {
        errno = event.res < 0 ? -event.res : EIO;
        die("IOCB_CMD_PWRITE %s", path);
    }

    /* EDIT HERE: how long is the file now, and how long should it be? */
    printf("written: %ld bytes\n", length);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(data);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
