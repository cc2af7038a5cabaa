/*
 * vectored.c - one request, many buffers
 *
 * Writes records to FILE. The header, the body and the padding of each lie
 * in different places of memory: one IOCB_CMD_PWRITEV gathers them without
 * a copy, one IOCB_CMD_PREADV scatters them again. All records go in one
 * batch, with O_DIRECT where it is to be had. Then each segment must be
 * aligned, and one that is not fails its whole request.
 *
 * Build:  cc -o vectored vectored.c
 * Usage:  ./vectored FILE
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
#include <sys/uio.h>
#include <unistd.h>

enum {
    RECORDS = 4,
    HEADER = 4096,              /* bytes, aligned for almost every disk */
    BODY = 8192,
    PADDING = 4096,
    RECORD = HEADER + BODY + PADDING
};

/* In memory, headers lie with headers and bodies with bodies. */
struct buffers {
    char header[RECORDS][HEADER];
    char body[RECORDS][BODY];
    char padding[RECORDS][PADDING];
};

static const char usage[] =
    "Usage: vectored FILE\n"
    "Makes FILE, or empties it, writes 4 records of 16384 bytes to it, each\n"
    "gathered from 3 buffers, and reads them apart again.\n";

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

/* Memory for all records, zeroed and aligned. */
static struct buffers *allocate(void)
{
    void *buffers;

    errno = posix_memalign(&buffers, HEADER, sizeof(struct buffers));
    if (errno != 0)
        die("posix_memalign");
    return memset(buffers, 0, sizeof(struct buffers));
}

/* Prepares one request: aio_buf is the array, aio_nbytes its length. */
static void prepare(struct iocb *iocb, int opcode, int fd,
                    const struct iovec segments[3], long record)
{
    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_data = record;
    iocb->aio_lio_opcode = opcode;
    iocb->aio_fildes = fd;
    iocb->aio_buf = (uintptr_t)segments;
    iocb->aio_nbytes = 3;                   /* segments, not bytes */
    iocb->aio_offset = record * RECORD;     /* bytes */
}

/*
 * Submits all nr requests and waits for them. res[i] is then what the event
 * with aio_data i says: bytes, or a negative errno.
 */
static void transfer(aio_context_t ctx, struct iocb *iocbs, int nr,
                     long long *res)
{
    struct iocb *list[RECORDS];
    struct io_event events[RECORDS];
    int submitted = 0, done = 0, n;

    for (int i = 0; i < nr; i++)
        list[i] = &iocbs[i];

    /* Submit, and go on after a partial count. */
    while (submitted < nr) {
        n = io_submit(ctx, nr - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            die("io_submit");
        if (n > 0)
            submitted += n;
    }

    /* Reap. There is one result for all segments of a request. */
    while (done < nr) {
        n = io_getevents(ctx, 1, RECORDS, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        for (int i = 0; i < n; i++, done++)
            res[events[i].data] = events[i].res;
    }
}

/* Writes, or reads, all records in one batch of requests. */
static void transfer_records(aio_context_t ctx, int opcode, int fd,
                             struct buffers *buffers)
{
    struct iovec segments[RECORDS][3];
    struct iocb iocbs[RECORDS];
    long long res[RECORDS];

    for (int i = 0; i < RECORDS; i++) {
        segments[i][0].iov_base = buffers->header[i];
        segments[i][0].iov_len = HEADER;
        segments[i][1].iov_base = buffers->body[i];
        segments[i][1].iov_len = BODY;
        segments[i][2].iov_base = buffers->padding[i];
        segments[i][2].iov_len = PADDING;
        prepare(&iocbs[i], opcode, fd, segments[i], i);
    }
    transfer(ctx, iocbs, RECORDS, res);
    for (int i = 0; i < RECORDS; i++) {
        if (res[i] != RECORD) {
            errno = res[i] < 0 ? -res[i] : EIO;
            die("%s record %d", opcode == IOCB_CMD_PWRITEV ?
                "IOCB_CMD_PWRITEV" : "IOCB_CMD_PREADV", i);
        }
    }
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const int flags = O_RDWR | O_CREAT | O_TRUNC;
    struct buffers *out, *in;
    struct iovec odd[3];
    struct iocb iocb;
    aio_context_t ctx = 0;
    long long res;
    int fd;

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
    if (io_setup(RECORDS, &ctx) == -1)
        die("io_setup");
    out = allocate();
    in = allocate();

    /* Write: each record is gathered from three places. */
    for (int i = 0; i < RECORDS; i++) {
        snprintf(out->header[i], HEADER, "record %d\n", i);
        memset(out->body[i], 'a' + i, BODY);
    }
    transfer_records(ctx, IOCB_CMD_PWRITEV, fd, out);
    printf("PWRITEV: %d records of %d + %d + %d bytes\n", RECORDS, HEADER,
           BODY, PADDING);

    /* Read: each record is scattered to three places. */
    transfer_records(ctx, IOCB_CMD_PREADV, fd, in);
    if (memcmp(in, out, sizeof(*in)) != 0) {
        errno = EIO;
        die("read back %s", path);
    }
    printf("PREADV: headers, bodies and padding as they were written\n");

    /* One odd segment: with O_DIRECT it fails the request as a whole. */
    odd[0].iov_base = in->header[0];
    odd[0].iov_len = HEADER;
    odd[1].iov_base = in->body[0];
    odd[1].iov_len = 100;
    odd[2].iov_base = in->padding[0];
    odd[2].iov_len = PADDING;
    prepare(&iocb, IOCB_CMD_PREADV, fd, odd, 0);
    transfer(ctx, &iocb, 1, &res);
    if (res == -EINVAL)
        printf("PREADV with a segment of 100 bytes: %s\n", strerror(EINVAL));
    else if (res == HEADER + 100 + PADDING)
        printf("PREADV with a segment of 100 bytes: fine, without alignment\n");
    else {
        errno = res < 0 ? -res : EIO;
        die("IOCB_CMD_PREADV %s", path);
    }

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(in);
    free(out);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
