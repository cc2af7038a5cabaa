/*
 * durable-write.c - a write that survives a power cut
 *
 * A write is done when the data is in the page cache, which a power cut
 * empties. IOCB_CMD_FDSYNC brings it to the disk, but covers only what was
 * written by then, and requests in flight together have no order. So wait
 * for the write's event, and only then submit the FDSYNC.
 *
 * Build:  cc -o durable-write durable-write.c
 * Usage:  ./durable-write FILE [TEXT]
 * Needs:  Linux 4.18 (IOCB_CMD_FSYNC and IOCB_CMD_FDSYNC)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
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
    "Usage: durable-write FILE [TEXT]\n"
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

/* Submits one request and waits for its event. Returns the event's res. */
static long long complete(aio_context_t ctx, struct iocb *iocb)
{
    struct iocb *list[1] = { iocb };
    struct io_event event;
    int n;

    if (io_submit(ctx, 1, list) != 1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    return event.res;
}

/*
 * FSYNC and FDSYNC take a descriptor and nothing else: there is no way to
 * sync a part of a file. All other fields must be 0.
 */
static struct iocb sync_request(int opcode, int fd)
{
    struct iocb iocb;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = opcode;
    iocb.aio_fildes = fd;
    return iocb;
}

/* A mistake made on purpose: io_submit refuses the request. */
static void show_mistake(aio_context_t ctx, const char *what,
                         struct iocb *iocb)
{
    struct iocb *list[1] = { iocb };

    printf("IOCB_CMD_FSYNC %s: %s\n", what,
           io_submit(ctx, 1, list) == -1 ? strerror(errno) : "taken");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const char *text = "Hello, durable world!\n";
    aio_context_t ctx = 0;
    struct iocb iocb;
    long long res;
    char *copy, *name;
    int fd, folder, ends[2];

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        text = argv[2];
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /*
     * Set up: a context, the folder that holds the file's name, and the file:
     * last, so that no old file is emptied if there is an error before. A
     * link is not followed: the name that it has is in some other folder.
     */
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    copy = strdup(path);        /* dirname() changes what it is given */
    if (copy == NULL)
        die("strdup");
    name = dirname(copy);
    folder = open(name, O_RDONLY | O_DIRECTORY);
    if (folder == -1)
        die("open %s", name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    if (fd == -1)
        die("open %s", path);

    /* Write. The event says that the page cache has the data, no more. */
    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)text;
    iocb.aio_nbytes = strlen(text);
    res = complete(ctx, &iocb);
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_PWRITE %s", path);
    }
    if ((size_t)res != strlen(text)) {
        errno = EIO;
        die("IOCB_CMD_PWRITE %s: only %lld of %zu bytes written", path,
            res, strlen(text));
    }
    printf("IOCB_CMD_PWRITE: %lld bytes are in the page cache\n", res);

    /*
     * Sync the file, now that the write is done. FDSYNC is fdatasync():
     * the data, and of the file's attributes what reading it needs, such
     * as its size. This is also where errors of the disk come out.
     */
    iocb = sync_request(IOCB_CMD_FDSYNC, fd);
    res = complete(ctx, &iocb);
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_FDSYNC %s", path);
    }
    printf("IOCB_CMD_FDSYNC: the data is on the disk\n");

    /* A new file needs its name there as well: that is in the folder. */
    iocb = sync_request(IOCB_CMD_FSYNC, folder);
    res = complete(ctx, &iocb);
    if (res < 0) {
        errno = -res;
        die("IOCB_CMD_FSYNC %s", name);
    }
    printf("IOCB_CMD_FSYNC of the folder: the file's name is, too\n");

    /* What io_submit does not take. */
    iocb = sync_request(IOCB_CMD_FSYNC, fd);
    iocb.aio_buf = (uintptr_t)text;
    show_mistake(ctx, "with a buffer", &iocb);
    iocb = sync_request(IOCB_CMD_FSYNC, fd);
    iocb.aio_nbytes = 1;
    show_mistake(ctx, "with a length", &iocb);
    iocb = sync_request(IOCB_CMD_FSYNC, fd);
    iocb.aio_offset = 1;
    show_mistake(ctx, "with an offset", &iocb);
    if (pipe(ends) == -1)
        die("pipe");
    iocb = sync_request(IOCB_CMD_FSYNC, ends[1]);
    show_mistake(ctx, "of a pipe", &iocb);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close");
    if (close(folder) == -1)
        die("close %s", name);
    if (close(fd) == -1)
        die("close %s", path);
    free(copy);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
