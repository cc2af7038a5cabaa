/*
 * one-queue-per-descriptor.c - how many requests run at the same time
 *
 * Counts the C library's threads while reads wait on a FIFO, through one
 * descriptor and through two. glibc has a queue for each descriptor and runs
 * one request of it at a time; musl has a thread for each request. Then what
 * may come of that: a read waits for what the write behind it would bring.
 *
 * Build:  cc -o one-queue-per-descriptor one-queue-per-descriptor.c
 *         (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./one-queue-per-descriptor FILE
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *path;

static int open_fifo(int *fd, int *other), count_threads(void);
static void begin(struct aiocb *aiocb, int op, int fd, char *letter);
static void finish(struct aiocb *aiocb, const char *call);
static void read_then_write(const char *how, int read_fd, int write_fd,
                            int one_at_a_time);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    struct aiocb aiocbs[4];
    char letters[4];
    int fd, copy, other, before, one, two;

    start(argc, argv, 1, 1);
    path = argv[1];
    copy = open_fifo(&fd, &other);

    /* The library makes its threads before aio_read() returns. None of these
     * reads can end, so none of the threads can go. */
    before = count_threads();
    begin(&aiocbs[0], LIO_READ, fd, &letters[0]);
    begin(&aiocbs[1], LIO_READ, fd, &letters[1]);
    one = count_threads() - before;
    printf("two reads, one descriptor: %d at a time\n", one);

    /* What counts is the number of the descriptor: a copy is as good as a
     * second open(). */
    begin(&aiocbs[2], LIO_READ, copy, &letters[2]);
    begin(&aiocbs[3], LIO_READ, other, &letters[3]);
    two = count_threads() - before - one;
    if (two == 0)
        errx(1, "aio_read: no second thread can be made");
    printf("two reads, two descriptors: %d at a time\n", two);

    /* A byte for each, and the FIFO is empty again. */
    if (write(fd, "abcd", 4) == -1)
        err(1, "write FIFO");
    for (int i = 0; i < 4; i++)
        finish(&aiocbs[i], "aio_read");

    /* The order in which things happen says the same. So for a socket that
     * is read and written at the same time: two descriptors. */
    read_then_write("one descriptor", fd, fd, one == 1);
    read_then_write("a copy by dup()", fd, copy, two == 1);
    read_then_write("a second open()", fd, other, two == 1);

    if (close(fd) == -1 || close(copy) == -1 || close(other) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/*
 * A FIFO that nobody else sees, and three descriptors for it: by open(), by
 * another open(), and by dup(), returned. Open for both reading and writing,
 * it needs nobody at the other end.
 */
static int open_fifo(int *fd, int *other)
{
    int copy, error;

    if (mkfifo(path, 0600) == -1)
        err(1, "mkfifo %s", path);
    *fd = open(path, O_RDWR);
    *other = *fd == -1 ? -1 : open(path, O_RDWR);
    error = errno;
    if (unlink(path) == -1)
        err(1, "unlink %s", path);
    errno = error;
    if (*other == -1)
        err(1, "open %s", path);
    copy = dup(*fd);
    if (copy == -1)
        err(1, "dup");
    return copy;
}

/* The threads that this process has, main's included. */
static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int threads = 0;

    if (dir == NULL)
        err(1, "opendir /proc/self/task");
    while ((entry = readdir(dir)) != NULL)
        threads += entry->d_name[0] != '.';
    closedir(dir);
    return threads;
}

/* Starts a read or a write of one byte. While the FIFO is empty reads wait. */
static void begin(struct aiocb *aiocb, int op, int fd, char *letter)
{
    *aiocb = (struct aiocb){
        .aio_fildes = fd,
        .aio_buf = letter,
        .aio_nbytes = 1,
        .aio_sigevent.sigev_notify = SIGEV_NONE,
    };
    if (op == LIO_READ && aio_read(aiocb) == -1)
        err(1, "aio_read");
    if (op == LIO_WRITE && aio_write(aiocb) == -1)
        err(1, "aio_write");
}

/* Waits for the end of a request, which is due: ten seconds at most. */
static void finish(struct aiocb *aiocb, const char *call)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec limit = { 10, 0 }; /* anew after each signal, */
    const time_t end = time(NULL) + 10;      /* but not for ever */

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 &&
            (errno != EINTR || time(NULL) > end))
            err(1, "aio_suspend");
    errno = aio_error(aiocb);
    if (errno == 0 && aio_return(aiocb) != 1)
        errno = EIO;
    if (errno != 0)
        err(1, "%s", call);
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

    begin(&reading, LIO_READ, read_fd, &got);
    begin(&writing, LIO_WRITE, write_fd, &w);
    if (one_at_a_time && write(read_fd, "m", 1) == -1)
        err(1, "write FIFO");
    finish(&reading, "aio_read");
    finish(&writing, "aio_write");

    printf("read, then write, %s: the read got '%c'", how, got);
    if (one_at_a_time) {
        if (read(read_fd, &rest, 1) == -1)
            err(1, "read FIFO");
        printf(", main '%c'", rest);
    }
    printf("\n");
}

static const char usage[] =
    "Usage: one-queue-per-descriptor FILE\n"
    "Makes a FIFO named FILE, which must not exist yet, and removes it.\n";

/* At exit: output that did not arrive (a full disk, say) is a failure too. */
static void check_output(void)
{
    if (ferror(stdout) && putchar('\n') != EOF && fflush(stdout) == 0)
        errno = EIO; /* else it failed again, and errno says why */
    if (ferror(stdout) || fflush(stdout) != 0) {
        warn("standard output");
        _exit(EXIT_FAILURE);
    }
}

/* What every program does first; status 2 if its arguments are not right. */
static void start(int argc, char **argv, int min, int max)
{
    const char *first = argc > 1 ? argv[1] : "";
    int help = !strcmp(first, "-h") || !strcmp(first, "--help");

    for (int fd = 0; fd <= 2; fd++) /* closed, it would become FILE's */
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", O_RDONLY);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    atexit(check_output);
    signal(SIGXFSZ, SIG_IGN); /* over `ulimit -f`: an error, no kill */
    if (help || argc <= min || argc > max + 1 || first[0] == '-') {
        fputs(usage, help ? stdout : stderr);
        exit(help ? EXIT_SUCCESS : 2);
    }
}
