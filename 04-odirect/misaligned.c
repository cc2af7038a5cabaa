/*
 * misaligned.c - one rule broken at a time
 *
 * O_DIRECT wants the buffer's address, the length and the file offset to be
 * multiples of what the filesystem says. Here each is 16 bytes off, alone.
 * io_submit() takes them all: the event's `res` tells that a request was
 * refused, its `res2` does not. At the end stands a program that asked in
 * public why "got 0" was all it printed: 1024 writes out of plain calloc()
 * memory, which is 16 bytes off, and `res2` printed in place of `res`.
 *
 * Build:  cc -o misaligned misaligned.c
 * Usage:  ./misaligned FILE
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    OFF = 16,                   /* bytes off, as memory from malloc() is */
    PLACE = 65536,              /* where in the file each trial has its own */
    WRITES = 1024,              /* of the program that asked, */
    LENGTH = 1024               /* and bytes in each of them */
};

static const char usage[] =
    "Usage: misaligned FILE\n"
    "Makes FILE, or empties it, and breaks the rules of O_DIRECT.\n";

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

/* Writes with one request, waits for it, and returns its event. */
static struct io_event write_once(aio_context_t ctx, int fd, char *data,
                                  size_t length, long long offset)
{
    struct iocb iocb = { 0 }, *list[1] = { &iocb };
    struct io_event event;
    int n;

    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = length;
    iocb.aio_offset = offset;
    do
        n = io_submit(ctx, 1, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        die("io_submit");
    do
        n = io_getevents(ctx, 1, 1, &event, NULL);
    while (n == -1 && errno == EINTR);
    if (n == -1)
        die("io_getevents");
    return event;
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    const size_t page = sysconf(_SC_PAGESIZE);
    const char *source, *name;
    unsigned memory, offset;
    struct io_event event;
    aio_context_t ctx = 0;
    int fd, lenient = 0, writes = 0;
    void *buffer;
    char *data;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */

    /* Ask first: what are the rules here? */
    fd = open(path, flags | O_DIRECT, 0666);
    if (fd == -1 && errno == EINVAL)
        fd = open(path, flags, 0666);
    if (fd == -1)
        die("open %s", path);
    source = alignment(fd, &memory, &offset);
    if (memory == 0 && fcntl(fd, F_SETFL, 0) == -1)
        die("fcntl %s", path);
    name = filesystem(fd);
    printf("filesystem: %s\n", name);
    if (memory != 0 && (fcntl(fd, F_GETFL) & O_DIRECT)) {
        printf("alignment: memory %u, offset and length %u (%s)\n",
               memory, offset, source);
    } else {
        printf("O_DIRECT: not here, the page cache has no rules\n");
        name = "the page cache";
        memory = offset = 1;
    }
    if (PLACE % memory != 0 || PLACE % offset != 0) {
        errno = EINVAL;
        die("blocks of %d bytes on %s", PLACE, path);
    }

    /* Set up: a buffer that is aligned, so that we can misalign it. */
    errno = posix_memalign(&buffer, PLACE, 2 * PLACE);
    if (errno != 0)
        die("posix_memalign");
    data = buffer;
    if (io_setup(1, &ctx) == -1)
        die("io_setup");

    /* One thing off at a time; each trial has a place of its own. */
    const size_t block = offset < 512 ? 512 : offset;
    const size_t across = page - block % page;  /* from there to a page's end */
    const struct {
        const char *what;
        size_t length, offset, address;
    } trials[] = {
        { "nothing off", block, 0, 0 },
        { "length off", block + OFF, 0, 0 },
        { "offset off", block, OFF, 0 },
        { "address off, across pages", block, 0, across + OFF },
        { "address off, within a page", block, 0, OFF }
    };
    for (int i = 0; i < 5; i++) {
        size_t length = trials[i].length;

        if (i == 4 && OFF + block > page)
            break;              /* a block fills a page: there is no within */
        memset(data, 'a' + i, 2 * PLACE);
        event = write_once(ctx, fd, data + trials[i].address, length,
                           i * PLACE + trials[i].offset);
        if (event.res != (long long)length &&
            (event.res != -EINVAL || i == 0)) {
            errno = event.res < 0 ? -event.res : EIO;
            die("IOCB_CMD_PWRITE %s", path);
        }
        if (i == 1)             /* who takes that takes all */
            lenient = event.res > 0;

        printf("%s: res %lld, res2 %lld: ", trials[i].what,
               (long long)event.res, (long long)event.res2);
        if (event.res < 0)
            printf("refused: %s\n", strerror(-event.res));
        else if (i == 0)
            printf("accepted\n");
        else if (lenient)
            printf("accepted (%s takes anything)\n", name);
        else if (OFF % memory == 0)
            printf("accepted (%d is a multiple of %u)\n", OFF, memory);
        else
            printf("accepted (not by all kernels)\n");
    }

    /*
     * The program that asked: length and offset are right as a rule, but all
     * memory is OFF bytes off. It looked at `res` and printed `res2`.
     */
    do {
        event = write_once(ctx, fd, data + OFF + writes % 64 * LENGTH,
                           LENGTH, 5 * PLACE + writes * LENGTH);
        writes++;
    } while (event.res == LENGTH && writes < WRITES);
    if (event.res != LENGTH && event.res != -EINVAL) {
        errno = event.res < 0 ? -event.res : EIO;
        die("IOCB_CMD_PWRITE %s", path);
    }
    if (event.res == LENGTH)
        printf("the program that asked: all %d writes accepted\n", WRITES);
    else
        printf("the program that asked: write %d of %d: res %lld, and it said\n"
               "    write missed bytes expect %d got %lld\n", writes, WRITES,
               (long long)event.res, LENGTH, (long long)event.res2);

    /* Tear down. */
    if (io_destroy(ctx) == -1)
        die("io_destroy");
    if (close(fd) == -1)
        die("close %s", path);
    free(buffer);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
