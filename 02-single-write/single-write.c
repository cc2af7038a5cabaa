/*
 * single-write.c - one request, one event
 *
 * Writes TEXT to FILE with a single asynchronous request, and shows every
 * field of what the kernel is given (struct iocb) and of what it answers
 * (struct io_event). Errors come from two places: io_submit() refuses the
 * request, or takes it and the event carries the error in `res`.
 *
 * Build:  cc -o single-write single-write.c
 * Usage:  ./single-write FILE [TEXT]
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
    "Usage: single-write FILE [TEXT]\n"
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

static void show(const char *field, long long value, const char *meaning)
{
    printf("  %-14s %3lld  %s\n", field, value, meaning);
}

static void show_iocb(const struct iocb *iocb)
{
    printf("struct iocb, 64 bytes:\n");
    show("aio_data", iocb->aio_data, "ours: comes back in the event");
    show("aio_key", iocb->aio_key, "the kernel's: it writes 0 here");
    show("aio_rw_flags", iocb->aio_rw_flags, "RWF_ flags, as in pwritev2()");
    show("aio_lio_opcode", iocb->aio_lio_opcode, "IOCB_CMD_PWRITE");
    show("aio_reqprio", iocb->aio_reqprio, "used with IOCB_FLAG_IOPRIO");
    show("aio_fildes", iocb->aio_fildes, "file descriptor");
    printf("  %-14s   -  address of the text\n", "aio_buf");
    show("aio_nbytes", iocb->aio_nbytes, "bytes");
    show("aio_offset", iocb->aio_offset, "bytes from the file's start");
    show("aio_reserved2", iocb->aio_reserved2, "must be 0");
    show("aio_flags", iocb->aio_flags, "IOCB_FLAG_RESFD, IOCB_FLAG_IOPRIO");
    show("aio_resfd", iocb->aio_resfd, "used with IOCB_FLAG_RESFD");
}

static void show_event(const struct io_event *event, const struct iocb *iocb)
{
    printf("struct io_event, 32 bytes:\n");
    show("data", event->data, "aio_data of the request");
    printf("  %-14s   -  %s\n", "obj", event->obj == (uintptr_t)iocb ?
           "address of our iocb" : "not the address of our iocb");
    show("res", event->res, "bytes written, or a negative errno");
    show("res2", event->res2, "0 always, after errors too");
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

    /* Prepare: what is not set must be 0, for the kernel checks it. */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_data = 42;
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)text;
    iocb.aio_nbytes = strlen(text);
    iocb.aio_offset = 0;

    /* Submit: the first place for errors. The request was not taken. */
    if (io_submit(ctx, 1, list) != 1)
        die("io_submit");
    show_iocb(&iocb);
    printf("io_submit: 1 request taken\n");

    /* Wait for one event. Ctrl-Z and fg are enough to interrupt it. */
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    printf("io_getevents: %d event\n", n);
    show_event(&event, &iocb);

    /* Check: the second place for errors. `res` tells, errno does not. */
    if (event.res < 0) {
        errno = -event.res;
        die("IOCB_CMD_PWRITE %s", path);
    }
    if ((size_t)event.res != strlen(text)) {
        errno = EIO;
        die("IOCB_CMD_PWRITE %s: only %lld of %zu bytes written", path,
            (long long)event.res, strlen(text));
    }

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
