/*
 * 3-sync-beside.c - exercise 2.3, find the bug (medium)
 *
 * Writes TEXT to FILE and has the disk keep it, with two requests: a write
 * and an FDSYNC. They go out together, for that is what a list is for. But
 * nothing promises that this sync covers this write.
 *
 * Task:   Have the FDSYNC cover the write. Where the write has failed, there
 *         is nothing to sync: submit no FDSYNC then.
 * Output: "N bytes are on the disk", status 0. If a request fails: status 1,
 *         and on stderr "3-sync-beside: IOCB_CMD_PWRITE FILE: reason", or
 *         the same with IOCB_CMD_FDSYNC. A write that is not whole counts as
 *         failed, with EIO; what stands before ": reason" is yours then.
 * Read:   02-single-write/README.md, line 341 (The write has completed. Pull
 *         the plug: is the data there?);
 *         02-single-write/durable-write.c
 * Check:  make exercise-2.3
 *
 * Build:  cc -o 3-sync-beside 3-sync-beside.c
 * Usage:  ./3-sync-beside FILE [TEXT]
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

static const char *path;

static void check(const char *command, const char *file, long long res);
static void sync_folder(void);
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
    const char *text = "Hello, durable world!\n";
    aio_context_t ctx = 0;
    struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
    struct io_event events[2];
    int fd, n, submitted = 0, reaped = 0;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        text = argv[2];

    /* Set up: a file and a context. */
    if (io_setup(2, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_WRONLY | O_NOFOLLOW);
    if (fd == -1)
        err(1, "open %s", path);

    /* Prepare: the write, and the request that waits for the disk. */
    iocbs[0] = (struct iocb){
        .aio_data = 0,
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)text,
        .aio_nbytes = strlen(text),
    };
    iocbs[1] = (struct iocb){
        .aio_data = 1,
        .aio_lio_opcode = IOCB_CMD_FDSYNC,
        .aio_fildes = fd,
    };

    /* Submit both. EDIT HERE: which one is done first? */
    while (submitted < 2) {
        n = io_submit(ctx, 2 - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            err(1, "io_submit");
        if (n > 0)
            submitted += n;
    }
    while (reaped < 2) {
        n = io_getevents(ctx, 1, 2 - reaped, events + reaped, NULL);
        if (n == -1 && errno != EINTR)
            err(1, "io_getevents");
        if (n > 0)
            reaped += n;
    }

    /* Check: each event says whose it is. */
    for (int i = 0; i < 2; i++) {
        long long res = events[i].res;

        if (events[i].data == 0 && res >= 0 && (size_t)res != strlen(text))
            res = -EIO;
        check(events[i].data == 0 ? "IOCB_CMD_PWRITE" : "IOCB_CMD_FDSYNC", path,
              res);
    }
    sync_folder();
    printf("%zu bytes are on the disk\n", strlen(text));

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Ends the program if a request has failed; errno does not know of it. */
static void check(const char *command, const char *file, long long res)
{
    if (res < 0) {
        errno = -res;
        err(1, "%s %s", command, file);
    }
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
    "Usage: 3-sync-beside FILE [TEXT]\n"
    "Makes FILE, or empties it, writes TEXT to it and brings it to the disk.\n";

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
