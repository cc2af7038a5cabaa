/*
 * 1-counter.c - exercise 5.1, find the bug
 *
 * Writes 8 blocks to FILE, and is told of completions by an eventfd. It takes
 * each message for one completion, and so it waits for some that have long
 * come: in the end it gives up.
 *
 * Task:   Have it reap all that is there, however many are told of at once,
 *         and also when an event comes in time but its message late. Each
 *         event is still looked at.
 * Output: "written: 8 blocks", status 0. If an event brings an error, status
 *         1 and "1-counter: IOCB_CMD_PWRITE FILE: reason".
 * Read:   05-eventfd/README.md, line 54 (The code that matters);
 *         05-eventfd/eventfd.c
 * Check:  make exercise-5.1
 *
 * Build:  cc -o 1-counter 1-counter.c
 * Usage:  ./1-counter FILE
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    REQUESTS = 8,
    BLOCK = 4096                /* bytes a request */
};

static const char usage[] =
    "Usage: 1-counter FILE\n"
    "Makes FILE, or empties it, and writes 8 blocks of 4096 bytes to it.\n";

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

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

int main(int argc, char **argv)
{
    static char data[REQUESTS][BLOCK];
    const char *path = argv[1];
    struct iocb iocbs[REQUESTS], *list[REQUESTS];
    struct io_event event;
    struct pollfd ready = { .events = POLLIN };
    int submitted = 0, reaped = 0;
    aio_context_t ctx = 0;
    uint64_t counter;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    ready.fd = eventfd(0, EFD_NONBLOCK);
    if (ready.fd == -1)
        die("eventfd");
    if (io_setup(REQUESTS, &ctx) == -1)
        die("io_setup");

    /* Prepare and submit: each request tells the eventfd when it is done. */
    memset(iocbs, 0, sizeof(iocbs));
    for (int i = 0; i < REQUESTS; i++) {
        fill(data[i], i);
        iocbs[i].aio_lio_opcode = IOCB_CMD_PWRITE;
        iocbs[i].aio_fildes = fd;
        iocbs[i].aio_buf = (uintptr_t)data[i];
        iocbs[i].aio_nbytes = BLOCK;
        iocbs[i].aio_offset = i * BLOCK;
        iocbs[i].aio_flags = IOCB_FLAG_RESFD;
        iocbs[i].aio_resfd = ready.fd;
        list[i] = &iocbs[i];
    }
    while (submitted < REQUESTS) {
        n = io_submit(ctx, REQUESTS - submitted, list + submitted);
        if (n == -1 && errno != EINTR)
            die("io_submit");
        if (n > 0)
            submitted += n;
    }

    while (reaped < REQUESTS) {
        /* Wait until there is something to read from the eventfd. */
        n = poll(&ready, 1, 1000 /* ms */);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == 0)
            errno = ETIMEDOUT;
        if (n != 1)
            die("poll");
        if (read(ready.fd, &counter, sizeof(counter)) == -1)
            die("read eventfd");

        /* Reap. EDIT HERE: how many events may there be? */
        n = io_getevents(ctx, 1, 1, &event, NULL);
        if (n == -1)
            die("io_getevents");
        if (event.res != BLOCK) {
            errno = event.res < 0 ? -event.res : EIO;
            die("IOCB_CMD_PWRITE %s", path);
        }
        reaped++;
    }
    printf("written: %d blocks\n", reaped);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(ready.fd) == -1)
        die("close eventfd");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
