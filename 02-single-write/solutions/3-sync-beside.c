/*
 * 3-sync-beside.c - solution 2.3, first the write, then its FDSYNC
 *
 * Writes TEXT to FILE and has the disk keep it. Requests in flight together
 * have no order, and an FDSYNC covers what was written before it: so wait
 * for the write's event, and only then submit the FDSYNC. A list saves
 * system calls, but it is no queue.
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

static long long perform(aio_context_t ctx, struct iocb *iocb);
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
    struct iocb iocb;
    long long res;
    int fd;

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

    /* Write. With the event, the page cache has it. */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)text,
        .aio_nbytes = strlen(text),
    };
    res = perform(ctx, &iocb);
    if (res >= 0 && (size_t)res != strlen(text))
        res = -EIO;
    check("IOCB_CMD_PWRITE", path, res);

    /* Sync what is written. With the event, the disk has it. */
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_FDSYNC,
        .aio_fildes = fd,
    };
    res = perform(ctx, &iocb);
    check("IOCB_CMD_FDSYNC", path, res);
    sync_folder();
    printf("%zu bytes are on the disk\n", strlen(text));

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
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
