/*
 * 3-per-thread.c - solution 1.3, a context is not its thread's
 *
 * It belongs to the memory, which all threads share, and a thread that ends
 * leaves it behind. The work of a connection ends in two ways. So it is a
 * function of its own: around it the context is made and destroyed, once.
 *
 * Build:  cc -o 3-per-thread 3-per-thread.c (glibc before 2.34: add -pthread)
 * Usage:  ./3-per-thread [CONNECTIONS]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A connection; the work of its thread is serve(). */
struct connection {
    long number;
    int served;
};

static void *serve(void *argument);
static int work(aio_context_t ctx, long number);
static int contexts_left(void);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);

int main(int argc, char **argv)
{
    long connections = 6, served = 0;

    start(argc, argv, 0, 1);
    if (argc > 1)
        connections = number(argv[1], 0, 1000);

    /* One after the other, to keep it short. */
    for (long i = 1; i <= connections; i++) {
        struct connection connection = { .number = i };
        pthread_t thread;

        errno = pthread_create(&thread, NULL, serve, &connection);
        if (errno != 0)
            err(1, "pthread_create");
        errno = pthread_join(thread, NULL);
        if (errno != 0)
            err(1, "pthread_join");
        served += connection.served;
    }

    printf("connections: %ld, served: %ld, contexts left: %d\n", connections,
           served, contexts_left());
    return EXIT_SUCCESS;
}

/* What a thread does from beginning to end. */
static void *serve(void *argument)
{
    struct connection *connection = argument;
    aio_context_t ctx = 0;

    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");
    connection->served = work(ctx, connection->number);

    /* Here all ways meet. */
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    return NULL;
}

/* What is done for a connection. Was it served? */
static int work(aio_context_t ctx, long number)
{
    if (number % 3 == 0)
        return 0; /* it has hung up */

    /* Requests come in chapter 2. These are none; but for a context that is
     * not ours, that would be an error, too. */
    if (io_submit(ctx, 0, NULL) == -1)
        err(1, "io_submit");
    return 1;
}

/* How many contexts does this process have? Each is a mapping, "/[aio]". */
static int contexts_left(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    int n = 0;

    if (maps == NULL)
        err(1, "open /proc/self/maps");
    while (fgets(line, sizeof(line), maps) != NULL)
        n += strstr(line, "/[aio]") != NULL;
    fclose(maps);
    return n;
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

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static const char usage[] =
    "Usage: 3-per-thread [CONNECTIONS]\n"
    "Serves CONNECTIONS (6), each by a thread with an AIO context.\n";

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
