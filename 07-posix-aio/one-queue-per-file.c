/*
 * one-queue-per-file.c - how many requests run at the same time
 *
 * Counts the C library's threads while reads wait on a FIFO, through one
 * descriptor and through two. glibc has a queue for each descriptor and runs
 * one request of it at a time; musl has a thread for each request. Then what
 * may come of that: a read waits for what the write behind it would bring.
 *
 * Build:  cc -o one-queue-per-file one-queue-per-file.c
 *         (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./one-queue-per-file FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

static const char usage[] =
    "Usage: one-queue-per-file FILE\n"
    "Makes FILE, which must not exist yet, a FIFO, and removes it.\n";

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

/* The threads that this process has, main's included. */
static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int threads = 0;

    if (dir == NULL)
        die("opendir /proc/self/task");
    while ((entry = readdir(dir)) != NULL)
        threads += entry->d_name[0] != '.';
    closedir(dir);
    return threads;
}

/* Starts a read of one byte. While the FIFO is empty it waits. */
static void start_read(struct aiocb *aiocb, int fd, char *letter)
{
    prepare(aiocb, fd, letter, 1, 0);
    if (aio_read(aiocb) == -1)
        die("aio_read");
}

/* Waits for the end of a request for one byte, which is due. */
static void finish(struct aiocb *aiocb, const char *call)
{
    const struct timespec limit = { 10, 0 };
    const struct aiocb *const list[1] = { aiocb };

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 && errno != EINTR)
            die("aio_suspend");
    errno = aio_error(aiocb);
    if (errno == 0 && aio_return(aiocb) != 1)
        errno = EIO;
    if (errno != 0)
        die("%s", call);
}

/*
 * A read of the empty FIFO, and behind it the write that would feed it. If
 * they are run one at a time nothing moves until main brings a byte itself.
 */
static void read_then_write(const char *how, int read_fd, int write_fd,
                            int one_at_a_time)
{
    char got = '?', rest = '?', w = 'w';
    struct aiocb reading, writing;

    start_read(&reading, read_fd, &got);
    prepare(&writing, write_fd, &w, 1, 0);
    if (aio_write(&writing) == -1)
        die("aio_write");
    if (one_at_a_time && write(read_fd, "m", 1) == -1)
        die("write FIFO");
    finish(&reading, "aio_read");
    finish(&writing, "aio_write");

    printf("read, then write, %s: the read got '%c'", how, got);
    if (one_at_a_time) {
        if (read(read_fd, &rest, 1) == -1)
            die("read FIFO");
        printf(", main '%c'", rest);
    }
    printf("\n");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    struct aiocb aiocbs[4];
    char letters[4];
    int fd, copy, other = -1, error, before, one, two;

    check_arguments(argc, argv, 1, 1);
    show_library();

    /* Set up: a FIFO and three descriptors for it, of two ways to get more.
     * Open for both reading and writing, it needs nobody at the other end. */
    if (mkfifo(path, 0600) == -1)
        die("mkfifo %s", path);
    fd = open(path, O_RDWR);
    if (fd != -1)
        other = open(path, O_RDWR);
    error = errno;
    if (unlink(path) == -1)
        die("unlink %s", path);
    errno = error;
    if (fd == -1 || other == -1)
        die("open %s", path);
    copy = dup(fd);
    if (copy == -1)
        die("dup");

    /* The library makes its threads before aio_read() returns. None of these
     * reads can end, so none of the threads can go. */
    before = count_threads();
    start_read(&aiocbs[0], fd, &letters[0]);
    start_read(&aiocbs[1], fd, &letters[1]);
    one = count_threads() - before;
    printf("two reads, one descriptor: %d at a time\n", one);

    /* What counts is the number of the descriptor: a copy is as good as a
     * second open(). */
    start_read(&aiocbs[2], copy, &letters[2]);
    start_read(&aiocbs[3], other, &letters[3]);
    two = count_threads() - before - one;
    printf("two reads, two descriptors: %d at a time\n", two);

    /* A byte for each, and the FIFO is empty again. */
    if (write(fd, "abcd", 4) == -1)
        die("write FIFO");
    for (int i = 0; i < 4; i++)
        finish(&aiocbs[i], "aio_read");

    /* The order in which things happen says the same. So for a socket that
     * is read and written at the same time: two descriptors. */
    read_then_write("one descriptor", fd, fd, one == 1);
    read_then_write("a copy by dup()", fd, copy, two == 1);
    read_then_write("a second open()", fd, other, two == 1);

    /* Tear down. */
    if (close(fd) == -1 || close(copy) == -1 || close(other) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
