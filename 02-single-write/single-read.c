/*
 * single-read.c - short, nothing, or an error: what a read can come to
 *
 * Reads LENGTH bytes of FILE at OFFSET with one request, then once more at
 * the end of the file. Then makes two mistakes: the kernel finds out about
 * the bad buffer only when it copies the data, so the event carries that
 * error (unless no process can have such an address, MAP_FAILED for one),
 * but of the bad descriptor io_submit() itself says so.
 *
 * Build:  cc -o single-read single-read.c
 * Usage:  ./single-read FILE [OFFSET [LENGTH]]
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "Usage: single-read FILE [OFFSET [LENGTH]]\n"
    "Reads LENGTH bytes (64) of FILE at OFFSET (0) with one request.\n";

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

/*
 * One request, from preparation to event. Returns -1 if io_submit refuses
 * it, else 0 with the result in *res: a number of bytes, or -errno.
 */
static int read_once(aio_context_t ctx, int fd, const void *data,
                     long length, long long offset, long long *res)
{
    struct iocb iocb;
    struct iocb *list[1] = { &iocb };
    struct io_event event;
    int n;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PREAD;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = length;
    iocb.aio_offset = offset;
    if (io_submit(ctx, 1, list) != 1)
        return -1;

    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    *res = event.res;
    return 0;
}

/* What the event says. Only a negative `res` is an error. */
static void show(long long res, long length)
{
    if (res < 0)
        printf("res %lld, %s\n", res, strerror(-res));
    else if (res == 0 && length > 0)
        printf("res 0, the end of the file\n");
    else if (res < length)
        printf("res %lld, short: the file ends there\n", res);
    else
        printf("res %lld, all of it\n", res);
}

/* The data, as text, with a dot for what is none. */
static void show_data(const char *data, long length)
{
    printf("data: ");
    for (long i = 0; i < length; i++)
        putchar(isprint((unsigned char)data[i]) ? data[i] : '.');
    putchar('\n');
}

int main(int argc, char **argv)
{
    static const char constant[16];     /* memory that cannot be written */
    const char *path = argv[1];
    long long offset = 0, res;
    long length = 64;
    aio_context_t ctx = 0;
    struct stat st;
    char *data;
    int fd;

    check_arguments(argc, argv, 1, 3);
    if (argc > 2)
        offset = number(argv[2], 0, LONG_MAX);
    if (argc > 3)
        length = number(argv[3], 0, 1048576);

    /* Set up: a file, its size, a buffer and a context. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    if (fstat(fd, &st) == -1)
        die("fstat %s", path);
    data = malloc(length + 1);          /* malloc(0) may give NULL */
    if (data == NULL)
        die("malloc");
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /* A read that reaches past the end of the file is short. */
    if (read_once(ctx, fd, data, length, offset, &res) == -1)
        die("io_submit");
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_PREAD %s", path);
    }
    printf("%ld bytes at %lld: ", length, offset);
    show(res, length);
    show_data(data, res);

    /* One that begins there is 0: the same sign as from read(). */
    if (read_once(ctx, fd, data, 1, st.st_size, &res) == -1)
        die("io_submit");
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_PREAD %s", path);
    }
    printf("1 byte at %lld: ", (long long)st.st_size);
    show(res, 1);

    /* A bad buffer: taken all the same, and the event tells. */
    if (read_once(ctx, fd, constant, 1, 0, &res) == -1)
        die("io_submit");
    if (res < 0 && res != -EFAULT) {
        errno = -res;
        die("IOCB_CMD_PREAD %s", path);
    }
    printf("into a constant: taken by io_submit, ");
    show(res, 1);

    /* A bad descriptor: io_submit refuses it, and there is no event. */
    if (read_once(ctx, -1, data, 1, 0, &res) == -1)
        printf("from descriptor -1: refused by io_submit, %s\n",
               strerror(errno));

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
