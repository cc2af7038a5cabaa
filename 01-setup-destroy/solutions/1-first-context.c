/*
 * 1-first-context.c - solution 1.1, a context made and destroyed
 *
 * Both calls are checked. EAGAIN deserves more than its text, which says
 * nothing of the limit that all processes share: it comes with the numbers.
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

/* The number in a file of /proc/sys/fs; -1 if there is no such file. */
static long read_number(const char *path)
{
    FILE *file = fopen(path, "r");
    long n;

    if (file == NULL)
        return -1;
    if (fscanf(file, "%ld", &n) != 1)
        n = -1;
    fclose(file);
    return n;
}

/* Says why there is no context, and what to do about it. Status 1. */
static void explain(unsigned nr_events)
{
    int error = errno;
    long nr = read_number("/proc/sys/fs/aio-nr");
    long max_nr = read_number("/proc/sys/fs/aio-max-nr");

    fflush(stdout);
    fprintf(stderr, "%s: io_setup: %s\n", program_invocation_short_name,
            strerror(error));
    if (error == EAGAIN)
        fprintf(stderr, "aio-nr %ld and %u more are over aio-max-nr %ld: "
                "sudo sysctl -w fs.aio-max-nr=%ld\n",
                nr, nr_events, max_nr, nr + nr_events);
    if (error == ENOSYS || error == EPERM)
        fprintf(stderr, "AIO is not in this kernel, or the container or "
                "sandbox forbids it: run this on a plain Linux\n");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    unsigned nr_events = 128;
    aio_context_t ctx = 0;      /* must be 0, or io_setup says EINVAL */

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* explain() says why there is none, and what to do about it. */
    if (io_setup(nr_events, &ctx) == -1)
        explain(nr_events);
    printf("context for %u events: made\n", nr_events);

    /* Until now aio-nr was higher by nr_events. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    printf("context: destroyed\n");

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
