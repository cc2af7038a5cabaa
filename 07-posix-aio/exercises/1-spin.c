/*
 * 1-spin.c - exercise 7.1, find the bug
 *
 * Reads the beginning of FILE by POSIX AIO. While the disk is at work this
 * program is too: it asks for nothing else than whether the disk is done,
 * some millions of times a second. (Try it on a pipe that nobody writes to,
 * and look at it with top.)
 *
 * Task:   Have it sleep for as long as aio_error() says EINPROGRESS: it has
 *         to wake up when the request is done, and may wake up before, by
 *         a signal. No sleeping for some time: that is spinning, slowly.
 * Output: "read: N bytes", status 0, as before. A wait that fails ends it
 *         with status 1 and "1-spin: aio_suspend: reason".
 * Read:   07-posix-aio/README.md, line 65 (The code that matters);
 *         07-posix-aio/posix-aio.c
 * Check:  make exercise-7.1
 *
 * Build:  cc -o 1-spin 1-spin.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./1-spin FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 1-spin FILE\n"
    "Reads the first 4096 bytes of FILE, and says how many there are.\n";

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

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct aiocb aiocb;
    char data[4096];
    ssize_t length;
    int fd, error;

    check_arguments(argc, argv, 1, 1);

    /* Set up and submit: the beginning of the file. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    prepare(&aiocb, fd, data, sizeof(data), 0);
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);

    /* EDIT HERE: wait, and let others have the processor. */
    while (aio_error(&aiocb) == EINPROGRESS)
        ;

    /* Check: an error is returned, as a positive number. */
    error = aio_error(&aiocb);
    length = aio_return(&aiocb);
    if (error != 0) {
        errno = error;
        die("aio_read %s", path);
    }
    printf("read: %zd bytes\n", length);

    /* Tear down. */
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
