/*
 * 5-fork.c - exercise 7.5, find the bug (hard)
 *
 * Copies the beginning of FILE to COPY: the read is started, and a child
 * made that waits for it, and writes. That works if FILE is quick: it is done
 * then before the child is there. If it is a pipe that has nothing yet, the
 * child waits for ever. (For three seconds, so that you need not.)
 *
 * Task:   Have it work however long the read takes. Still aio_read() is
 *         called once, aio_suspend() waits for it, and a child made by fork()
 *         writes COPY, while the parent waits for the child. Which of the two
 *         reads, and with which call the child writes, is yours: mind that it
 *         must write as surely as it reads.
 * Output: As it is: "child: N bytes", then "parent: the child is done", status
 *         0. If anything fails, in whichever process: status 1, and one line
 *         "5-fork: CALL FILE: reason", as ever ("5-fork: fork: reason").
 * Try:    mkfifo pipe; (sleep 1; echo 12345) >pipe & ./5-fork pipe demo.txt
 * Read:   07-posix-aio/README.md, line 746 (What becomes of requests in a
 *         child, and at exit?);
 *         07-posix-aio/fork-and-exit.c
 * Check:  make exercise-7.5
 *
 * Build:  cc -o 5-fork 5-fork.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./5-fork FILE COPY
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path; /* COPY */
static char data[4096];

static void write_copy(ssize_t length);
static ssize_t finish(struct aiocb *aiocb, const char *call, const char *file);
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    struct aiocb aiocb;
    pid_t child;
    int fd, status;

    start(argc, argv, 2, 2);
    signal(SIGCHLD, SIG_DFL); /* ignored, a child's status would be lost */
    path = argv[2];
    fd = open(argv[1], O_RDONLY);
    if (fd == -1)
        err(1, "open %s", argv[1]);
    prepare(&aiocb, fd, data, sizeof(data), 0);
    if (aio_read(&aiocb) == -1)
        err(1, "aio_read %s", argv[1]);

    /* EDIT HERE: what has the child, and what has it not? */
    child = fork();
    if (child == -1)
        err(1, "fork");
    if (child == 0) {
        write_copy(finish(&aiocb, "aio_read", argv[1]));
        return EXIT_SUCCESS;
    }

    while (waitpid(child, &status, 0) == -1)
        if (errno != EINTR)
            err(1, "waitpid");
    if (WIFSIGNALED(status))
        errx(1, "child: %s", strsignal(WTERMSIG(status)));
    if (status != 0) /* it has said why */
        return EXIT_FAILURE;
    printf("parent: the child is done\n");
    if (close(fd) == -1)
        err(1, "close %s", argv[1]);
    return EXIT_SUCCESS;
}

/* What the child does. */
static void write_copy(ssize_t length)
{
    struct aiocb aiocb;
    int fd = create(O_WRONLY);

    if (fd == -1)
        err(1, "open %s", path);
    prepare(&aiocb, fd, data, length, 0);
    if (aio_write(&aiocb) == -1)
        err(1, "aio_write %s", path);
    errno = ENOSPC; /* in case it is short */
    if (finish(&aiocb, "aio_write", path) != length || close(fd) == -1)
        err(1, "aio_write %s", path);
    printf("child: %zd bytes\n", length);
}

/* Waits for a request. Returns the number of bytes, or ends the program. */
static ssize_t finish(struct aiocb *aiocb, const char *call, const char *file)
{
    const struct aiocb *const list[1] = { aiocb };
    const struct timespec limit = { 3, 0 }; /* anew after each signal, */
    const time_t end = time(NULL) + 3;      /* but not for ever */

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 &&
            (errno != EINTR || time(NULL) > end))
            err(1, "aio_suspend");
    errno = aio_error(aiocb);
    if (errno != 0)
        err(1, "%s %s", call, file);
    return aio_return(aiocb);
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    *aiocb = (struct aiocb){
        .aio_fildes = fd,
        .aio_buf = data,
        .aio_nbytes = nbytes,
        .aio_offset = offset,
        .aio_sigevent.sigev_notify = SIGEV_NONE,
    };
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

static const char usage[] =
    "Usage: 5-fork FILE COPY\n"
    "Makes COPY, or empties it, and copies up to 4096 bytes of FILE to it.\n";

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
