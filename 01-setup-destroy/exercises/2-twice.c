/*
 * 2-twice.c - exercise 1.2, find the bug
 *
 * Makes a context and destroys it, as a server does for each of its clients.
 * All is well with the first one.
 *
 * Task:   Have each round make a context of its own, and destroy it.
 * Output: "round N: made and destroyed" for each round, status 0. If a call
 *         fails: status 1, and on stderr "2-twice: CALL: reason".
 * Read:   01-setup-destroy/README.md, line 148 (What can go wrong);
 *         01-setup-destroy/setup-destroy.c
 * Check:  make exercise-1.2
 *
 * Build:  cc -o 2-twice 2-twice.c
 * Usage:  ./2-twice [ROUNDS]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char usage[] =
    "Usage: 2-twice [ROUNDS]\n"
    "Makes an AIO context and destroys it, ROUNDS (2) times.\n";

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

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    long rounds = 2;

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        rounds = number(argv[1], 0, 1000);

    for (long round = 1; round <= rounds; round++) {
        /* EDIT HERE: the second round fails. */
        if (io_setup(8, &ctx) == -1)
            die("io_setup");
        if (io_destroy(ctx) == -1)
            die("io_destroy");
        printf("round %ld: made and destroyed\n", round);
    }

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
