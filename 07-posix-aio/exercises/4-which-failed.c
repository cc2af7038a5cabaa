/*
 * 4-which-failed.c - exercise 7.4, extend
 *
 * Reads the beginnings of several files with one call of lio_listio(). When
 * one of them cannot be read, all that anybody hears is "lio_listio:
 * Input/output error". The call knows no more. The requests do.
 *
 * Task:   Have it tell for each file how its request ended, also when some
 *         failed.
 * Output: For each file, in the order given, "FILE: N bytes", or "FILE:
 *         reason". If one failed, then as now: status 1, and "4-which-failed:
 *         lio_listio: reason" with the reason of EIO. If lio_listio() itself
 *         failed (by another error than EIO), that only, and no line.
 * Try:    mkdir folder; ./4-which-failed 4-which-failed.c folder
 * Read:   07-posix-aio/README.md, line 398 (Is a list of requests one system
 *         call?);
 *         07-posix-aio/listio.c
 * Check:  make exercise-7.4
 *
 * Build:  cc -o 4-which-failed 4-which-failed.c (glibc before 2.34: add -lrt
 *         -pthread)
 * Usage:  ./4-which-failed FILE...
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

enum {
    MAX = 16,                   /* files */
    BLOCK = 4096                /* bytes a request */
};

static const char usage[] =
    "Usage: 4-which-failed FILE...\n"
    "Reads the first 4096 bytes of up to 16 files, in one call.\n";

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
    static char data[MAX][BLOCK];
    struct aiocb aiocbs[MAX];
    static struct aiocb *list[MAX];
    int nr = argc - 1;

    check_arguments(argc, argv, 1, MAX);

    /* Prepare: a request for each file. */
    for (int i = 0; i < nr; i++) {
        int fd = open(argv[1 + i], O_RDONLY);

        if (fd == -1)
            die("open %s", argv[1 + i]);
        prepare(&aiocbs[i], fd, data[i], BLOCK, 0);
        aiocbs[i].aio_lio_opcode = LIO_READ;
        list[i] = &aiocbs[i];
    }

    /* EDIT HERE: submit them all, and wait. Which has failed, if any has? */
    if (lio_listio(LIO_WAIT, list, nr, NULL) == -1)
        die("lio_listio");
    for (int i = 0; i < nr; i++)
        printf("%s: %zd bytes\n", argv[1 + i], aio_return(&aiocbs[i]));

    /* Tear down. */
    for (int i = 0; i < nr; i++)
        if (close(aiocbs[i].aio_fildes) == -1)
            die("close %s", argv[1 + i]);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
