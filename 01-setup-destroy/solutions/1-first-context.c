/*
 * 1-first-context.c - solution 1.1, a context made and destroyed
 *
 * Both calls are checked. EAGAIN deserves more than its text, which says
 * nothing of the limit that all processes share: it comes with the numbers.
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

static void explain(unsigned nr_events);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);

int main(int argc, char **argv)
{
    unsigned nr_events = 128;
    aio_context_t ctx = 0; /* must be 0, or io_setup says EINVAL */

    start(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* explain() says why there is none, and what to do about it. */
    if (io_setup(nr_events, &ctx) == -1)
        explain(nr_events);
    printf("context for %u events: made\n", nr_events);

    /* Until now aio-nr was higher by nr_events. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    printf("context: destroyed\n");
    return EXIT_SUCCESS;
}

/* The number in the file `name` of /proc/sys/fs; -1 if it cannot be read. */
static long read_number(const char *name)
{
    char path[64];
    long n = -1;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/sys/fs/%s", name);
    file = fopen(path, "r");
    if (file != NULL) {
        if (fscanf(file, "%ld", &n) != 1)
            n = -1;
        fclose(file);
    }
    return n;
}

/*
 * Says why there is no context, and what to do about it. Status 1. The limit
 * is the whole machine's: containers have none of their own.
 */
static void explain(unsigned nr_events)
{
    int error = errno; /* any call from here on may change it */
    long nr = read_number("aio-nr"), max_nr = read_number("aio-max-nr");

    errno = error;
    warn("io_setup");
    if (error == EAGAIN && (nr == -1 || max_nr == -1))
        fprintf(stderr, "probably all of fs.aio-max-nr is taken; its numbers "
                        "are hidden here: look on the host\n");
    else if (error == EAGAIN && nr + (long)nr_events <= max_nr)
        fprintf(stderr,
                "aio-nr is %ld, and aio-max-nr %ld: there is room again, or "
                "AIO is forbidden here: try once more\n",
                nr, max_nr);
    else if (error == EAGAIN)
        fprintf(stderr,
                "aio-nr %ld and %u more are over aio-max-nr %ld: sudo "
                "sysctl -w fs.aio-max-nr=%ld (in a container: on its host)\n",
                nr, nr_events, max_nr, nr + nr_events);
    if (error == ENOSYS || error == EPERM)
        fprintf(stderr,
                "AIO is not in this kernel, or the container or sandbox "
                "forbids it: run this on a plain Linux\n");
    exit(EXIT_FAILURE);
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
