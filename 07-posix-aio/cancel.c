/*
 * cancel.c - taking a request back
 *
 * Reads from an empty pipe, where nothing ever comes, and takes the requests
 * back with aio_cancel(): one that is running, one that is queued behind it,
 * and all of a descriptor. Then a write to FILE that is already done.
 *
 * Build:  cc -o cancel cancel.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./cancel FILE
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
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

enum { REQUESTS = 3 };

static const char usage[] =
    "Usage: cancel FILE\n"
    "Makes FILE, or empties it, and writes a line to it.\n";

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

/* glibc says what it is. musl has no macro to be known by. */
static void show_library(void)
{
#ifdef __GLIBC__
    printf("C library: glibc %s\n", gnu_get_libc_version());
#else
    printf("C library: musl, or another\n");
#endif
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

/*
 * Takes back a request, or all of `fd` if it is NULL; prints the answer. musl
 * answers AIO_CANCELED a little before aio_error() says ECANCELED: wait.
 */
static void cancel(const char *what, int fd, struct aiocb *aiocb)
{
    switch (aio_cancel(fd, aiocb)) {
    case AIO_CANCELED:
        printf("%s: AIO_CANCELED\n", what);
        if (aiocb != NULL)
            wait_for(aiocb);
        break;
    case AIO_NOTCANCELED:
        printf("%s: AIO_NOTCANCELED\n", what);
        break;
    case AIO_ALLDONE:
        printf("%s: AIO_ALLDONE\n", what);
        break;
    default:
        die("aio_cancel");
    }
}

/* A mistake made on purpose: prints what the library says of it. */
static void show_mistake(const char *mistake, int result)
{
    printf("%s: %s%s\n", mistake, result == -1 ? "-1 " : "",
           name(result == -1 ? errno : 0));
}

/*
 * How a request stands. Its aio_return() counts only when it is done. Both
 * libraries answer it again and again; POSIX promises one answer only.
 */
static void show(int request, struct aiocb *aiocb)
{
    int error = aio_error(aiocb);

    printf("  request %d: aio_error %s", request, name(error));
    if (error != EINPROGRESS)
        printf(", aio_return %zd", aio_return(aiocb));
    printf("\n");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    char text[] = "Hello, asynchronous world!\n";
    char letters[REQUESTS];
    struct aiocb aiocbs[REQUESTS], of_file;
    int fd, ends[2];

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    show_library();

    /* Set up: a file, and a pipe that nobody has written to. */
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);
    if (pipe(ends) == -1)
        die("pipe");

    /* The first is running: as there is no thread yet, one is made for it
     * before aio_read() returns. On glibc the others are queued behind it,
     * as all requests for one descriptor are; on musl they run, too. */
    for (int i = 0; i < REQUESTS; i++) {
        prepare(&aiocbs[i], ends[0], &letters[i], 1, 0);
        if (aio_read(&aiocbs[i]) == -1)
            die("aio_read pipe");
    }

    /* glibc takes back only what no thread has begun with. musl interrupts
     * the thread; but it hangs, and close() too, if the thread has not begun
     * as it waits for another request: a write to a pipe behind a write, an
     * fsync behind a write (1.2.3; the sources of 1.2.5 are no different). */
    cancel("running", ends[0], &aiocbs[0]);
    show(0, &aiocbs[0]);

    /* A request that is taken back is done: it has failed with ECANCELED,
     * and whoever is to be notified of its end is. */
    cancel("queued", ends[0], &aiocbs[1]);
    show(1, &aiocbs[1]);

    /* All that there are for a descriptor. The answer is one for all, so
     * each must be asked; here the last one is new in it. */
    cancel("all of the pipe", ends[0], NULL);
    wait_for(&aiocbs[2]);
    show(0, &aiocbs[0]);
    show(2, &aiocbs[2]);

    /* What cannot be taken back must be brought to its end, or its buffer
     * stays the library's for ever: here, by a byte into the pipe. */
    if (write(ends[1], "!", 1) == -1)
        die("write pipe");
    wait_for(&aiocbs[0]);
    printf("a byte into the pipe\n");
    show(0, &aiocbs[0]);

    /* Too late: it is done. The result is not changed. */
    prepare(&of_file, fd, text, strlen(text), 0);
    if (aio_write(&of_file) == -1)
        die("aio_write %s", path);
    wait_for(&of_file);
    cancel("done", fd, &of_file);
    check(&of_file, "aio_write", path);
    cancel("all of FILE", fd, NULL);

    /* Mistakes: another descriptor than the request's, and none. */
    show_mistake("not its descriptor", aio_cancel(ends[0], &of_file));
    show_mistake("no descriptor", aio_cancel(-1, NULL));

    /* Tear down. On musl close() takes back what is in flight; on glibc a
     * queued request would go to whatever file has the number by then. */
    if (close(ends[0]) == -1 || close(ends[1]) == -1)
        die("close pipe");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
