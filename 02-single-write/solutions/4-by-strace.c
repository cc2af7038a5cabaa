/*
 * 4-by-strace.c - solution 2.4, what strace showed of a silent program
 *
 * The first PWRITE was refused, EBADF: aio_fildes 4 was open for reading
 * only. The next run came as far as 64 KiB, and an event brought res=-27,
 * EFBIG: the limit. The last PWRITE, to descriptor 5, was EBADF once more: it
 * was O_CLOEXEC, and gone when PROGRAM began.
 *
 * Build:  cc -o 4-by-strace 4-by-strace.c
 * Usage:  ./4-by-strace PROGRAM IN OUT LOG
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void hand_over(const char *path, int flags, int number);
static void limit_files(long long bytes);
static void start(int argc, char **argv, int min, int max);

int main(int argc, char **argv)
{
    start(argc, argv, 4, 4);

    hand_over(argv[2], O_RDONLY, 3);
    hand_over(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 4);
    hand_over(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 5);
    limit_files(1 << 20);

    /* It begins with the descriptors and the limit that we have. */
    execl(argv[1], argv[1], (char *)NULL);
    err(1, "%s", argv[1]);
}

/* Opens a file, and has it be this descriptor. */
static void hand_over(const char *path, int flags, int number)
{
    int fd = open(path, flags, 0666);

    if (fd == -1)
        err(1, "open %s", path);
    if (fd == number)
        return;
    if (dup3(fd, number, flags & O_CLOEXEC) == -1)
        err(1, "dup3");
    if (close(fd) == -1)
        err(1, "close %s", path);
}

/* A write beyond it is an error: start() ignores the signal, SIGXFSZ. */
static void limit_files(long long bytes)
{
    struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

    if (setrlimit(RLIMIT_FSIZE, &limit) == -1)
        err(1, "setrlimit");
}

static const char usage[] =
    "Usage: 4-by-strace PROGRAM IN OUT LOG\n"
    "Starts PROGRAM, with IN as descriptor 3, OUT as 4, and LOG as 5.\n";

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
