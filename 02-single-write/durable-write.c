/*
 * durable-write.c - a write that survives a power cut
 *
 * A write is done when the page cache has the data. IOCB_CMD_FDSYNC brings it
 * to the disk, but covers only what was written by then: so wait for the
 * write's event, and only then submit the FDSYNC.
 *
 * Build:  cc -o durable-write durable-write.c
 * Usage:  ./durable-write FILE [TEXT]
 * Needs:  Linux 4.18 (IOCB_CMD_FSYNC and IOCB_CMD_FDSYNC)
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

static const char *path;

static long long perform(aio_context_t ctx, struct iocb *iocb);
static void check(const char *command, const char *file, long long res);
static void start(int argc, char **argv, int min, int max);
static int create_in(int folder, int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    const char *text = "Hello, durable world!\n";
    aio_context_t ctx = 0;
    struct iocb iocb;
    long long res;
    char *copy, *name;
    int fd, dirfd;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        text = argv[2];

    /* Set up. The file is last: no old one is emptied if an error comes. */
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    copy = strdup(path); /* dirname() changes what it is given */
    if (copy == NULL)
        err(1, "strdup");
    name = dirname(copy);
    dirfd = open(name, O_RDONLY | O_DIRECTORY);
    if (dirfd == -1)
        err(1, "open %s", name);
    fd = create_in(dirfd, O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* Write. The event says that the page cache has the data, no more. */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)text,
        .aio_nbytes = strlen(text),
    };
    res = perform(ctx, &iocb);
    check("IOCB_CMD_PWRITE", path, res);
    if ((size_t)res != strlen(text)) {
        errno = EIO;
        err(1, "IOCB_CMD_PWRITE %s: only %lld of %zu bytes written", path, res,
            strlen(text));
    }
    printf("IOCB_CMD_PWRITE: %lld bytes are in the page cache\n", res);

    /*
     * Sync the file, now that the write is done. FDSYNC is fdatasync():
     * the data, and of the file's attributes what reading it needs, such
     * as its size. Errors of the disk come out here, too. All other fields of
     * the request must be 0: there is no way to sync a part of a file.
     */
    iocb = (struct iocb){ .aio_lio_opcode = IOCB_CMD_FDSYNC, .aio_fildes = fd };
    res = perform(ctx, &iocb);
    check("IOCB_CMD_FDSYNC", path, res);
    printf("IOCB_CMD_FDSYNC: the data is on the disk\n");

    /* A new file needs its name there as well: that is in the folder. */
    iocb = (struct iocb){ .aio_lio_opcode = IOCB_CMD_FSYNC,
                          .aio_fildes = dirfd };
    res = perform(ctx, &iocb);
    check("IOCB_CMD_FSYNC", name, res);
    printf("IOCB_CMD_FSYNC of the folder: the file's name is, too\n");

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(dirfd) == -1)
        err(1, "close %s", name);
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(copy);
    return EXIT_SUCCESS;
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

/*
 * Makes FILE or empties it, in the very folder that will be synced. Devices
 * and pipes are left alone; so are links, whose file has its name elsewhere.
 */
static int create_in(int folder, int flags)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct stat st;

    if (slash != NULL && *name == '\0') /* "folder/" */
        name = ".";
    if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: %s", path,
             S_ISLNK(st.st_mode) ? "is a symbolic link" : "not a regular file");
    return openat(folder, name, flags | O_NOFOLLOW | O_CREAT | O_TRUNC, 0666);
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
    "Usage: durable-write FILE [TEXT]\n"
    "Makes FILE, or empties it, and writes TEXT to it, durably.\n";

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
