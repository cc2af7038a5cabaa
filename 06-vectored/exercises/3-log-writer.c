/*
 * 3-log-writer.c - exercise 6.3, extend
 *
 * Writes a log of records to FILE, each gathered from a header and a body.
 * It is as slow as can be: one record at a time, through the page cache, and
 * after each the disk has to confirm. And a short write goes unnoticed.
 *
 * Task:   Make it what these chapters have taught: O_DIRECT if the filesystem
 *         has it; up to DEPTH records in flight, and a new one whenever one
 *         is done, also when an io_submit() found no room; one FDSYNC, when
 *         all records are written.
 * Output: As it is: "written: N records". If anything fails: status 1 and
 *         "3-log-writer: CALL: reason", "3-log-writer: IOCB_CMD_PWRITEV FILE:
 *         reason" or the same with IOCB_CMD_FDSYNC. A write that came up
 *         short has failed, too, and the reason is EIO's.
 * Read:   03-batch-submit/README.md, line 23 (The idea);
 *         04-odirect/README.md, line 58 (The code that matters);
 *         06-vectored/README.md, line 47 (The code that matters);
 *         06-vectored/vectored.c;
 *         03-batch-submit/batch-submit.c
 * Check:  make exercise-6.3
 *
 * Build:  cc -o 3-log-writer 3-log-writer.c
 * Usage:  ./3-log-writer FILE [RECORDS [DEPTH]]
 * Needs:  Linux 4.18 (IOCB_CMD_FDSYNC)
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
    HEADER = 4096,              /* bytes, aligned for almost every disk */
    BODY = 8192,
    RECORD = HEADER + BODY
};

/* A record, and the request that writes it. */
struct record {
    _Alignas(HEADER) char header[HEADER];
    char body[BODY];
    struct iovec segments[2];
    struct iocb iocb;
};

static const char usage[] =
    "Usage: 3-log-writer FILE [RECORDS [DEPTH]]\n"
    "Makes FILE, or empties it, and writes RECORDS (20) of 12288 bytes to it,\n"
    "up to DEPTH (4) at a time.\n";

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
/* Record number i: its content, and the request for it. */
static void prepare(struct record *record, int fd, long i)
{
    struct iocb *iocb = &record->iocb;
    char label[32];
    int length = snprintf(label, sizeof(label), "record %ld\n", i);

    memset(record->header, '.', HEADER);
    memcpy(record->header, label, length);
    memset(record->body, 'a' + i % 26, BODY);
    record->segments[0].iov_base = record->header;
    record->segments[0].iov_len = HEADER;
    record->segments[1].iov_base = record->body;
    record->segments[1].iov_len = BODY;

    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_data = (uintptr_t)record;
    iocb->aio_lio_opcode = IOCB_CMD_PWRITEV;
    iocb->aio_fildes = fd;
    iocb->aio_buf = (uintptr_t)record->segments;
    iocb->aio_nbytes = 2;                       /* segments */
    iocb->aio_offset = (long long)i * RECORD;   /* bytes */
}

/* Submits one request, and waits for it. Returns its event's res. */
static long long do_one(aio_context_t ctx, struct iocb *iocb)
{
    struct io_event event;
    int n;

    do
        n = io_submit(ctx, 1, &iocb);
    while (n == 0 || (n == -1 && errno == EINTR));
    if (n == -1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == 0 || (n == -1 && errno == EINTR));
    if (n == -1)
        die("io_getevents");
    return event.res;
}

/* The disk confirms that it has what was written before. */
static void sync_file(aio_context_t ctx, int fd, const char *path)
{
    struct iocb iocb;
    long long res;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_FDSYNC;
    iocb.aio_fildes = fd;
    res = do_one(ctx, &iocb);
    if (res != 0) {
        errno = res < 0 ? -res : EIO;
        die("IOCB_CMD_FDSYNC %s", path);
    }
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    long records = 20, depth = 4;
    aio_context_t ctx = 0;
    void *memory;
    struct record *record;
    long long res;
    int fd;

    check_arguments(argc, argv, 1, 3);
    if (argc > 2)
        records = number(argv[2], 1, 1000000);
    if (argc > 3)
        depth = number(argv[3], 1, 1024);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file, memory for a record, and a context. */
    fd = open(path, flags, 0666);
    if (fd == -1)
        die("open %s", path);
    errno = posix_memalign(&memory, HEADER, sizeof(*record));
    if (errno != 0)
        die("posix_memalign");
    record = memory;
    if (io_setup(depth, &ctx) == -1)
        die("io_setup");

    /* EDIT HERE: each record waits for the one before it, and for the disk.
     * And when may a record's memory be used again? */
    for (long i = 0; i < records; i++) {
        prepare(record, fd, i);
        res = do_one(ctx, &record->iocb);
        if (res < 0) {
            errno = -res;
            die("IOCB_CMD_PWRITEV %s", path);
        }
        sync_file(ctx, fd, path);
    }
    printf("written: %ld records\n", records);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(memory);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
