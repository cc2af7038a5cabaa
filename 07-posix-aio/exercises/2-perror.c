/*
 * 2-perror.c - exercise 7.2, find the bug
 *
 * Reads the beginning of FILE by POSIX AIO. When that fails it says that
 * all went well: "aio_read: Success". Give it a folder to read.
 *
 * Task:   Have it say why a read failed.
 * Output: "read: N bytes", status 0. When the read fails, status 1 and
 *         "2-perror: aio_read FILE: reason".
 * Try:    mkdir folder; ./2-perror folder
 * Read:   07-posix-aio/README.md, line 65 (The code that matters);
 *         07-posix-aio/posix-aio.c
 * Check:  make exercise-7.2
 *
 * Build:  cc -o 2-perror 2-perror.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./2-perror FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 2-perror FILE\n"
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

/* Sleeps until a request is done. Asking aio_error() in a loop would spin. */
static void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, NULL) == -1 && errno != EINTR)
            die("aio_suspend");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct aiocb aiocb;
    char data[4096];
    int fd;

    check_arguments(argc, argv, 1, 1);

    /* Set up, submit, and wait: for the beginning of the file. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    prepare(&aiocb, fd, data, sizeof(data), 0);
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);
    wait_for(&aiocb);

    /* Check. EDIT HERE: who knows what went wrong? */
    if (aio_error(&aiocb) != 0) {
        perror("2-perror: aio_read");
        return EXIT_FAILURE;
    }
    printf("read: %zd bytes\n", aio_return(&aiocb));

    /* Tear down. */
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
