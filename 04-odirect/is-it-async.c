/*
 * is-it-async.c - who did the work, and when?
 *
 * Where the kernel can't go on without waiting, it waits, in io_submit(), and
 * the "asynchronous" request is done when that returns. Two looks tell, and
 * neither takes a clock. The ring of completions, right after the call: no
 * event there means that the work goes on without us. And the kernel's count
 * of the times that we slept: if that has grown, the call has waited.
 *
 * An event that is there may also mean that the disk was quick. So requests
 * are longer than any disk is quick, and each kind is made up to 50 times.
 *
 * Build:  cc -o is-it-async is-it-async.c
 * Usage:  ./is-it-async FILE
 * Needs:  Linux 4.18 for the last line (FDSYNC)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    BLOCK = 65536, /* bytes a request */
    TRIES = 50,    /* each with a block of its own */
    AREA = TRIES * BLOCK
};

static unsigned memory_align = 1, offset_align = 1; /* bytes */
static const char *path;
static aio_context_t ctx = 0;
static void *data; /* one block, aligned */

static void try(const char *kind, int opcode, int fd, long long offset);
static void write_all(int fd, const char *from, long length, long long offset);
static void look_at_ring(void), show_filesystem(int fd), ask_alignment(int fd);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    int cached, direct;

    start(argc, argv, 1, 1);
    path = argv[1];
    if (io_setup(1, &ctx) == -1)
        err(1, "io_setup");

    /* The file twice, through the page cache and past it. */
    cached = create(O_RDWR);
    if (cached == -1)
        err(1, "open %s", path);
    direct = open(path, O_RDWR | O_DIRECT);
    if (direct == -1 && errno == EINVAL)
        direct = open(path, O_RDWR);
    if (direct == -1)
        err(1, "open %s", path);
    show_filesystem(cached);
    ask_alignment(direct);
    errno = posix_memalign(&data, BLOCK, BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    look_at_ring();

    /* Through the page cache: a copy to or from memory ... */
    printf("when io_submit returns, the request is\n");
    try("buffered write", IOCB_CMD_PWRITE, cached, 0);
    try("buffered read", IOCB_CMD_PREAD, cached, 0);

    /* ... or a wait for the disk: written back, the cache can be emptied. */
    if (fsync(cached) == -1)
        err(1, "fsync %s", path);
    posix_fadvise(cached, 0, 0, POSIX_FADV_RANDOM); /* no read-ahead */
    posix_fadvise(cached, 0, 0, POSIX_FADV_DONTNEED);
    try("buffered read, not cached", IOCB_CMD_PREAD, cached, 0);

    /* Past the page cache: the disk works, and we need not wait ... */
    try("O_DIRECT read", IOCB_CMD_PREAD, direct, 0);
    try("O_DIRECT overwrite", IOCB_CMD_PWRITE, direct, 0);

    /* ... unless the filesystem has more to do than to pass it on. */
    try("O_DIRECT write at the end", IOCB_CMD_PWRITE, direct, AREA);
    if (ftruncate(cached, 3 * AREA) == -1)
        err(1, "ftruncate %s", path);
    try("O_DIRECT write into a hole", IOCB_CMD_PWRITE, direct, 2 * AREA);
    if (fallocate(cached, 0, 3 * AREA, AREA) == 0)
        try("O_DIRECT write, preallocated", IOCB_CMD_PWRITE, direct, 3 * AREA);
    else if (errno == EOPNOTSUPP)
        printf("O_DIRECT write, preallocated: not on this filesystem\n");
    else
        err(1, "fallocate %s", path);

    /* This has a thread of the kernel's to wait for it. */
    try("FDSYNC", IOCB_CMD_FDSYNC, cached, 0);
    printf("= the call does it, z the call sleeps until it is done,\n"
           "~ it goes on without us, ? nobody can tell\n");

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(direct) == -1 || close(cached) == -1)
        err(1, "close %s", path);
    free(data);
    return EXIT_SUCCESS;
}

/* What ctx is the address of: the ring that completions come through. */
struct aio_ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
};

/* A ring of another kind would have another magic number. */
static void look_at_ring(void)
{
    struct aio_ring *ring = (void *)(uintptr_t)ctx;

    if (ring->magic != 0xa10a10a1 || ring->incompat_features != 0) {
        errno = EPROTO;
        err(1, "the ring of events");
    }
}

/* Is there an event in the ring? If so, what it tells of has happened. */
static int completed(void)
{
    struct aio_ring *ring = (void *)(uintptr_t)ctx;

    return __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) != ring->head;
}

/* How often this thread gave the processor away, to sleep. */
static long sleeps(void)
{
    struct rusage usage;

    if (getrusage(RUSAGE_THREAD, &usage) == -1)
        err(1, "getrusage");
    return usage.ru_nvcsw;
}

/*
 * Makes requests of one kind, block after block, until one is seen under way
 * (the buffered ones all: a file to read). If none is, prints what most did.
 */
static void try(const char *kind, int opcode, int fd, long long offset)
{
    const char *state = "done", *picture = "[io_submit ========]";
    int n, later = 0, slept = 0;

    memset(data, 'x', BLOCK);
    for (int i = 0; i < TRIES && (!later || *kind == 'b'); i++) {
        struct iocb iocb = { .aio_lio_opcode = opcode, .aio_fildes = fd };
        struct iocb *list[1] = { &iocb };
        struct io_event event;
        long before;

        if (opcode != IOCB_CMD_FDSYNC) {
            iocb.aio_buf = (uintptr_t)data;
            iocb.aio_nbytes = BLOCK;
            iocb.aio_offset = offset + i * BLOCK;
        } else { /* there must be something to sync */
            write_all(fd, data, BLOCK, offset + i * BLOCK);
        }
        before = sleeps();
        do
            n = io_submit(ctx, 1, list);
        while (n == -1 && errno == EINTR);
        if (n != 1)
            err(1, "io_submit");
        later |= !completed();
        slept += sleeps() != before;

        do
            n = io_getevents(ctx, 1, 1, &event, NULL);
        while (n == -1 && errno == EINTR);
        if (n != 1)
            err(1, "io_getevents");
        if (event.res != (long long)iocb.aio_nbytes) {
            errno = event.res < 0 ? -event.res : EIO;
            err(1, "%s %s", kind, path);
        }
    }
    if (later) {
        state = "still under way";
        picture = "[io_submit]~~~~~~~~~";
    } else if (slept > TRIES / 2) {
        state = "done, the call slept";
        picture = "[io_submit zzzzzzzz]";
    } else if (opcode == IOCB_CMD_FDSYNC) { /* another thread's work */
        state = "done, too quick to tell";
        picture = "[io_submit ????????]";
    }
    n = printf("%s: %s", kind, state);
    printf("%*s%s\n", 52 - n, "", picture);
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
 * The filesystem's type as `mount` has it: /proc/self/mountinfo says it behind
 * " - ", for each mount. Which one is ours, fdinfo knows.
 */
static void show_filesystem(int fd)
{
    char line[4096], type[64], *dash;
    int mount = -1, id;
    FILE *file;

    snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
    file = fopen(line, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        sscanf(line, "mnt_id: %d", &mount);
    if (file == NULL || fclose(file) != 0)
        return;
    file = fopen("/proc/self/mountinfo", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        dash = strstr(line, " - ");
        if (dash != NULL && sscanf(line, "%d ", &id) == 1 && id == mount &&
            sscanf(dash, " - %63s", type) == 1)
            printf("filesystem: %s\n", type);
    }
    if (file != NULL)
        fclose(file);
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

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
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
    "Usage: is-it-async FILE\n"
    "Makes FILE, or empties it, and says which reads and writes of it are\n"
    "asynchronous.\n";

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
