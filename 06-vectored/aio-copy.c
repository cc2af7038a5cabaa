/*
 * aio-copy.c - a file copied with all that the chapters taught
 *
 * Reads of SRC and writes of DST are in flight together, in a window of
 * DEPTH blocks: in batches, each block in segments, past the page cache
 * where that can be had. The copy grows under a temporary name beside DST,
 * in space that is reserved first, and gets the name DST only when all of
 * it is on the disk: a copy that failed never looks like one that is done.
 *
 * DST gets the permissions of SRC, also if it was there before. A DST that
 * is a symbolic link stays one: what it points to is replaced. Holes in SRC
 * become zeros in DST. Owner, times and the like are not copied.
 *
 * Build:  cc -o aio-copy aio-copy.c
 * Usage:  ./aio-copy SRC DST [DEPTH [BLOCK_SIZE]]
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64    /* files over 2 GiB, on 32 bits too */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
    SEGMENT = 262144,           /* bytes; a block is cut into such pieces */
    MAX_SEGMENTS = 256,         /* of a block; the kernel would take 1024 */
    HUGE_PAGE = 2097152         /* bytes */
};

/* What is copied, and how. */
struct copy {
    const char *src, *dst;      /* as they were given */
    char *target;               /* DST, with symbolic links resolved */
    int in, out, folder;        /* file descriptors */
    struct stat source;         /* SRC as it was when we began */
    long block, depth;
    long alignment;             /* 1 if nothing must be aligned */
};

/* One place in the window: a block that is read, and then written. */
struct request {
    struct iocb iocb;
    struct iovec segments[MAX_SEGMENTS];
    char *data;
    long long offset;           /* of the block, in both files */
    long wanted;                /* bytes that SRC has for it */
    long length;                /* bytes to transfer, aligned */
    long done;                  /* bytes transferred */
};

/* The copy's name until it is complete; removed if it never is. */
static char *volatile temporary;

static const char usage[] =
    "Usage: aio-copy SRC DST [DEPTH [BLOCK_SIZE]]\n"
    "Copies the file SRC to DST, past the page cache, with at most DEPTH (16)\n"
    "blocks of BLOCK_SIZE (2097152) bytes in memory. DST appears, or is\n"
    "replaced, when the copy is complete and on the disk.\n";

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

/* For what is wrong though no call failed. */
static void refuse(const char *path, const char *why)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, path, why);
    exit(EXIT_FAILURE);
}

/* A directory, a pipe, a disk: they can't be copied like a file. */
static void check_regular(const char *path, mode_t mode)
{
    if (S_ISDIR(mode))
        refuse(path, "is a directory");
    if (!S_ISREG(mode))
        refuse(path, "is not a regular file");
}

/* At exit, and when interrupted. There may be nothing to remove. */
static void remove_temporary(void)
{
    if (temporary != NULL)
        unlink(temporary);
}

static void interrupted(int signo)
{
    remove_temporary();
    signal(signo, SIG_DFL);
    raise(signo);
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

/* SRC must be a regular file. O_NONBLOCK: opening a pipe must not wait. */
static void open_source(struct copy *copy)
{
    copy->in = open(copy->src, O_RDONLY | O_NONBLOCK);
    if (copy->in == -1)
        die("open %s", copy->src);
    if (fstat(copy->in, &copy->source) == -1)
        die("fstat %s", copy->src);
    check_regular(copy->src, copy->source.st_mode);
}

/*
 * DST must be a regular file other than SRC, or not be there yet. The copy
 * begins as a new file in the same folder, which nobody else can read.
 */
static void open_target(struct copy *copy)
{
    const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGALRM,
                         SIGUSR1, SIGUSR2, SIGXCPU, SIGVTALRM, SIGPROF };
    struct stat old;
    char *folder, *name, *slash;
    int prefix;

    if (stat(copy->dst, &old) == 0) {
        check_regular(copy->dst, old.st_mode);
        if (old.st_dev == copy->source.st_dev &&
            old.st_ino == copy->source.st_ino)
            refuse(copy->dst, "is the same file as the source");
        copy->target = realpath(copy->dst, NULL);
        if (copy->target == NULL)
            die("realpath %s", copy->dst);
    } else {
        if (errno != ENOENT)
            die("stat %s", copy->dst);
        if (lstat(copy->dst, &old) == 0)
            refuse(copy->dst, "is a symbolic link to nothing");
        copy->target = strdup(copy->dst);
        if (copy->target == NULL)
            die("strdup");
    }

    /* The folder is opened now, to be known to work when it is needed. */
    slash = strrchr(copy->target, '/');
    prefix = slash == NULL ? 0 : slash - copy->target + 1;
    if (asprintf(&folder, "%.*s.", prefix, copy->target) == -1 ||
        asprintf(&name, "%.*s.aio-copy-XXXXXX", prefix, copy->target) == -1)
        die("asprintf");
    copy->folder = open(folder, O_RDONLY | O_DIRECTORY);
    if (copy->folder == -1)
        die("open %s", folder);
    free(folder);

    /* However we are ended from here on, as a rule, the temporary file goes;
     * kill -9 and a crash leave no time for it. */
    if (atexit(remove_temporary) != 0)
        die("atexit");
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (signal(ends[i], interrupted) == SIG_IGN)
            signal(ends[i], SIG_IGN);           /* nohup wants it so */
    temporary = name;
    copy->out = mkstemp(name);
    if (copy->out == -1) {
        temporary = NULL;
        die("mkstemp beside %s", copy->dst);
    }
}

/*
 * Has a file go past the page cache, if its filesystem can do that with
 * blocks of ours. Returns the alignment that this needs, else 1.
 */
static long go_direct(const char *path, int fd, long block)
{
    unsigned memory, offset;
    long both;

    alignment(fd, &memory, &offset);
    both = memory > offset ? memory : offset;
    if (memory != 0 && block % both == 0) {
        if (fcntl(fd, F_SETFL, O_DIRECT) == 0) {
            printf("%s: O_DIRECT\n", path);
            return both;
        }
        if (errno != EINVAL)
            die("fcntl %s", path);
    }
    printf("%s: no O_DIRECT here, through the page cache\n", path);
    return 1;
}

/* The next multiple of what must be aligned, or `length` if it is one. */
static long long round_up(const struct copy *copy, long long length)
{
    return length + (copy->alignment - length % copy->alignment) %
                    copy->alignment;
}

/* Prepares the transfer of what is not done yet of a block. */
static void prepare(struct request *request, int opcode, int fd)
{
    struct iocb *iocb = &request->iocb;
    long at, piece;
    int nr = 0;

    for (at = request->done; at < request->length; at += piece) {
        piece = SEGMENT - at % SEGMENT;
        if (piece > request->length - at)
            piece = request->length - at;
        request->segments[nr].iov_base = request->data + at;
        request->segments[nr].iov_len = piece;
        nr++;
    }
    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_data = (uintptr_t)request;
    iocb->aio_lio_opcode = opcode;
    iocb->aio_fildes = fd;
    iocb->aio_buf = (uintptr_t)request->segments;
    iocb->aio_nbytes = nr;
    iocb->aio_offset = request->offset + request->done;
}

/* A block begins as a read. That of the last asks for more than there is. */
static void begin(const struct copy *copy, struct request *request,
                  long long block)
{
    long long left = copy->source.st_size - block * copy->block;

    request->offset = block * copy->block;
    request->done = 0;
    request->wanted = left < copy->block ? left : copy->block;
    request->length = left < copy->block ? round_up(copy, left + 1) :
                      copy->block;
    prepare(request, IOCB_CMD_PREADV, copy->in);
}

/*
 * A block's read or write has come back. Returns 1 if the block is done,
 * 0 if the request is to be submitted again: for the rest after a short
 * count, or as a write.
 */
static int go_on(const struct copy *copy, struct request *request,
                 long long res)
{
    int opcode = request->iocb.aio_lio_opcode;
    int writing = opcode == IOCB_CMD_PWRITEV;
    long goal = writing ? request->length : request->wanted;

    if (res < 0) {
        errno = -res;
        die("%s %s", writing ? "IOCB_CMD_PWRITEV" : "IOCB_CMD_PREADV",
            writing ? copy->dst : copy->src);
    }

    /* After a short count, go on at a place that is aligned. */
    if (request->done + res < goal) {
        res -= res % copy->alignment;
        errno = EIO;
        if (res == 0 && writing)
            die("IOCB_CMD_PWRITEV %s", copy->dst);
        if (res == 0)
            refuse(copy->src, "is shorter than when the copy began");
    }
    if (request->done + res > goal)
        refuse(copy->src, "is longer than when the copy began");
    request->done += res;
    if (request->done < goal) {
        prepare(request, opcode, request->iocb.aio_fildes);
        return 0;
    }
    if (writing || goal == 0)
        return 1;

    /* The block is here. Its write is padded, for the tail is not aligned. */
    request->length = round_up(copy, goal);
    memset(request->data + goal, 0, request->length - goal);
    request->done = 0;
    prepare(request, IOCB_CMD_PWRITEV, copy->out);
    return 0;
}

/* On a terminal, how far we are. The next thing printed overwrites it. */
static void show_progress(long long done, long long blocks)
{
    static int shown;
    int percent = done * 100 / blocks;

    if (percent != shown && isatty(STDERR_FILENO))
        fprintf(stderr, "%3d %%\r%s", percent, percent == 100 ? "     \r" : "");
    shown = percent;
}

/* The window of batch-submit; its blocks are read and then written. */
static void transfer(const struct copy *copy, long long blocks)
{
    long depth = copy->depth < blocks ? copy->depth : blocks;
    size_t size;
    long long begun = 0, done = 0;
    long nr_idle = 0, nr_ready = 0, in_flight = 0;
    aio_context_t ctx = 0;
    void *memory = NULL;
    int n;

    /* Huge pages, where there are some, go to the disk in one piece each. */
    errno = __builtin_mul_overflow(depth, copy->block, &size) ? ENOMEM :
            posix_memalign(&memory, HUGE_PAGE, size);
    if (errno != 0)
        die("posix_memalign");
    madvise(memory, size, MADV_HUGEPAGE);
    struct request *window = calloc(depth, sizeof(*window));
    struct request **idle = calloc(depth, sizeof(*idle));
    struct iocb **ready = calloc(depth, sizeof(*ready));
    struct io_event *events = calloc(depth, sizeof(*events));
    if (!window || !idle || !ready || !events)
        die("calloc");
    while (nr_idle < depth) {
        window[nr_idle].data = (char *)memory + nr_idle * copy->block;
        idle[nr_idle] = &window[nr_idle];
        nr_idle++;
    }
    if (io_setup(depth, &ctx) == -1)
        die("io_setup");

    while (done < blocks) {
        /* Prepare: a read for each idle place in the window. */
        while (nr_idle > 0 && begun < blocks) {
            struct request *request = idle[--nr_idle];

            begin(copy, request, begun++);
            ready[nr_ready++] = &request->iocb;
        }

        /* Submit: reads and writes, and go on after a partial count. */
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
        n = io_getevents(ctx, 1, depth, events, NULL);
        if (n == -1 && errno != EINTR)
            die("io_getevents");
        for (int i = 0; i < n; i++) {
            struct request *request = (void *)(uintptr_t)events[i].data;

            in_flight--;
            if (go_on(copy, request, events[i].res)) {
                idle[nr_idle++] = request;
                done++;
            } else {
                ready[nr_ready++] = &request->iocb;
            }
        }
        show_progress(done, blocks);
    }

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    free(events);
    free(ready);
    free(idle);
    free(window);
    free(memory);
}

/*
 * SRC must not have been written to meanwhile: who knows what we read. The
 * time of the last write can be set back (touch -d), that of the last change
 * of any kind, st_ctim, cannot.
 */
static void close_source(struct copy *copy)
{
    struct stat now;

    if (fstat(copy->in, &now) == -1)
        die("fstat %s", copy->src);
    if (now.st_size != copy->source.st_size ||
        now.st_ctim.tv_sec != copy->source.st_ctim.tv_sec ||
        now.st_ctim.tv_nsec != copy->source.st_ctim.tv_nsec)
        refuse(copy->src, "changed while it was copied");
    if (close(copy->in) == -1)
        die("close %s", copy->src);
}

/*
 * The copy becomes DST: first all of it must be on the disk, then the name
 * changes, which shows either the old file or the whole new one, and then
 * the folder with the name must be on the disk too.
 */
static void close_target(struct copy *copy)
{
    char *name = temporary;

    /* The padding goes. That leaves a page in the cache, to be dropped. */
    if (ftruncate(copy->out, copy->source.st_size) == -1)
        die("ftruncate %s", copy->dst);
    if (fchmod(copy->out, copy->source.st_mode & 0777) == -1)
        die("fchmod %s", copy->dst);
    if (fsync(copy->out) == -1)
        die("fsync %s", copy->dst);
    posix_fadvise(copy->out, 0, 0, POSIX_FADV_DONTNEED);
    if (close(copy->out) == -1)
        die("close %s", copy->dst);
    if (rename(name, copy->target) == -1)
        die("rename to %s", copy->dst);
    temporary = NULL;
    free(name);
    free(copy->target);
    if (fsync(copy->folder) == -1)
        die("fsync the folder of %s", copy->dst);
    if (close(copy->folder) == -1)
        die("close the folder of %s", copy->dst);
}

/* Seconds since some time in the past, whatever is done to the clock. */
static double monotonic(void)
{
    struct timespec time;

    if (clock_gettime(CLOCK_MONOTONIC, &time) == -1)
        die("clock_gettime");
    return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct copy copy = { .depth = 16, .block = 2097152 };
    double start, seconds;
    long long size;
    long other;

    check_arguments(argc, argv, 2, 4);
    copy.src = argv[1];
    copy.dst = argv[2];
    if (argc > 3)
        copy.depth = number(argv[3], 1, 1024);
    if (argc > 4)
        copy.block = number(argv[4], 4096, SEGMENT * MAX_SEGMENTS);
    if (copy.block % 4096 != 0) {
        fprintf(stderr, "%s: '%s' is not a multiple of 4096\n%s",
                program_invocation_short_name, argv[4], usage);
        exit(2);
    }
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    start = monotonic();

    /* Set up: two files, and the stricter one's alignment for both. */
    open_source(&copy);
    open_target(&copy);
    size = copy.source.st_size;
    copy.alignment = go_direct(copy.src, copy.in, copy.block);
    other = go_direct(copy.dst, copy.out, copy.block);
    if (other > copy.alignment)
        copy.alignment = other;

    /*
     * Reserve space for all of it: then no write makes the file longer, for
     * those are not asynchronous. It is fine where that is not to be had.
     */
    if (size > 0 && fallocate(copy.out, 0, 0, round_up(&copy, size)) == -1 &&
        errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
        die("fallocate %s", copy.dst);

    /* Copy. What is left for the last block may be nothing. */
    transfer(&copy, size / copy.block + 1);
    close_source(&copy);
    close_target(&copy);

    seconds = monotonic() - start;
    printf("copied: %lld bytes\n", size);
    printf("time: %.2f s, %.0f MB/s\n", seconds, size / seconds / 1e6);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
