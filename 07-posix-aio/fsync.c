/*
 * fsync.c - writes that are on the disk, in the right order
 *
 * aio_fsync() right behind a write to FILE covers that write, unlike
 * IOCB_CMD_FDSYNC of Linux AIO: it begins when all is done that was queued for
 * the descriptor before it. A full pipe, where a write takes as long as we
 * want, proves it; and that what was queued for a copy does not count.
 *
 * Build:  cc -o fsync fsync.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./fsync FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *path;

static void write_durably(int fd, char *text, off_t offset, int op);
static void sync_behind_a_write(void);
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    char first[] = "as fdatasync() does\n", second[] = "as fsync() does\n";
    int fd;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);

    /* O_DSYNC: the data, and what is needed to read them again. O_SYNC: all
     * that is known of the file, times included. */
    write_durably(fd, first, 0, O_DSYNC);
    write_durably(fd, second, strlen(first), O_SYNC);

    sync_behind_a_write();

    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    *aiocb = (struct aiocb){
        .aio_fildes = fd,
        .aio_buf = data,
        .aio_nbytes = nbytes,
        .aio_offset = offset,
        .aio_sigevent.sigev_notify = SIGEV_NONE,
    };
}

/* Sleeps until a request is done. Asking aio_error() in a loop would spin. */
static void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec limit = { 10, 0 }; /* anew after each signal, */
    const time_t end = time(NULL) + 10;      /* but not for ever */

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 &&
            (errno != EINTR || time(NULL) > end))
            err(1, "aio_suspend");
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);  /* returned: errno is not set */
    ssize_t n = aio_return(aiocb); /* once for each request */

    if (error != 0) {
        errno = error;
        err(1, "%s %s", call, path);
    }
    if (n == -1)
        err(1, "aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        err(1, "%s %s: only %zd of %zu bytes", call, path, n,
            aiocb->aio_nbytes);
    }
}

/* Writes text at `offset` and syncs it, without a wait between the two. */
static void write_durably(int fd, char *text, off_t offset, int op)
{
    struct aiocb writing, syncing;

    prepare(&writing, fd, text, strlen(text), offset);
    if (aio_write(&writing) == -1)
        err(1, "aio_write %s", path);
    prepare(&syncing, fd, NULL, 0, 0);
    if (aio_fsync(op, &syncing) == -1)
        err(1, "aio_fsync %s", path);

    /* A sync says nothing of a write that failed; and if the sync fails,
     * POSIX does not promise that the write is over. So look at both. */
    wait_for(&syncing);
    wait_for(&writing);
    check(&writing, "aio_write", path);
    check(&syncing, "aio_fsync", path);
    printf("%s: %zu bytes are on the disk\n",
           op == O_DSYNC ? "O_DSYNC" : "O_SYNC", strlen(text));
}

/* The write of a byte into a full pipe cannot end: which sync waits for it? */
static void sync_behind_a_write(void)
{
    static char full[65536], room[65536];
    struct aiocb writing, syncing, of_copy;
    int ends[2], copy, size;

    if (pipe(ends) == -1)
        err(1, "pipe");
    copy = dup(ends[1]);
    if (copy == -1)
        err(1, "dup");
    size = fcntl(ends[1], F_SETPIPE_SZ, 1); /* a page */
    if (size == -1 || write(ends[1], full, size) != size)
        err(1, "write pipe");
    prepare(&writing, ends[1], full, 1, 0);
    if (aio_write(&writing) == -1)
        err(1, "aio_write pipe");
    prepare(&syncing, ends[1], NULL, 0, 0);
    if (aio_fsync(O_DSYNC, &syncing) == -1)
        err(1, "aio_fsync pipe");
    prepare(&of_copy, copy, NULL, 0, 0);
    if (aio_fsync(O_DSYNC, &of_copy) == -1)
        err(1, "aio_fsync pipe");

    wait_for(&of_copy);
    printf("pipe is full, write: %s\n", strerror(aio_error(&writing)));
    printf("  sync of a copy of the descriptor: %s\n",
           strerror(aio_error(&of_copy)));
    printf("  sync of the descriptor: %s\n", strerror(aio_error(&syncing)));

    /* Now there is room; and then it turns out that a pipe has no sync. */
    for (ssize_t n; size > 0; size -= n) {
        n = read(ends[0], room, size);
        if (n == -1)
            err(1, "read pipe");
    }
    wait_for(&syncing);
    wait_for(&writing);
    check(&writing, "aio_write", "pipe");
    printf("pipe is read, write: done\n");
    printf("  sync of the descriptor: %s\n", strerror(aio_error(&syncing)));

    if (close(ends[0]) == -1 || close(ends[1]) == -1 || close(copy) == -1)
        err(1, "close pipe");
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

static const char usage[] =
    "Usage: fsync FILE\n"
    "Makes FILE, or empties it, and writes two lines to it, durably.\n";

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
