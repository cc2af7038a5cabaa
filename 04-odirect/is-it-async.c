/*
 * is-it-async.c - who did the work, and when?
 *
 * Where the kernel can't go on without waiting, it waits, in io_submit(), and
 * the "asynchronous" request is done when that returns. A look at the ring
 * of completions right after the call tells. An event that is not there yet
 * proves that the work goes on without us. One that is there proves nothing:
 * the disk may have been quick. So each kind of request is made until it is
 * seen under way, at most 100 times. No clock is needed.
 *
 * Build:  cc -o is-it-async is-it-async.c
 * Usage:  ./is-it-async FILE
 * Needs:  Linux 4.18 for the last line (FDSYNC)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    TRIES = 100,                /* each with a block of its own */
    BLOCK = 4096,               /* bytes a request: aligned, nearly anywhere */
    AREA = TRIES * BLOCK
};

/* What a context's address points to: the ring, which the kernel mapped. */
struct aio_ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
};

static const char usage[] =
    "Usage: is-it-async FILE\n"
    "Makes FILE, or empties it, and tells which reads and writes of it are\n"
    "asynchronous.\n";

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

/* Is there an event in the ring? If so, what it tells of has happened. */
static int completed(aio_context_t ctx)
{
    struct aio_ring *ring = (void *)ctx;

    return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) != ring->head;
}

/* Makes requests of one kind, block after block, and prints what was seen. */
static void try(aio_context_t ctx, const char *path, const char *kind,
                int opcode, int fd, long offset)
{
    _Alignas(BLOCK) static char data[BLOCK];
    int n, later = 0;

    memset(data, 'x', BLOCK);
    for (int i = 0; i < TRIES && !later; i++) {
        struct iocb iocb = { 0 }, *list[1] = { &iocb };
        struct io_event event;

        iocb.aio_lio_opcode = opcode;
        iocb.aio_fildes = fd;
        if (opcode != IOCB_CMD_FDSYNC) {
            iocb.aio_buf = (uintptr_t)data;
            iocb.aio_nbytes = BLOCK;
            iocb.aio_offset = offset + i * BLOCK;
        } else {                /* there must be something to sync */
            errno = ENOSPC;     /* in case it is short */
            if (pwrite(fd, data, BLOCK, offset + i * BLOCK) != BLOCK)
                die("pwrite %s", path);
        }
        do
            n = io_submit(ctx, 1, list);
        while (n == -1 && errno == EINTR);
        if (n != 1)
            die("io_submit");
        later = !completed(ctx);

        do
            n = io_getevents(ctx, 1, 1, &event, NULL);
        while (n == -1 && errno == EINTR);
        if (n == -1)
            die("io_getevents");
        if (event.res != (long long)iocb.aio_nbytes) {
            errno = event.res < 0 ? -event.res : EIO;
            die("%s %s", kind, path);
        }
    }
    int width = printf("%s: %s", kind, later ? "still under way" : "done");
    printf("%*s%s\n", 50 - width, "", later ? "[io_submit]~~~~~~~~~" :
                                              "[io_submit ========]");
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    aio_context_t ctx = 0;
    struct aio_ring *ring;
    int cached, direct;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Set up: the file twice, through the page cache and past it. */
    cached = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    if (cached == -1)
        die("open %s", path);
    printf("filesystem: %s\n", filesystem(cached));
    direct = open(path, O_RDWR | O_DIRECT);
    if (direct == -1 && errno == EINVAL) {
        printf("O_DIRECT: not here, all goes through the page cache\n");
        direct = open(path, O_RDWR);
    }
    if (direct == -1)
        die("open %s", path);

    /* A ring of another kind would have another magic number. */
    if (io_setup(1, &ctx) == -1)
        die("io_setup");
    ring = (void *)ctx;
    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0) {
        errno = EPROTO;
        die("the ring of events");
    }

    /* Through the page cache: a copy to or from memory ... */
    printf("when io_submit returns, the request is\n");
    try(ctx, path, "buffered write", IOCB_CMD_PWRITE, cached, 0);
    try(ctx, path, "buffered read", IOCB_CMD_PREAD, cached, 0);

    /* ... or a wait for the disk: written back, the cache can be emptied. */
    if (fsync(cached) == -1)
        die("fsync %s", path);
    posix_fadvise(cached, 0, 0, POSIX_FADV_RANDOM);     /* no read-ahead */
    posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
    try(ctx, path, "buffered read, not cached", IOCB_CMD_PREAD, cached, 0);

    /* Past the page cache: the disk works, and we need not wait ... */
    try(ctx, path, "O_DIRECT read", IOCB_CMD_PREAD, direct, 0);
    try(ctx, path, "O_DIRECT overwrite", IOCB_CMD_PWRITE, direct, 0);

    /* ... unless the filesystem has more to do than to pass it on. */
    try(ctx, path, "O_DIRECT write at the end", IOCB_CMD_PWRITE, direct, AREA);
    if (ftruncate(cached, 3 * AREA) == -1)
        die("ftruncate %s", path);
    try(ctx, path, "O_DIRECT write into a hole", IOCB_CMD_PWRITE, direct,
        2 * AREA);
    if (fallocate(cached, 0, 3 * AREA, AREA) == 0)
        try(ctx, path, "O_DIRECT write, preallocated", IOCB_CMD_PWRITE, direct,
            3 * AREA);
    else if (errno == EOPNOTSUPP)
        printf("O_DIRECT write, preallocated: not on this filesystem\n");
    else
        die("fallocate %s", path);

    /* This has a thread of the kernel's to wait for it. */
    try(ctx, path, "FDSYNC", IOCB_CMD_FDSYNC, cached, 0);
    printf("= the call does it or waits for it, ~ it goes on without us\n");

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(direct) == -1 || close(cached) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
