/*
 * 4-wal.c - exercise 6.4, extend (hard, for a weekend)
 *
 * A write-ahead log. `write` takes records from standard input, a line each,
 * appends them to FILE and says "durable: N" when records 1 to N will be there
 * whatever happens; what it says of record N it says of all before. `read`
 * prints the records that are whole, in order, after a crash as well. All of
 * this is right as it is. But each record pays for a write, through the page
 * cache, and for a sync of its own: a disk that confirms in 5 ms has 200
 * records a second.
 *
 * Task:   Group commit. While the disk is busy, records come in: write all
 *         that are there, in one piece, and have one IOCB_CMD_FDSYNC cover
 *         them, submitted when nothing else is in flight. 300 records that
 *         are there at once take 15 syncs or fewer, and 30 writes. But no
 *         record waits for another one to come. O_DIRECT, if the filesystem
 *         has it, and space allocated ahead, if it can: not again for each
 *         group. The log's format is yours.
 *         A crash may come at any time, also in the middle of a write: then
 *         a part of it is on the disk. What lies behind the last record
 *         can be anything: zeros, half a group, or older ones of this log.
 *         `read` prints what was durable, and perhaps more, but never a
 *         record that was not given, or twice, or behind a missing one.
 * Output: write: lines "durable: N", N rising, the last one for all records.
 *         read: the records. Status 0, for a damaged log too. If anything
 *         fails, status 1, no further "durable", and "4-wal: CALL: reason"
 *         or "4-wal: CALL FILE: reason", with the CALLs IOCB_CMD_PWRITE and
 *         IOCB_CMD_FDSYNC (a short write may be continued, or is EIO). A
 *         record has up to 4000 bytes with its newline, and a rest without
 *         one is none.
 * Read:   02-single-write/README.md, line 341 (The write has completed. Pull
 *         the plug: is the data there?);
 *         04-odirect/README.md, line 801 (The power fails in the middle of a
 *         write. What is in the file?);
 *         04-odirect/README.md, line 966 (What is on the disk when the event
 *         has come?);
 *         06-vectored/exercises/3-log-writer.c
 * Check:  make exercise-6.4
 *
 * Build:  cc -o 4-wal 4-wal.c
 * Usage:  ./4-wal write|read FILE
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
#include <unistd.h>

enum { LONGEST = 4000 }; /* bytes */

/* EDIT HERE, and wherever you like: one after the other, as long as it is. */
static struct {
    uint32_t sum, number, length; /* bytes of text */
    char text[LONGEST + 1];       /* a line */
} record;
enum { HEAD = sizeof(record.sum) * 3 };

static const char *path;

static void write_log(void), read_log(void);
static long gather(void);
static uint32_t sum(void);
static long long perform(aio_context_t ctx, struct iocb *iocb);
static void check(const char *command, const char *file, long long res);
static void sync_file(aio_context_t ctx, int fd), sync_folder(void);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    start(argc, argv, 2, 2);
    path = argv[2];
    if (!strcmp(argv[1], "write"))
        write_log();
    else if (!strcmp(argv[1], "read"))
        read_log();
    else
        start(1, argv, 2, 2); /* says how it is used, and ends */
    return EXIT_SUCCESS;
}

/* Record after record: a write, and a sync that covers it. */
static void write_log(void)
{
    aio_context_t ctx = 0;
    long long end = 0, res;
    long length;
    int fd;

    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    sync_folder();

    /* EDIT HERE: each record waits for the disk, and all others for it. */
    while ((length = gather()) > 0) {
        res = perform(ctx, &(struct iocb){ .aio_lio_opcode = IOCB_CMD_PWRITE,
                                           .aio_fildes = fd,
                                           .aio_buf = (uintptr_t)&record,
                                           .aio_nbytes = length,
                                           .aio_offset = end });
        check("IOCB_CMD_PWRITE", path, res >= 0 && res < length ? -EIO : res);
        sync_file(ctx, fd);
        printf("durable: %lu\n", (unsigned long)record.number);
        end += length;
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/* The next record. Returns how many bytes it takes, or 0 at the end. */
static long gather(void)
{
    if (fgets(record.text, sizeof(record.text), stdin) == NULL) {
        if (ferror(stdin))
            err(1, "standard input");
        return 0;
    }
    record.length = strlen(record.text);
    if (record.text[record.length - 1] != '\n') {
        if (feof(stdin))
            return 0;
        errx(1, "standard input: a record is too long");
    }
    record.number++;
    record.sum = sum();
    return HEAD + record.length;
}

/* Prints all records that are whole, up to the first that is not. */
static void read_log(void)
{
    long long at = 0;
    int fd = open(path, O_RDONLY);

    if (fd == -1)
        err(1, "open %s", path);
    for (uint32_t number = 1;; number++) {
        ssize_t n = pread(fd, &record, sizeof(record), at);

        if (n == -1)
            err(1, "pread %s", path);
        if (n < HEAD || record.number != number || record.length == 0 ||
            HEAD + (long long)record.length > n || record.sum != sum())
            break;
        fwrite(record.text, 1, record.length, stdout);
        at += HEAD + record.length;
    }
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/* Of all of the record but this very number: FNV-1a. */
static uint32_t sum(void)
{
    const char *end = record.text + record.length;
    uint32_t sum = 2166136261;

    for (const char *byte = (char *)&record.number; byte < end; byte++)
        sum = (sum ^ (unsigned char)*byte) * 16777619;
    return sum;
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
    "Usage: 4-wal write|read FILE\n"
    "write: makes FILE, or empties it, and logs the lines of standard input.\n"
    "read: prints what is in the log.\n";

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
