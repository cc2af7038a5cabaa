/*
 * queue-depth.c - what asynchrony buys
 *
 * Reads blocks of FILE at random places, past the page cache: first with
 * pread(), one after the other, and then with 1, 2, 4 ... 64 requests in
 * flight. A disk that has more than one thing to do does them side by side.
 * At the same time the calls for each request become fewer: one io_submit()
 * refills half of the window, while the disk works on the other half.
 *
 * Build:  cc -o queue-depth queue-depth.c
 * Usage:  ./queue-depth FILE [BLOCK_SIZE [MILLISECONDS [MEBIBYTES]]]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4 << 20, DEPTH = 64, MEBIBYTE = 1 << 20 }; /* the most, bytes */

static unsigned memory_align = 1, offset_align = 1; /* bytes */
static const char *path;
static long block_size, milliseconds = 400, mebibytes = 256;
static long long size, blocks; /* what FILE has of bytes, and of blocks */
static struct iocb window[DEPTH], *ready[DEPTH];
static char *buffers; /* DEPTH blocks */
static long nr_ready, in_flight, done, submits, reaps, most;
static int over; /* the time is up */

static void measure(aio_context_t ctx, int fd, long depth);
static void write_all(int fd, const char *from, long length, long long offset);
static int open_or_make(void);
static void ask_alignment(int fd);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    void *memory;
    int fd;

    start(argc, argv, 1, 4);
    path = argv[1];
    if (argc > 2)
        block_size = number(argv[2], 1, BLOCK);
    if (argc > 3)
        milliseconds = number(argv[3], 1, 60000);
    if (argc > 4)
        mebibytes = number(argv[4], 1, LONG_MAX / MEBIBYTE);
    fd = open_or_make();
    blocks = size / block_size;
    if (blocks == 0)
        errx(1, "%s: its %lld bytes are less than a block", path, size);
    errno = posix_memalign(&memory, MEBIBYTE, DEPTH * block_size);
    if (errno != 0)
        err(1, "posix_memalign");
    buffers = memset(memory, 0, DEPTH * block_size);
    if (io_setup(DEPTH, &ctx) == -1)
        err(1, "io_setup");

    printf("depth     IOPS   gain  calls  CPU us (a request)\n");
    for (long depth = 0; depth <= DEPTH; depth = depth ? 2 * depth : 1)
        measure(ctx, fd, depth);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(buffers);
    return EXIT_SUCCESS;
}

/* Somewhere in the file. */
static long long place(void)
{
    return lrand48() % blocks * block_size;
}

/* A window of `depth` requests. Later only their offsets change. */
static void prepare(int fd, long depth)
{
    for (; nr_ready < depth; nr_ready++) {
        window[nr_ready] = (struct iocb){
            .aio_data = (uintptr_t)&window[nr_ready],
            .aio_lio_opcode = IOCB_CMD_PREAD,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)(buffers + nr_ready * block_size),
            .aio_nbytes = block_size,
            .aio_offset = place(),
        };
        ready[nr_ready] = &window[nr_ready];
    }
}

/*
 * Submits all that is ready. The kernel stops at a request that it cannot
 * take, and returns the number before it. So go on from there: now that
 * request comes first, and the call says what is wrong with it. EAGAIN: the
 * context is full, and only reaping makes room.
 */
static void submit(aio_context_t ctx)
{
    while (nr_ready > 0) {
        int n = io_submit(ctx, nr_ready, ready);

        submits++;
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1 && errno == EAGAIN && in_flight > 0)
            break;
        if (n == -1)
            err(1, "io_submit");
        in_flight += n;
        nr_ready -= n;
        memmove(ready, ready + n, nr_ready * sizeof(*ready));
    }
    if (in_flight > most)
        most = in_flight;
}

/*
 * Reaps half of the window, and no more even if more is there: while we refill
 * that half, the disk has the other one to work on. At the end, all.
 */
static void reap_half(aio_context_t ctx)
{
    struct io_event events[DEPTH];
    long half = over ? in_flight : (in_flight + 1) / 2;
    int n = io_getevents(ctx, half, half, events, NULL);

    reaps++;
    if (n == -1 && errno != EINTR)
        err(1, "io_getevents");
    for (int i = 0; i < n; i++) {
        struct iocb *iocb = (void *)(uintptr_t)events[i].data;

        if (events[i].res != block_size) {
            errno = events[i].res < 0 ? -events[i].res : EIO;
            err(1, "IOCB_CMD_PREAD %s", path);
        }
        in_flight--;
        done++;
        iocb->aio_offset = place();
        if (!over)
            ready[nr_ready++] = iocb;
    }
}

/* Seconds: since some time in the past, or used by this process. */
static double seconds(clockid_t clock)
{
    struct timespec time;

    if (clock_gettime(clock, &time) == -1)
        err(1, "clock_gettime");
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Reads as long as it may, and prints a row. A depth of 0 stands for pread. */
static void measure(aio_context_t ctx, int fd, long depth)
{
    static double pread_iops;
    double start = seconds(CLOCK_MONOTONIC), time, iops;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);

    done = submits = reaps = over = 0;
    prepare(fd, depth);
    do {
        if (depth == 0) { /* the call that everybody knows */
            errno = EIO;  /* in case it is short */
            if (pread(fd, buffers, block_size, place()) != block_size)
                err(1, "pread %s", path);
            done++;
        } else {
            submit(ctx);
            reap_half(ctx);
        }
        time = seconds(CLOCK_MONOTONIC) - start;
        over = time * 1000 >= milliseconds;
    } while (!over || nr_ready > 0 || in_flight > 0);

    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    iops = done / time;
    if (depth == 0) {
        pread_iops = iops;
        submits = done;
        printf("pread");
    } else {
        printf("%-5ld", depth);
    }
    printf(" %8.0f %6.2f %6.3f %7.1f\n", iops, iops / pread_iops,
           (double)(submits + reaps) / done, cpu / done * 1e6);
}

/* Really written: blocks that are only allocated are read from no disk. */
static void write_file(int fd)
{
    void *memory;
    long *data;

    errno = posix_memalign(&memory, MEBIBYTE, MEBIBYTE);
    if (errno != 0)
        err(1, "posix_memalign");
    data = memory;
    for (long i = 0; i < mebibytes; i++) {
        for (size_t j = 0; j < MEBIBYTE / sizeof(*data); j++)
            data[j] = lrand48();
        write_all(fd, memory, MEBIBYTE, (long long)i * MEBIBYTE);
    }
    if (fsync(fd) == -1)
        err(1, "fsync %s", path);
    free(memory);
}

/* pwrite() of all of it. A short one is no error: the next one tells. */
static void write_all(int fd, const char *from, long length, long long offset)
{
    for (ssize_t n; length > 0; from += n, offset += n, length -= n) {
        errno = EIO; /* if it writes nothing */
        n = pwrite(fd, from, length, offset);
        if (n <= 0)
            err(1, "pwrite %s", path);
    }
}

/*
 * A file or disk that is there is only read. A file that is not is made, and
 * loses its name at once: so it is gone when this process ends, in any way.
 */
static int open_or_make(void)
{
    struct stat st = { .st_mode = S_IFREG };
    int made = stat(path, &st) == -1 && errno == ENOENT;
    int fd, disk = S_ISBLK(st.st_mode);

    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    if (!disk && !S_ISREG(st.st_mode))
        err(1, "open %s", path);
    fd = open(path, made ? O_RDWR | O_CREAT | O_EXCL : O_RDONLY, 0600);
    if (fd == -1 && made && errno == EEXIST)
        errx(1, "open %s: is a symbolic link to nothing", path);
    if (fd == -1)
        err(1, "open %s", path);
    if (made && unlink(path) == -1)
        err(1, "unlink %s", path);
    if (fcntl(fd, F_SETFL, O_DIRECT) == -1 && errno != EINVAL)
        err(1, "fcntl %s", path);
    ask_alignment(fd);
    if (block_size == 0) /* not given */
        block_size = offset_align > 4096 ? offset_align : 4096;
    if (block_size % memory_align || block_size % offset_align)
        errx(1, "BLOCK_SIZE %ld: %s wants a multiple of %u", block_size, path,
             memory_align > offset_align ? memory_align : offset_align);
    if (made)
        write_file(fd);

    size = lseek(fd, 0, SEEK_END); /* stat() says 0 of a disk */
    if (size == -1)
        err(1, "lseek %s", path);
    printf("%s %s: %lld bytes, ", disk ? "disk" : "file", path, size);
    if (made)
        printf("made for this, and removed\n");
    else if (!disk && st.st_blocks < size / 512)
        printf("with holes, or compressed: the disk reads less\n");
    else
        printf("as it was\n");
    return fd;
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, others[37];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/*
 * What addresses, and what offsets and lengths, must be multiples of. statx()
 * says that since Linux 6.1, and 0 means not with this file.
 */
static void ask_alignment(int fd)
{
    const char *source = "a guess: statx does not say";
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    struct new_statx stx = { 0 };

    memory_align = offset_align = 4096; /* fits nearly every disk */
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign)) {
        memory_align = stx.stx_dio_mem_align;
        offset_align = stx.stx_dio_offset_align;
        source = "says statx";
    }
    if (memory_align == 0 && fcntl(fd, F_SETFL, 0) == -1)
        err(1, "fcntl %s", path);
    if (!(fcntl(fd, F_GETFL) & O_DIRECT)) {
        memory_align = offset_align = 1;
        printf("O_DIRECT: not here, going on through the page cache\n");
    } else {
        printf("O_DIRECT: yes\nalignment: memory %u, offset and length %u "
               "(%s)\n",
               memory_align, offset_align, source);
    }
    if (BLOCK % memory_align != 0 || BLOCK % offset_align != 0)
        errx(1, "%s: %d is no multiple of the alignment", path, BLOCK);
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

/* The timespec is the kernel's: two longs, however long time_t is. */
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

static const char usage[] =
    "Usage: queue-depth FILE [BLOCK_SIZE [MILLISECONDS [MEBIBYTES]]]\n"
    "Reads blocks of BLOCK_SIZE bytes (4096, or what is the least here) at\n"
    "random places of FILE, at queue depth 1 to 64, MILLISECONDS (400) each.\n"
    "If there is no FILE, one of MEBIBYTES (256) is made, and then removed.\n";

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
