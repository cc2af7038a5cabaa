/*
 * 3-handler.c - exercise 7.3, find the bug
 *
 * Reads FILE block by block. A signal tells of each block, and its handler
 * prints a line and starts to read the next. That works, on most days.
 * A handler can run at any time: while main() is in the middle of printf(),
 * for example.
 *
 * Task:   Have the handler call nothing that is not async-signal-safe. There
 *         must still be a handler, and a signal for each read.
 * Output: As it is: "reading FILE", a line "at OFFSET: N bytes" for each
 *         block, "end of file: N bytes". When a read fails, or cannot be
 *         started, status 1 and "3-handler: aio_read FILE: reason".
 * Read:   07-posix-aio/README.md, line 320 (A signal for each completion: must
 *         there be a handler?);
 *         07-posix-aio/signal.c;
 *         man 7 signal-safety
 * Check:  make exercise-7.3
 *
 * Build:  cc -o 3-handler 3-handler.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./3-handler FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096 };          /* bytes a request */

static const char usage[] =
    "Usage: 3-handler FILE\n"
    "Reads FILE in blocks of 4096 bytes, and says how many bytes there are.\n";

static const char *path;
static struct aiocb aiocb;      /* one request, for one block at a time */
static char data[BLOCK];
static volatile sig_atomic_t over;      /* the end of the file is reached */

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
/*
 * A block is there: on to the next.
 *
 * EDIT HERE: which of these calls may be made in a handler?
 */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    int error = aio_error(&aiocb);
    ssize_t n = aio_return(&aiocb);

    (void)signo;
    (void)info;
    (void)context;
    if (error != 0) {
        errno = error;
        die("aio_read %s", path);
    }
    if (n == 0) {
        over = 1;
        return;
    }
    printf("at %lld: %zd bytes\n", (long long)aiocb.aio_offset, n);
    aiocb.aio_offset += n;
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);
}

int main(int argc, char **argv)
{
    const struct timespec limit = { 10, 0 };
    struct sigaction action;
    sigset_t set, unblocked;
    int fd, n;

    check_arguments(argc, argv, 1, 1);
    path = argv[1];

    /* Set up: the file, and the signal that each request is to send. */
    fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    memset(&action, 0, sizeof(action));
    action.sa_flags = SA_SIGINFO;
    action.sa_sigaction = on_signal;
    if (sigaction(SIGRTMIN, &action, NULL) == -1)
        die("sigaction");
    prepare(&aiocb, fd, data, BLOCK, 0);
    aiocb.aio_sigevent.sigev_notify = SIGEV_SIGNAL;
    aiocb.aio_sigevent.sigev_signo = SIGRTMIN;

    /* The first block. The signal may come from now on. */
    if (aio_read(&aiocb) == -1)
        die("aio_read %s", path);
    printf("reading %s\n", path);

    /* Wait. From here on signals come in ppoll() only: none can slip in
     * between the look at a variable and the wait. */
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    if (sigprocmask(SIG_BLOCK, &set, &unblocked) == -1)
        die("sigprocmask");
    sigdelset(&unblocked, SIGRTMIN);    /* who started us may block it */
    while (!over) {
        n = ppoll(NULL, 0, &limit, &unblocked);
        if (n == 0)
            errno = ETIMEDOUT;
        if (n == 0 || errno != EINTR)
            die("ppoll");
    }
    printf("end of file: %lld bytes\n", (long long)aiocb.aio_offset);

    /* Tear down. */
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
