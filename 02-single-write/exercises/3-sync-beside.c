/*
 * 3-sync-beside.c - exercise 2.3, find the bug
 *
 * Writes TEXT to FILE and has the disk keep it, with two requests: a write
 * and an FDSYNC. They go out together, for that is what a list is for. But
 * nothing promises that this sync covers this write.
 *
 * Task:   Have the FDSYNC cover the write.
 * Output: "N bytes are on the disk", status 0. If a request fails: status 1,
 *         and on stderr "3-sync-beside: IOCB_CMD_PWRITE FILE: reason", or
 *         the same with IOCB_CMD_FDSYNC. A write that is not whole counts as
 *         failed, with EIO; what stands before ": reason" is yours then.
 * Read:   02-single-write/README.md, line 329 (The write has completed. Pull
 *         the plug: is the data there?);
 *         02-single-write/durable-write.c
 * Check:  make exercise-2.3
 *
 * Build:  cc -o 3-sync-beside 3-sync-beside.c
 * Usage:  ./3-sync-beside FILE [TEXT]
 * Needs:  Linux 4.18 (IOCB_CMD_FDSYNC)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 3-sync-beside FILE [TEXT]\n"
    "Makes FILE, or empties it, writes TEXT to it and brings it to the disk.\n";

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

/*
 * No C library has wrappers for these system calls. The parameters' types
 * matter: syscall() takes any number of arguments of any type, and an int
 * -1 passed for a long would arrive as 4294967295. All return -1 and set
 * errno on error.
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

static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const char *text = "Hello, durable world!\n";
    aio_context_t ctx = 0;
    struct iocb iocbs[2];
    struct iocb *list[2] = { &iocbs[0], &iocbs[1] };
    struct io_event events[2];
    int fd, n, submitted = 0, reaped = 0;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        text = argv[2];
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file and a context. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(2, &ctx) == -1)
        die("io_setup");

    /* Prepare: the write, and the request that waits for the disk. */
    memset(iocbs, 0, sizeof(iocbs));
    iocbs[0].aio_data = 0;
    iocbs[0].aio_lio_opcode = IOCB_CMD_PWRITE;
    iocbs[0].aio_fildes = fd;
    iocbs[0].aio_buf = (uintptr_t)text;
    iocbs[0].aio_nbytes = strlen(text);
    iocbs[1].aio_data = 1;
    iocbs[1].aio_lio_opcode = IOCB_CMD_FDSYNC;
    iocbs[1].aio_fildes = fd;

    /* Submit both. EDIT HERE: which one is done first? */
    while (submitted < 2) {
        n = io_submit(ctx, 2 - submitted, list + submitted);
        if (n == -1)
            die("io_submit");
        submitted += n;
    }
    while (reaped < 2) {
        n = io_getevents(ctx, 1, 2 - reaped, events + reaped, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        if (n > 0)
            reaped += n;
    }

    /* Check: each event says whose it is. */
    for (int i = 0; i < 2; i++) {
        long long res = events[i].res;

        if (events[i].data == 0 && res >= 0 && (size_t)res != strlen(text))
            res = -EIO;
        if (res < 0) {
            errno = -res;
            die("IOCB_CMD_%s %s", events[i].data == 0 ? "PWRITE" : "FDSYNC",
                path);
        }
    }
    printf("%zu bytes are on the disk\n", strlen(text));

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
