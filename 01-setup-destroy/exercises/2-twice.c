/*
 * 2-twice.c - exercise 1.2, find the bug (easy)
 *
 * Makes a context and destroys it, as a server does for each of its clients.
 * All is well with the first one.
 *
 * Task:   Have each round make a context of its own, and destroy it.
 * Output: "round N: made and destroyed" for each round, status 0. If a call
 *         fails: status 1, and on stderr "2-twice: CALL: reason".
 * Read:   01-setup-destroy/README.md, line 150 (What can go wrong);
 *         01-setup-destroy/setup-destroy.c
 * Check:  make exercise-1.2
 *
 * Build:  cc -o 2-twice 2-twice.c
 * Usage:  ./2-twice [ROUNDS]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    long rounds = 2;

    start(argc, argv, 0, 1);
    if (argc > 1)
        rounds = number(argv[1], 0, 1000);

    for (long round = 1; round <= rounds; round++) {
        /* EDIT HERE: the second round fails. */
        if (io_setup(8, &ctx) == -1)
            err(1, "io_setup");
        if (io_destroy(ctx) == -1)
            err(1, "io_destroy");
        printf("round %ld: made and destroyed\n", round);
    }
    return EXIT_SUCCESS;
}

/*
 * No C library has functions for these system calls. The types matter:
 * syscall() converts nothing. All return -1 and set errno on error.
 */
static int io_setup(unsigned nr_events, aio_context_t *ctxp)
{
    return syscall(SYS_io_setup, nr_events, ctxp);
}

static int io_destroy(aio_context_t ctx)
{
    return syscall(SYS_io_destroy, ctx);
}

static const char usage[] =
    "Usage: 2-twice [ROUNDS]\n"
    "Makes an AIO context and destroys it, ROUNDS (2) times.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    warnx("'%s' is not a number from %ld to %ld", text, min, max);
    fputs(usage, stderr);
    exit(2);
}
