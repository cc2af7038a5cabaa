/*
 * 1-first-context.c - exercise 1.1, fill in (easy)
 *
 * Should make a context for NR_EVENTS requests and destroy it again. As it
 * is, it only says so.
 *
 * Task:   Add the two system calls, and look at what each returns.
 * Output: "context for N events: made", "context: destroyed", status 0.
 *         If a call fails: status 1, and on stderr "1-first-context: CALL:
 *         reason". If that is EAGAIN from io_setup, a second line on stderr:
 *         "aio-nr A and N more are over aio-max-nr M" with the numbers that
 *         are in /proc/sys/fs then (and any advice you like behind them).
 * Try:    01-setup-destroy/exercises/1-first-context 4000000
 * Read:   01-setup-destroy/README.md, line 50 (The code that matters);
 *         01-setup-destroy/README.md, line 150 (What can go wrong);
 *         01-setup-destroy/setup-destroy.c, whose functions are yours to copy
 * Check:  make exercise-1.1
 *
 * Build:  cc -o 1-first-context 1-first-context.c
 * Usage:  ./1-first-context [NR_EVENTS]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);

int main(int argc, char **argv)
{
    unsigned nr_events = 128;

    start(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* EDIT HERE: make the context. What if none is left? */
    printf("context for %u events: made\n", nr_events);

    /* EDIT HERE: destroy it. */
    printf("context: destroyed\n");
    return EXIT_SUCCESS;
}

/* EDIT HERE: no C library has functions for the two system calls. */

static const char usage[] =
    "Usage: 1-first-context [NR_EVENTS]\n"
    "Creates an AIO context for NR_EVENTS requests (128) and destroys it.\n";

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
