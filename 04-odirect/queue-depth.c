/*
 * queue-depth.c - what asynchrony buys
 *
 * Reads blocks of FILE at random places, past the page cache: first with
 * pread(), one after the other, and then with 1, 2, 4 ... 64 requests in
 * flight. A disk that has more than one thing to do does them side by side.
 * At the same time the calls for each request become fewer: one io_submit()
 * refills the window, one io_getevents() waits until half of it is done.
 *
 * Build:  cc -o queue-depth queue-depth.c
 * Usage:  ./queue-depth FILE [BLOCK_SIZE [MILLISECONDS [MEBIBYTES]]]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum {
    DEPTH = 64,                 /* most requests in flight */
    ROWS = 8,                   /* pread, 1, 2, 4, 8, 16, 32, 64 */
    MEBIBYTE = 1 << 20
};

/* What all rows have in common. */
struct test {
    const char *path;
    int fd;
    long block_size, blocks;    /* bytes; what FILE has of them */
    long milliseconds;          /* for each row */
    char *buffers;              /* DEPTH blocks */
    aio_context_t ctx;
};

struct row {
    long requests, calls;
    double seconds, cpu, iops;
};

static const char usage[] =
    "Usage: queue-depth FILE [BLOCK_SIZE [MILLISECONDS [MEBIBYTES]]]\n"
    "Reads blocks of BLOCK_SIZE (4096) bytes at random places of FILE, at\n"
    "queue depth 1 to 64, MILLISECONDS (400) each. If there is no FILE, one\n"
    "of MEBIBYTES (256) is made, and goes away again.\n";

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

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events, struct timespec *timeout)
{
    return syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
}

/* What the filesystem that `fd` is on is called. */
static const char *filesystem(int fd)
{
    static const struct {
        unsigned magic;         /* from statfs(2) and linux/magic.h */
        const char *name;
    } known[] = {
        { 0xef53, "ext4" }, { 0x58465342, "xfs" }, { 0x9123683e, "btrfs" },
        { 0x01021994, "tmpfs" }, { 0x794c7630, "overlayfs" },
        { 0xf2f52010, "f2fs" }, { 0x2fc12fc1, "zfs" }, { 0x6969, "nfs" },
        { 0x65735546, "fuse" }, { 0x01021997, "9p" }, { 0x858458f6, "ramfs" },
    };
    struct statfs statfs;

    if (fstatfs(fd, &statfs) == -1)
        die("fstatfs");
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].magic == (unsigned)statfs.f_type)
            return known[i].name;
    return "unknown filesystem";
}

/*
 * Bytes that buffer addresses (*memory), and offsets and lengths (*offset)
 * must be multiples of under O_DIRECT. Returns who said so: statx() since
 * Linux 6.1, or else the disk; and if neither does, 4096 is right for most.
 * A *memory of 0 means that this file can't be used with O_DIRECT.
 */
static const char *alignment(int fd, unsigned *memory, unsigned *offset)
{
    /* struct statx as words, for headers that don't know the fields yet. */
    enum { STX_MASK = 0, STX_DIO_MEM_ALIGN = 38, STX_DIO_OFFSET_ALIGN = 39 };
    const unsigned dioalign = 0x2000;   /* STATX_DIOALIGN */
    unsigned stx[64] = { 0 };
    const char *paths[] = { "/sys/dev/block/%u:%u/queue/logical_block_size",
                            "/sys/dev/block/%u:%u/../queue/logical_block_size"
                          };
    struct stat stat;

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, stx) == 0 &&
        (stx[STX_MASK] & dioalign)) {
        *memory = stx[STX_DIO_MEM_ALIGN];
        *offset = stx[STX_DIO_OFFSET_ALIGN];
        return "says statx";
    }

    /* A disk has a queue; a partition's is its disk's. */
    if (fstat(fd, &stat) == -1)
        die("fstat");
    for (int i = 0; i < 2; i++) {
        char path[100];
        FILE *file;
        int found;

        snprintf(path, sizeof(path), paths[i],
                 major(stat.st_dev), minor(stat.st_dev));
        file = fopen(path, "r");
        if (file == NULL)
            continue;
        found = fscanf(file, "%u", offset);
        fclose(file);
        if (found == 1) {
            *memory = *offset;
            return "the disk's logical block size";
        }
    }
    *memory = *offset = 4096;
    return "a guess, for nobody says";
}

/* Seconds since some time in the past, whatever is done to the clock. */
static double monotonic(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_MONOTONIC, &time) == -1)
        die("clock_gettime");
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Seconds of processor time that this process has used, in the kernel too. */
static double cpu_time(void)
{
    struct rusage used;

    if (getrusage(RUSAGE_SELF, &used) == -1)
        die("getrusage");
    return used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 +
           used.ru_stime.tv_sec + used.ru_stime.tv_usec / 1e6;
}

/* Numbers with no pattern (xorshift64). */
static uint64_t next_random(void)
{
    static uint64_t x = 88172645463325252;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* Tells a terminal what goes on; the next text, or an error, covers it. */
static void progress(const char *what, long n)
{
    if (!isatty(STDERR_FILENO))
        return;
    if (what != NULL)
        fprintf(stderr, "%s %ld", what, n);
    fprintf(stderr, "\033[K\r");       /* clear the rest, go to the start */
}

/* Really written: blocks that were only allocated are read from no disk. */
static void write_file(const struct test *test, long mebibytes)
{
    uint64_t *data;
    void *buffer;

    errno = posix_fallocate(test->fd, 0, (off_t)mebibytes * MEBIBYTE);
    if (errno != 0 && errno != EOPNOTSUPP)
        die("posix_fallocate %s", test->path);
    errno = posix_memalign(&buffer, MEBIBYTE, MEBIBYTE);
    if (errno != 0)
        die("posix_memalign");
    data = buffer;
    for (long i = 0; i < mebibytes; i++) {
        progress("writing: MiB", i);
        for (size_t j = 0; j < MEBIBYTE / sizeof(*data); j++)
            data[j] = next_random();
        errno = ENOSPC;         /* in case it is short */
        if (pwrite(test->fd, data, MEBIBYTE, (off_t)i * MEBIBYTE) != MEBIBYTE)
            die("pwrite %s", test->path);
    }
    if (fsync(test->fd) == -1)
        die("fsync %s", test->path);
    free(buffer);
}

/* Somewhere in the file. */
static long long place(const struct test *test)
{
    return (long long)(next_random() % test->blocks) * test->block_size;
}

/* One read after the other, with the call that everybody knows. */
static struct row read_synchronously(const struct test *test)
{
    struct row row = { 0 };
    double start = monotonic();

    progress("reading with pread: ms", test->milliseconds);
    do {
        errno = EIO;            /* in case it is short */
        if (pread(test->fd, test->buffers, test->block_size, place(test)) !=
            test->block_size)
            die("pread %s", test->path);
        row.requests++;
        row.calls++;
        row.seconds = monotonic() - start;
    } while (row.seconds * 1000 < test->milliseconds);
    return row;
}

/* The same with `depth` requests in flight: the window of batch-submit. */
static struct row read_asynchronously(const struct test *test, long depth)
{
    struct iocb iocbs[DEPTH], *ready[DEPTH];
    struct io_event events[DEPTH];
    struct row row = { 0 };
    long nr_ready = 0, in_flight = 0;
    int n, over = 0;
    double start = monotonic();

    progress("reading at depth", depth);

    /* Prepare once: later only the offset changes. */
    memset(iocbs, 0, sizeof(iocbs));
    for (; nr_ready < depth; nr_ready++) {
        struct iocb *iocb = &iocbs[nr_ready];
        char *buffer = test->buffers + nr_ready * test->block_size;

        iocb->aio_data = (uintptr_t)iocb;
        iocb->aio_lio_opcode = IOCB_CMD_PREAD;
        iocb->aio_fildes = test->fd;
        iocb->aio_buf = (uintptr_t)buffer;
        iocb->aio_nbytes = test->block_size;
        iocb->aio_offset = place(test);
        ready[nr_ready] = iocb;
    }

    while (nr_ready > 0 || in_flight > 0) {
        /* Submit all that is ready with one call. */
        while (nr_ready > 0) {
            n = io_submit(test->ctx, nr_ready, ready);
            row.calls++;
            if (n == -1 && errno == EINTR)
                continue;
            if (n == -1 && errno == EAGAIN && in_flight > 0)
                break;
            if (n == -1)
                die("io_submit");
            in_flight += n;
            nr_ready -= n;
            memmove(ready, ready + n, nr_ready * sizeof(*ready));
        }

        /*
         * Reap. To wait for a single event would be to call, and be woken,
         * for each; to wait for all would leave the disk with nothing to do.
         */
        n = io_getevents(test->ctx, over ? in_flight : (in_flight + 1) / 2,
                         DEPTH, events, NULL);
        row.calls++;
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        row.seconds = monotonic() - start;
        over = row.seconds * 1000 >= test->milliseconds;
        for (int i = 0; i < n; i++) {
            struct iocb *iocb = (void *)(uintptr_t)events[i].data;

            if (events[i].res != test->block_size) {
                errno = events[i].res < 0 ? -events[i].res : EIO;
                die("IOCB_CMD_PREAD %s", test->path);
            }
            in_flight--;
            row.requests++;
            iocb->aio_offset = place(test);
            if (!over)
                ready[nr_ready++] = iocb;
        }
    }
    return row;
}

int main(int argc, char **argv)
{
    struct test test = { .path = argv[1], .block_size = 4096,
                         .milliseconds = 400 };
    struct row rows[ROWS];
    long mebibytes = 256, size;
    unsigned memory, offset;
    struct stat stat;
    void *buffers;
    double best = 0;
    int made, direct;

    check_arguments(argc, argv, 1, 4);
    if (argc > 2)
        test.block_size = number(argv[2], 1, 4 * MEBIBYTE);
    if (argc > 3)
        test.milliseconds = number(argv[3], 1, 60000);
    if (argc > 4)
        mebibytes = number(argv[4], 1, LONG_MAX / MEBIBYTE);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /*
     * A file that is there is only read. One that is not is made, and loses
     * its name at once: so it is gone when this process ends, however it ends.
     */
    test.fd = open(test.path, O_RDONLY | O_NONBLOCK);
    made = test.fd == -1 && errno == ENOENT;
    if (made)
        test.fd = open(test.path, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (test.fd == -1)
        die("open %s", test.path);
    if (made && unlink(test.path) == -1)
        die("unlink %s", test.path);
    if (fstat(test.fd, &stat) == -1)
        die("fstat %s", test.path);
    if (!S_ISREG(stat.st_mode) && !S_ISBLK(stat.st_mode)) {
        errno = S_ISDIR(stat.st_mode) ? EISDIR : EINVAL;
        die("open %s", test.path);
    }

    /* O_DIRECT can also be switched on later, if at all. */
    printf("filesystem: %s\n", filesystem(test.fd));
    alignment(test.fd, &memory, &offset);
    direct = memory > 0 && fcntl(test.fd, F_SETFL, O_DIRECT) == 0;
    if (memory > 0 && !direct && errno != EINVAL)
        die("fcntl %s", test.path);
    printf("O_DIRECT: %s\n", direct ? "yes" :
           "not here, so this measures the page cache");
    if (direct && (test.block_size % memory || test.block_size % offset)) {
        fprintf(stderr, "%s: BLOCK_SIZE %ld: %s wants a multiple of %u\n",
                program_invocation_short_name, test.block_size, test.path,
                memory > offset ? memory : offset);
        return EXIT_FAILURE;
    }

    /* Set up: something to read, memory to read it into, and a context. */
    if (made)
        write_file(&test, mebibytes);
    size = lseek(test.fd, 0, SEEK_END);
    if (size == -1)
        die("lseek %s", test.path);
    test.blocks = size / test.block_size;
    if (test.blocks == 0) {
        fprintf(stderr, "%s: %s: its %ld bytes are less than a block\n",
                program_invocation_short_name, test.path, size);
        return EXIT_FAILURE;
    }
    printf("file: %ld bytes, %s\n", size, made ? "made for this, and removed" :
           S_ISREG(stat.st_mode) && stat.st_blocks < size / 512 ?
           "with holes: reading these takes no disk" : "as it was");
    errno = posix_memalign(&buffers, MEBIBYTE, DEPTH * test.block_size);
    if (errno != 0)
        die("posix_memalign");
    test.buffers = memset(buffers, 0, DEPTH * test.block_size);
    if (io_setup(DEPTH, &test.ctx) == -1)
        die("io_setup");

    /* Measure. */
    for (int i = 0; i < ROWS; i++) {
        double before = cpu_time();

        rows[i] = i == 0 ? read_synchronously(&test) :
                           read_asynchronously(&test, 1L << (i - 1));
        rows[i].cpu = cpu_time() - before;
    }
    progress(NULL, 0);

    /* Show: figures, and bars that leave room for them in 72 columns. */
    for (int i = 0; i < ROWS; i++) {
        rows[i].iops = rows[i].requests / rows[i].seconds;
        if (rows[i].iops > best)
            best = rows[i].iops;
    }
    printf("\ndepth     IOPS   gain  calls"
           "  (gain over pread, calls a request)\n");
    for (int i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];

        if (i == 0)
            printf("pread");
        else
            printf("%-5d", 1 << (i - 1));
        printf(" %8.0f %6.2f %6.3f  %.*s\n", row->iops,
               row->iops / rows[0].iops, (double)row->calls / row->requests,
               (int)(row->iops / best * 40),
               "########################################");
    }
    printf("\nCPU microseconds a request: pread %.1f",
           rows[0].cpu / rows[0].requests * 1e6);
    for (int i = 1; i < ROWS; i++)
        printf(", %d %.1f", 1 << (i - 1), rows[i].cpu / rows[i].requests * 1e6);
    printf("\n");

    /* Tear down. */
    if (io_destroy(test.ctx) == -1)
        die("io_destroy");
    if (close(test.fd) == -1)
        die("close %s", test.path);
    free(buffers);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
