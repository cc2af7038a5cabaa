/*
 * 3-log-writer.c - exercise 6.3, extend (hard)
 *
 * Writes a log of records to FILE, each gathered from a header and a body.
 * It is as slow as can be: one record at a time, through the page cache, and
 * after each the disk has to confirm. And a short write goes unnoticed.
 *
 * Task:   Make it what these chapters have taught: O_DIRECT if the filesystem
 *         has it; up to DEPTH records in flight, and a new one whenever one
 *         is done, also when an io_submit() found no room; one FDSYNC, when
 *         all records are written. The folder is synced in the end, as now.
 * Output: As it is: "written: N records". If anything fails: status 1 and
 *         "3-log-writer: CALL: reason", "3-log-writer: IOCB_CMD_PWRITEV FILE:
 *         reason" or the same with IOCB_CMD_FDSYNC. A write that came up
 *         short has failed, too, and the reason is EIO's.
 * Read:   03-batch-submit/README.md, line 24 (The idea);
 *         04-odirect/README.md, line 70 (The code that matters);
 *         06-vectored/README.md, line 50 (The code that matters);
 *         06-vectored/vectored.c;
 *         03-batch-submit/batch-submit.c
 * Check:  make exercise-6.3
 *
 * Build:  cc -o 3-log-writer 3-log-writer.c
 * Usage:  ./3-log-writer FILE [RECORDS [DEPTH]]
 * Needs:  Linux 4.18 (IOCB_CMD_FDSYNC)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEADER = 4096, BODY = 8192, RECORD = HEADER + BODY }; /* bytes */

/* A record, and the request that writes it. */
struct record {
    _Alignas(HEADER) char header[HEADER]; /* aligned for almost every disk */
    char body[BODY];
    struct iovec segments[2];
    struct iocb iocb;
};

static const char *path;
static long records = 20, depth = 4;

static void fill_in(struct record *record, int fd, long i);
static long long perform(aio_context_t ctx, struct iocb *iocb);
static void check(const char *command, const char *file, long long res);
static void sync_file(aio_context_t ctx, int fd), sync_folder(void);
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
    struct record *record;
    aio_context_t ctx = 0;
    void *memory;
    int fd;

    start(argc, argv, 1, 3);
    path = argv[1];
    if (argc > 2)
        records = number(argv[2], 1, 1000000);
    if (argc > 3)
        depth = number(argv[3], 1, 1024);
    if (io_setup(depth, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    errno = posix_memalign(&memory, HEADER, sizeof(*record));
    if (errno != 0)
        err(1, "posix_memalign");
    record = memory;

    /* EDIT HERE: each record waits for the one before it, and for the disk.
     * And when may a record's memory be used again? */
    for (long i = 0; i < records; i++) {
        fill_in(record, fd, i);
        check("IOCB_CMD_PWRITEV", path, perform(ctx, &record->iocb));
        sync_file(ctx, fd);
    }
    sync_folder();
    printf("written: %ld records\n", records);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(memory);
    return EXIT_SUCCESS;
}

/* Record number i: its content, and the request for it. */
static void fill_in(struct record *record, int fd, long i)
{
    int length = snprintf(record->header, HEADER, "record %ld\n", i);

    memset(record->header + length, '.', HEADER - length);
    memset(record->body, 'a' + i % 26, BODY);
    record->segments[0] = (struct iovec){ record->header, HEADER };
    record->segments[1] = (struct iovec){ record->body, BODY };
    record->iocb = (struct iocb){
        .aio_data = (uintptr_t)record,
        .aio_lio_opcode = IOCB_CMD_PWRITEV,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)record->segments,
        .aio_nbytes = 2,                     /* segments */
        .aio_offset = (long long)i * RECORD, /* bytes */
    };
}

/* Submits one request and waits for its event. Returns the event's res. */
static long long perform(aio_context_t ctx, struct iocb *iocb)
{
    struct iocb *list[1] = { iocb };
    struct io_event event;
    int n;

    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        err(1, "io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        err(1, "io_getevents");
    return event.res;
}

/* Ends the program if a request has failed; errno does not know of it. */
static void check(const char *command, const char *file, long long res)
{
    if (res < 0) {
        errno = -res;
        err(1, "%s %s", command, file);
    }
}

/* The disk confirms that it has what was written before. */
static void sync_file(aio_context_t ctx, int fd)
{
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_FDSYNC, .aio_fildes = fd };

    check("IOCB_CMD_FDSYNC", path, perform(ctx, &iocb));
}

/* A new file's name is in its folder, which needs a sync of its own. */
static void sync_folder(void)
{
    char *copy = strdup(path); /* dirname() changes what it is given */
    int fd;

    if (copy == NULL)
        err(1, "strdup");
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY);
    if (fd == -1 || fsync(fd) == -1 || close(fd) == -1)
        err(1, "fsync of the folder of %s", path);
    free(copy);
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
    "Usage: 3-log-writer FILE [RECORDS [DEPTH]]\n"
    "Makes FILE, or empties it, and writes RECORDS (20) of 12288 bytes to it,\n"
    "up to DEPTH (4) at a time.\n";

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
