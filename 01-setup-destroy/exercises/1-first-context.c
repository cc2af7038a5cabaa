/*
 * 1-first-context.c - exercise 1.1, fill in
 *
 * Should make a context for NR_EVENTS requests and destroy it again. As it
 * is, it only says so.
 *
 * Task:   Add the two system calls, and look at what each returns.
 * Output: "context for N events: made", "context: destroyed", status 0.
 *         If a call fails: status 1, and on stderr "1-first-context: CALL:
 *         reason". If that is EAGAIN from io_setup, a second line on stderr:
 *         "aio-nr A and N more are over aio-max-nr M" with the numbers of
 *         /proc/sys/fs (and whatever advice you like behind them).
 * Try:    ./1-first-context 4000000
 * Read:   01-setup-destroy/README.md, line 49 (The code that matters);
 *         01-setup-destroy/README.md, line 148 (What can go wrong);
 *         01-setup-destroy/setup-destroy.c, whose functions are yours to copy
 * Check:  make exercise-1.1
 *
 * Build:  cc -o 1-first-context 1-first-context.c
 * Usage:  ./1-first-context [NR_EVENTS]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 1-first-context [NR_EVENTS]\n"
    "Creates an AIO context for NR_EVENTS requests (128) and destroys it.\n";

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

/* The whole number in `text`; status 2 if it is not from min to max. */
static long number(const char *text, long min, long max)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= min && n <= max)
        return n;
    fprintf(stderr, "%s: '%s' is not a number from %ld to %ld\n%s",
            program_invocation_short_name, text, min, max, usage);
    exit(2);
}

/* EDIT HERE: no C library has functions for the two system calls. */

int main(int argc, char **argv)
{
    unsigned nr_events = 128;

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* EDIT HERE: make the context. What if there is none to be had? */
    printf("context for %u events: made\n", nr_events);

    /* EDIT HERE: destroy it. */
    printf("context: destroyed\n");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
