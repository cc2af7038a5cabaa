/*
 * setup-destroy.c - the life of an AIO context
 *
 * Creates a context with room for NR_EVENTS requests, shows what it takes
 * from the limit that all processes share, and destroys it. Then makes the
 * three mistakes that everybody makes once, and shows what the kernel says.
 *
 * Build:  cc -o setup-destroy setup-destroy.c
 * Usage:  ./setup-destroy [NR_EVENTS]
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
    "Usage: setup-destroy [NR_EVENTS]\n"
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

/* A mistake made on purpose: prints what the kernel says of it. */
static void show_mistake(const char *mistake, int result)
{
    printf("%s: %s\n", mistake, result == -1 ? strerror(errno) : "accepted");
}

int main(int argc, char **argv)
{
    static const aio_context_t constant;    /* 0, but cannot be written */
    unsigned nr_events = 128;
    aio_context_t ctx = 0;      /* must be 0, or io_setup says EINVAL */
    aio_context_t again;

    check_arguments(argc, argv, 0, 1);
    if (argc > 1)
        nr_events = number(argv[1], 0, INT_MAX);

    /* The limit is shared by all processes, and counts events, not contexts. */
    printf("aio-max-nr: %ld\n", read_number("/proc/sys/fs/aio-max-nr"));
    printf("aio-nr before io_setup: %ld\n",
           read_number("/proc/sys/fs/aio-nr"));

    /* The kernel makes the context and puts its address into ctx. */
    if (io_setup(nr_events, &ctx) == -1)
        explain(nr_events);
    printf("io_setup(%u): done\n", nr_events);

    /* It has taken exactly the number asked for. */
    printf("aio-nr with the context: %ld\n",
           read_number("/proc/sys/fs/aio-nr"));

    /* Destroying waits for requests in flight; here there are none. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    printf("io_destroy: done\n");
    printf("aio-nr after io_destroy: %ld\n",
           read_number("/proc/sys/fs/aio-nr"));

    /* What is in ctx now is just a number: the kernel knows no such context. */
    show_mistake("io_destroy a second time", io_destroy(ctx));

    /* Most often it is an uninitialised variable that is not 0. */
    again = ctx;
    show_mistake("io_setup into a context that is not 0",
                 io_setup(nr_events, &again));
    show_mistake("io_setup into a bad address",
                 io_setup(nr_events, (aio_context_t *)&constant));

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
