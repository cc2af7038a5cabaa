/*
 * posix-reads.c - the reads of queue-depth, by POSIX AIO
 *
 * Reads random blocks of FILE past the page cache for some time, DEPTH at
 * once, and prints how many were read in a second. For the comparison in
 * `make bench`: glibc has one queue for each descriptor, so DEPTH hardly
 * matters.
 *
 * Build:  cc -o posix-reads posix-reads.c (glibc before 2.34: add -lrt)
 * Usage:  ./posix-reads FILE DEPTH MILLISECONDS
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BLOCK = 4096, /* bytes a read */
    MAX_DEPTH = 256
};

static const char usage[] =
    "Usage: posix-reads FILE DEPTH MILLISECONDS\n"
    "Prints random reads in a second, and seconds of CPU time for each.\n";

/*
 * Says "PROGRAM: CALL: reason" on stderr and ends the program with status 1.
 * The reason is errno's. `call` is a format like printf's, so that it can
 * name a file: die("open %s", path).
 */
static _Noreturn void die(const char *call, ...)
{
    int error = errno;
    va_list args;

    fflush(stdout); /* what was printed first is seen first */
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

/* Seconds of the given clock. */
static double seconds(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) == -1)
        die("clock_gettime");
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static _Alignas(BLOCK) char data[MAX_DEPTH][BLOCK];
    static struct aiocb requests[MAX_DEPTH];
    const struct aiocb *list[MAX_DEPTH];
    const char *path = argv[1];
    double start, end, cpu, limit;
    long depth, blocks, done = 0, in_flight;
    int fd;

    check_arguments(argc, argv, 3, 3);
    depth = number(argv[2], 1, MAX_DEPTH);
    limit = number(argv[3], 1, 3600000) / 1e3;
    fd = open(path, O_RDONLY | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = open(path, O_RDONLY);
    if (fd == -1)
        die("open %s", path);
    blocks = lseek(fd, 0, SEEK_END) / BLOCK;
    if (blocks < 1) {
        errno = EINVAL;
        die("%s: less than a block", path);
    }

    /* All requests start; who is done starts again until time is up. */
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    start = end = seconds(CLOCK_MONOTONIC);
    in_flight = depth;
    for (long i = 0; i < depth; i++) {
        requests[i].aio_fildes = fd;
        requests[i].aio_buf = data[i];
        requests[i].aio_nbytes = BLOCK;
        requests[i].aio_offset = (off_t)(random() % blocks) * BLOCK;
        requests[i].aio_sigevent.sigev_notify = SIGEV_NONE;
        list[i] = &requests[i];
        if (aio_read(&requests[i]) == -1)
            die("aio_read %s", path);
    }
    while (in_flight > 0) {
        if (aio_suspend(list, depth, NULL) == -1 && errno != EINTR)
            die("aio_suspend");
        end = seconds(CLOCK_MONOTONIC);
        for (long i = 0; i < depth; i++) {
            if (list[i] == NULL || aio_error(list[i]) == EINPROGRESS)
                continue;
            if (aio_return(&requests[i]) != BLOCK) {
                errno = aio_error(&requests[i]);
                die("aio_read %s", path);
            }
            done++;
            if (end - start < limit) {
                requests[i].aio_offset = (off_t)(random() % blocks) * BLOCK;
                if (aio_read(&requests[i]) == -1)
                    die("aio_read %s", path);
            } else {
                list[i] = NULL;
                in_flight--;
            }
        }
    }
    printf("%.0f %.6f\n", done / (end - start),
           (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / done);
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
