/*
 * 4-wal.c - solution 6.4, one write and one sync for all that is there
 *
 * A group is a head and the records, as they came, in whole blocks. While its
 * write and its sync are waited for, the pipe gathers the next one: so the
 * slower the disk, the larger the groups, and nobody has to guess a size or
 * a time. The head has a checksum of all, and the group's number: what is
 * torn, or was left there by another life of the file, is no group.
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

enum { BLOCK = 4096, GROUP = 16 * BLOCK, AHEAD = 1 << 20 }; /* bytes */

/* What a write puts into FILE: whole blocks, the rest of the last one zeros. */
static union {
    struct {
        uint32_t sum, number, records, length; /* bytes of text */
        char text[GROUP - 16];                 /* lines */
    };
    _Alignas(BLOCK) char bytes[GROUP];
} group;

static const char *path;

static void write_log(void), read_log(void);
static long gather(void), whole_blocks(long length);
static void allocate(int fd, long long end);
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

/* Group after group: one write, and one sync that covers it. */
static void write_log(void)
{
    aio_context_t ctx = 0;
    long long end = 0, res;
    unsigned long durable = 0;
    long length, taken;
    int fd;

    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    sync_folder();

    while ((taken = gather()) > 0) {
        length = whole_blocks(group.text - group.bytes + taken);
        allocate(fd, end + length);
        res = perform(ctx, &(struct iocb){ .aio_lio_opcode = IOCB_CMD_PWRITE,
                                           .aio_fildes = fd,
                                           .aio_buf = (uintptr_t)group.bytes,
                                           .aio_nbytes = length,
                                           .aio_offset = end });
        check("IOCB_CMD_PWRITE", path, res >= 0 && res < length ? -EIO : res);
        sync_file(ctx, fd);
        durable += group.records;
        printf("durable: %lu\n", durable);
        end += length;
    }

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/*
 * The next group: all the lines that are there. Waits only if there is none.
 * Returns how many bytes they have, or 0 at the end.
 */
static long gather(void)
{
    static char rest[sizeof(group.text)]; /* a line that is not whole yet */
    static size_t kept;
    size_t have = kept;
    char *last;

    memcpy(group.text, rest, kept);
    while ((last = memrchr(group.text, '\n', have)) == NULL) {
        size_t room = sizeof(group.text) - have;
        ssize_t n;

        if (room == 0)
            errx(1, "standard input: a record is too long");
        n = read(STDIN_FILENO, group.text + have, room);
        if (n == -1 && errno != EINTR)
            err(1, "standard input");
        if (n == 0)
            return 0;
        if (n > 0)
            have += n;
    }
    group.length = last + 1 - group.text;
    kept = have - group.length;
    memcpy(rest, last + 1, kept);
    memset(last + 1, 0, sizeof(group.text) - group.length);
    group.number++;
    group.records = 0;
    for (uint32_t i = 0; i < group.length; i++)
        group.records += group.text[i] == '\n';
    group.sum = sum();
    return group.length;
}

static long whole_blocks(long length)
{
    return (length + BLOCK - 1) / BLOCK * BLOCK;
}

/*
 * Sees to it that the file has blocks up to `end`, and is that long: with
 * FALLOC_FL_KEEP_SIZE each write would still make it longer, and wait.
 */
static void allocate(int fd, long long end)
{
    static long long allocated; /* bytes */

    while (allocated < end) {
        if (fallocate(fd, 0, allocated, AHEAD) == 0 || errno == EOPNOTSUPP)
            allocated += AHEAD;
        else if (errno != EINTR)
            err(1, "fallocate %s", path);
    }
}

/* Prints the records of all groups that are whole, until one is not. */
static void read_log(void)
{
    const long head = group.text - group.bytes;
    long long at = 0;
    int fd = open(path, O_RDONLY);

    if (fd == -1)
        err(1, "open %s", path);
    for (uint32_t number = 1;; number++) {
        ssize_t n = pread(fd, group.bytes, GROUP, at);

        if (n == -1)
            err(1, "pread %s", path);
        if (n < head || group.number != number || group.length == 0 ||
            head + (long long)group.length > n || group.sum != sum())
            break;
        fwrite(group.text, 1, group.length, stdout);
        at += whole_blocks(head + group.length);
    }
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/* Of all of the group but this very number: FNV-1a. */
static uint32_t sum(void)
{
    const char *end = group.text + group.length;
    uint32_t sum = 2166136261;

    for (const char *byte = group.bytes + sizeof(sum); byte < end; byte++)
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
