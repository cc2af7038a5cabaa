/*
 * odirect.c - past the page cache
 *
 * Writes SIZE bytes to FILE through the window of batch-submit, now with
 * O_DIRECT: from our memory to the disk, with no copy in the page cache
 * between. Without that nothing is asynchronous (is-it-async shows it). The
 * price is alignment, of memory, offset and length: the filesystem is asked
 * for it, buffers are aligned, and the odd tail is written padded and then
 * cut off. Where O_DIRECT is not to be had, it says so and goes on without.
 *
 * Build:  cc -o odirect odirect.c
 * Usage:  ./odirect FILE [SIZE]
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    DEPTH = 8,                  /* requests in flight */
    BLOCK = 65536               /* bytes a request */
};

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char *data;                 /* BLOCK bytes, aligned */
};

static const char usage[] =
    "Usage: odirect FILE [SIZE]\n"
    "Makes FILE, or empties it, and writes SIZE (1000000) bytes to it,\n"
    "past the page cache.\n";

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

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* Reads the file as anybody would, and compares each block. */
static void read_back(const char *path, long size)
{
    static char expected[BLOCK], got[BLOCK];
    FILE *file = fopen(path, "r");

    if (file == NULL)
        die("open %s", path);
    for (long block = 0; block <= size / BLOCK; block++) {
        size_t length = block < size / BLOCK ? BLOCK : size % BLOCK;

        fill(expected, block);
        errno = EIO;            /* in case it is the wrong data */
        if (fread(got, 1, BLOCK, file) != length ||
            memcmp(got, expected, length) != 0)
            die("read back block %ld of %s", block, path);
    }
    fclose(file);
    printf("read back: %ld bytes, as they were written\n", size);
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

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    const char *source;
    long size = 1000000, blocks, tail;
    long prepared = 0, in_flight = 0, done = 0;
    long nr_idle = 0, nr_ready = 0;
    unsigned memory, offset;
    struct request window[DEPTH], *idle[DEPTH];
    struct iocb *ready[DEPTH];
    struct io_event events[DEPTH];
    aio_context_t ctx = 0;
    void *buffers;
    int fd, n;

    check_arguments(argc, argv, 1, 2);
    if (argc > 2)
        size = number(argv[2], 0, LONG_MAX);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: a file past the page cache, if its filesystem can do that. */
    fd = open(path, flags | O_DIRECT, 0666);
    if (fd == -1 && errno == EINVAL)
        fd = open(path, flags, 0666);
    if (fd == -1)
        die("open %s", path);
    source = alignment(fd, &memory, &offset);
    if (memory == 0 && fcntl(fd, F_SETFL, 0) == -1)
        die("fcntl %s", path);
    printf("filesystem: %s\n", filesystem(fd));
    if (memory != 0 && (fcntl(fd, F_GETFL) & O_DIRECT)) {
        printf("O_DIRECT: yes\n");
        printf("alignment: memory %u, offset and length %u (%s)\n",
               memory, offset, source);
    } else {
        printf("O_DIRECT: not here, going on through the page cache\n");
        memory = offset = 1;
    }
    if (BLOCK % memory != 0 || BLOCK % offset != 0) {
        errno = EINVAL;
        die("blocks of %d bytes on %s", BLOCK, path);
    }

    /* Buffers aligned to a whole block are aligned to all that divides it. */
    errno = posix_memalign(&buffers, BLOCK, DEPTH * BLOCK);
    if (errno != 0)
        die("posix_memalign");
    while (nr_idle < DEPTH) {
        window[nr_idle].data = (char *)buffers + nr_idle * BLOCK;
        idle[nr_idle] = &window[nr_idle];
        nr_idle++;
    }
    if (io_setup(DEPTH, &ctx) == -1)
        die("io_setup");

    /* The tail is written up to the next multiple that may be written. */
    tail = size % BLOCK;
    blocks = size / BLOCK + (tail > 0);

    while (done < blocks) {
        /* Prepare: a request for each idle place in the window. */
        while (nr_idle > 0 && prepared < blocks) {
            struct request *request = idle[--nr_idle];
            struct iocb *iocb = &request->iocb;

            fill(request->data, prepared);
            memset(iocb, 0, sizeof(*iocb));
            iocb->aio_data = (uintptr_t)request;
            iocb->aio_lio_opcode = IOCB_CMD_PWRITE;
            iocb->aio_fildes = fd;
            iocb->aio_buf = (uintptr_t)request->data;
            iocb->aio_nbytes = BLOCK;
            iocb->aio_offset = (long long)prepared * BLOCK;
            if (prepared == size / BLOCK) {
                iocb->aio_nbytes = (tail + offset - 1) / offset * offset;
                memset(request->data + tail, 0, BLOCK - tail);
                printf("tail: %ld bytes, written as %lld\n", tail,
                       (long long)iocb->aio_nbytes);
            }
            ready[nr_ready++] = iocb;
            prepared++;
        }

        /* Submit: what is ready, and go on after a partial count. */
        while (nr_ready > 0) {
            n = io_submit(ctx, nr_ready, ready);
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

        /* Reap: wait for one event, and take all that are there. */
        n = io_getevents(ctx, 1, DEPTH, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");

        for (int i = 0; i < n; i++) {
            struct request *request = (void *)(uintptr_t)events[i].data;
            struct iocb *iocb = &request->iocb;
            long long res = events[i].res;

            /* After a short write, go on at a place that is aligned. */
            in_flight--;
            if (res > 0)
                res -= res % offset;
            if (res <= 0) {
                errno = res < 0 ? -res : EIO;
                die("IOCB_CMD_PWRITE %s", path);
            }
            iocb->aio_buf += res;
            iocb->aio_nbytes -= res;
            iocb->aio_offset += res;
            if (iocb->aio_nbytes > 0) {
                ready[nr_ready++] = iocb;
                continue;
            }
            idle[nr_idle++] = request;
            done++;
        }
    }

    /* The padding goes: the file is as long as it was asked to be. */
    if (ftruncate(fd, size) == -1)
        die("ftruncate %s", path);
    printf("size: %ld bytes in %ld requests, after ftruncate\n", size, done);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(buffers);
    read_back(path, size);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
