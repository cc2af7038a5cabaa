/*
 * fsync.c - writes that are on the disk, in the right order
 *
 * aio_fsync() queued right behind a write to FILE covers that write: unlike
 * IOCB_CMD_FDSYNC of Linux AIO, which may run ahead of it, it begins when the
 * requests that were queued for the descriptor before it are done. A full
 * pipe, where a write takes as long as we want, proves it.
 *
 * Build:  cc -o fsync fsync.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./fsync FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MUCH = 2 << 20 };        /* bytes, more than any pipe holds */

static const char usage[] =
    "Usage: fsync FILE\n"
    "Makes FILE, or empties it, and writes two lines to it, durably.\n";

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

/* An error's name: the words of strerror() differ between C libraries. */
static const char *name(int error)
{
    switch (error) {
    case 0:
        return "0";
    case EAGAIN:
        return "EAGAIN";
    case EBADF:
        return "EBADF";
    case ECANCELED:
        return "ECANCELED";
    case EINPROGRESS:
        return "EINPROGRESS";
    case EINTR:
        return "EINTR";
    case EINVAL:
        return "EINVAL";
    case EIO:
        return "EIO";
    default:
        return strerror(error);
    }
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    memset(aiocb, 0, sizeof(*aiocb));
    aiocb->aio_fildes = fd;
    aiocb->aio_buf = data;
    aiocb->aio_nbytes = nbytes;
    aiocb->aio_offset = offset;
    aiocb->aio_sigevent.sigev_notify = SIGEV_NONE;
}

/* Sleeps until a request is done. Asking aio_error() in a loop would spin. */
static void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, NULL) == -1 && errno != EINTR)
            die("aio_suspend");
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);       /* returned: errno is not set */
    ssize_t n = aio_return(aiocb);      /* once for each request */

    if (error != 0) {
        errno = error;
        die("%s %s", call, path);
    }
    if (n == -1)
        die("aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        die("%s %s: only %zd of %zu bytes", call, path, n,
            aiocb->aio_nbytes);
    }
}

/* Writes text at `offset` and syncs it, without a wait between the two. */
static void write_durably(int fd, char *text, off_t offset, int op,
                          const char *path)
{
    struct aiocb writing, syncing;

    prepare(&writing, fd, text, strlen(text), offset);
    if (aio_write(&writing) == -1)
        die("aio_write %s", path);
    prepare(&syncing, fd, NULL, 0, 0);
    if (aio_fsync(op, &syncing) == -1)
        die("aio_fsync %s", path);

    /* Only the second is waited for; then the first is done as well. An
     * fsync says nothing of a write that failed: each must be checked. */
    wait_for(&syncing);
    check(&writing, "aio_write", path);
    check(&syncing, "aio_fsync", path);
    printf("%s: durable are %zu bytes\n", op == O_DSYNC ? "O_DSYNC" :
           "O_SYNC", strlen(text));
}

int main(int argc, char **argv)
{
    static char much[MUCH];
    const char *path = argv[1];
    char first[] = "as fdatasync() does\n", second[] = "as fsync() does\n";
    struct aiocb writing, syncing;
    ssize_t n, drained = 0;
    int fd, ends[2];

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* O_DSYNC: the data, and what is needed to read them again. O_SYNC: all
     * that is known of the file, times included. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    write_durably(fd, first, 0, O_DSYNC, path);
    write_durably(fd, second, strlen(first), O_SYNC, path);

    /* The order. The write cannot end before somebody reads the pipe. */
    if (pipe(ends) == -1)
        die("pipe");
    prepare(&writing, ends[1], much, sizeof(much), 0);
    if (aio_write(&writing) == -1)
        die("aio_write pipe");
    prepare(&syncing, ends[1], NULL, 0, 0);
    if (aio_fsync(O_DSYNC, &syncing) == -1)
        die("aio_fsync pipe");
    printf("pipe: write %s, fsync %s\n", name(aio_error(&writing)),
           name(aio_error(&syncing)));

    /* Now it can; and then it turns out that a pipe cannot be synced. */
    while (drained < MUCH) {
        n = read(ends[0], much, sizeof(much));
        if (n == -1)
            die("read pipe");
        drained += n;
    }
    wait_for(&syncing);
    printf("pipe is read: write %s, fsync %s\n", name(aio_error(&writing)),
           name(aio_error(&syncing)));
    check(&writing, "aio_write", "pipe");

    /* There are no other ways to sync: this is refused on the spot. */
    prepare(&syncing, fd, NULL, 0, 0);
    if (aio_fsync(0, &syncing) == -1)
        printf("neither: -1 %s\n", name(errno));

    /* Tear down. */
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close pipe");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
