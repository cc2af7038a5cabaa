/*
 * 2-res-not-res2.c - exercise 2.2, find the bug
 *
 * Writes TEXT to FILE with one request and says how many bytes are written.
 * It also says so when none are: on a full disk, say.
 *
 * Task:   Have it notice each write that is not done, or not done whole.
 * Output: "written: N bytes", status 0. If the event brings an error, status
 *         1 and on stderr "2-res-not-res2: IOCB_CMD_PWRITE FILE: reason",
 *         with the text for that error. If only a part is written, the same
 *         with EIO as the error; what stands before ": reason" is yours.
 * Try:    (ulimit -f 0; ./2-res-not-res2 demo.txt)
 * Read:   02-single-write/README.md, line 50 (The code that matters);
 *         02-single-write/single-write.c
 * Check:  make exercise-2.2
 *
 * Build:  cc -o 2-res-not-res2 2-res-not-res2.c
 * Usage:  ./2-res-not-res2 FILE [TEXT]
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
    "Usage: 2-res-not-res2 FILE [TEXT]\n"
    "Makes FILE, or empties it, and writes TEXT to it with one request.\n";

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
    const char *text = "Hello, asynchronous world!\n";
    aio_context_t ctx = 0;
    struct iocb iocb;
    struct iocb *list[1] = { &iocb };
    struct io_event event;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        text = argv[2];
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file and a context. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /* Prepare, submit, and wait for the event. */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)text;
    iocb.aio_nbytes = strlen(text);
    if (io_submit(ctx, 1, list) == -1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");

    /* Check. EDIT HERE: what if the disk is full? */
    if (event.res2 != 0) {
        errno = event.res2;
        die("IOCB_CMD_PWRITE %s", path);
    }
    printf("written: %zu bytes\n", strlen(text));

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
