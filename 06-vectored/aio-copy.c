/*
 * aio-copy.c - a file copied with all that the chapters taught
 *
 * Reads of SRC and writes of DST are in flight together, in a window of DEPTH
 * blocks, past the page cache where that can be done. Holes stay holes. The
 * copy grows beside DST, in space reserved for it, and is renamed when it is on
 * the disk: DST is the old file or the whole new one. (The new one, in spite of
 * status 1, if only the folder could not be synced or the output not written.)
 *
 * DST gets the permissions of SRC and keeps its owner. Symbolic links are
 * followed. Times, access lists and other attributes are not copied.
 *
 * Build:  cc -o aio-copy aio-copy.c
 * Usage:  ./aio-copy SRC DST [DEPTH [BLOCK_SIZE]]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* files over 2 GiB, on 32 bits too */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* One place in the window: a block that is read, and then written. */
struct request {
    struct iocb iocb;
    char *data; /* a block, aligned */
};

static const char *src, *dst, *name; /* name: of DST in its folder */
static char *path;                   /* resolved, if DST was there */
static int in, out = -1, folder;     /* descriptors; folder is for *at() */
static struct stat source;           /* SRC as it was when we began */
static int leased;                   /* nobody writes to SRC unnoticed */
static char temporary[32];           /* the copy's name in the folder */
static volatile sig_atomic_t named;  /* has it? Then it is to be removed */
static long block = 2097152, alignment = 1;
static long long at, end, limit; /* the next data to copy; the end of all */
static long long total, copied;  /* bytes of data, without holes */
static aio_context_t ctx;
static struct request *window, **idle; /* all places, and the free ones */
static struct iocb **ready;            /* prepared, not yet submitted */
static long depth = 16, nr_idle, nr_ready, in_flight, submits, reaps, most;

static void open_source(void), open_target(void), reserve(void);
static void make_window(void), prepare(void), submit(aio_context_t ctx);
static void reap(aio_context_t ctx, long min_nr), check_source(void);
static void show_progress(double began), copy_tail(void), finish(double began);
static void go_direct(const char *path, int fd);
static double monotonic(void);
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
    double began = monotonic();

    if (argc > 2 && argv[2][0] == '-') /* no DST: an option, for start() */
        argv[1] = argv[2];
    start(argc, argv, 2, 4);
    src = argv[1];
    dst = argv[2];
    if (argc > 3)
        depth = number(argv[3], 1, 1024);
    if (argc > 4)
        block = (number(argv[4], 1, 67108864) + 4095) / 4096 * 4096;
    open_source();
    open_target();
    go_direct(src, in);
    go_direct(dst, out);
    reserve();
    make_window();
    if (io_setup(depth, &ctx) == -1)
        err(1, "io_setup");

    for (prepare(); nr_ready > 0 || in_flight > 0; prepare()) {
        submit(ctx);
        reap(ctx, 1);
        check_source();
        show_progress(began);
    }
    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    copy_tail();
    finish(began);

    free(window[0].data);
    free(ready);
    free(idle);
    free(window);
    return EXIT_SUCCESS;
}

/* A directory, a pipe, a disk: they can't be copied like a file. */
static void check_regular(const char *path, mode_t mode)
{
    if (!S_ISREG(mode))
        errx(1, "%s: is %s", path,
             S_ISDIR(mode)   ? "a directory"
             : S_ISLNK(mode) ? "a symbolic link to nothing"
                             : "not a regular file");
}

/*
 * A copy of what changes meanwhile is a copy of nothing. A read lease is not
 * given while somebody has SRC open for writing; and whoever opens it so later
 * waits until we have noticed. Without one (SRC is not ours, its filesystem has
 * none) there is the time of the last change, in steps of up to two seconds:
 * wait until one would show. What is stored through a mapping may never show.
 */
static void open_source(void)
{
    struct statfs fs;
    int busy;

    in = open(src, O_RDONLY | O_NONBLOCK); /* nobody waits for a pipe, */
    if (in == -1 && errno == EWOULDBLOCK)  /* but for a server's lease */
        in = open(src, O_RDONLY);
    if (in == -1)
        err(1, "open %s", src);
    signal(SIGIO, SIG_IGN); /* would tell us that somebody waits */
    leased = fcntl(in, F_SETLEASE, F_RDLCK) == 0;
    busy = !leased && errno == EAGAIN;
    if (fstat(in, &source) == -1 || fstatfs(in, &fs) == -1)
        err(1, "fstat %s", src);
    check_regular(src, source.st_mode);
    if (busy && fs.f_type != 0x6969 && /* NFS and SMB mean something else */
        (uint32_t)fs.f_type != 0xff534d42 && (uint32_t)fs.f_type != 0xfe534d42)
        errx(1, "%s: is open for writing elsewhere", src);
    if (!leased && time(NULL) - source.st_ctim.tv_sec < 2)
        sleep(2);
}

/* Is SRC still what it was? */
static void check_source(void)
{
    struct stat now;

    if (leased ? fcntl(in, F_GETLEASE) != F_RDLCK
               : fstat(in, &now) == -1 || now.st_size != source.st_size ||
                     now.st_ctim.tv_sec != source.st_ctim.tv_sec ||
                     now.st_ctim.tv_nsec != source.st_ctim.tv_nsec)
        errx(1, "%s: %s while it was copied", src,
             leased ? "was opened for writing" : "changed");
}

/*
 * At exit: an unfinished copy goes before the error is printed, for that may
 * go to a log on the same, full disk. Requests in flight keep it: so they are
 * waited for. At a signal it goes as well; only kill -9 leaves it.
 */
static void give_up(void)
{
    if (named) {
        io_destroy(ctx);
        close(out);
        unlinkat(folder, temporary, 0);
    }
    fflush(stderr);
    setvbuf(stderr, NULL, _IONBF, 0);
}

static void interrupted(int signo)
{
    if (named)
        unlinkat(folder, temporary, 0);
    signal(signo, SIG_DFL);
    raise(signo);
}

static void clean_up_at_end(void)
{
    static const char harmless[] = { SIGCHLD,  SIGCONT, SIGIO,   SIGSTOP,
                                     SIGTSTP,  SIGTTIN, SIGTTOU, SIGURG,
                                     SIGWINCH, 0 };
    static char messages[BUFSIZ];

    setvbuf(stderr, messages, _IOFBF, sizeof(messages));
    atexit(give_up);
    for (int signo = 1; signo < NSIG; signo++)
        if (!strchr(harmless, signo) && signal(signo, interrupted) == SIG_IGN)
            signal(signo, SIG_IGN); /* nohup wants it so */
}

/* struct statx since Linux 6.1, by numbers: not all headers have that yet. */
struct new_statx {
    uint32_t stx_mask, stx_blksize;
    uint64_t stx_attributes;
    uint32_t others[34];
    uint32_t stx_dio_mem_align, stx_dio_offset_align, more[24];
};

/*
 * What would fail at the end is tried now. rmdir() never removes a file, but
 * first finds out whether that is allowed: rename() will ask the same.
 */
static void check_replaceable(const struct stat *old)
{
    struct new_statx stx = { 0 };

    check_regular(dst, old->st_mode);
    if (old->st_dev == source.st_dev && old->st_ino == source.st_ino)
        errx(1, "%s: is the same file as the source", dst);
    if (faccessat(folder, name, W_OK, AT_EACCESS) == -1)
        err(1, "open %s", dst);
    if (unlinkat(folder, name, AT_REMOVEDIR) == -1 && errno != ENOTDIR)
        err(1, "rename to %s", dst);
    if (syscall(SYS_statx, folder, name, AT_SYMLINK_NOFOLLOW, 0, &stx) == 0 &&
        (stx.stx_attributes & 0x2000)) /* STATX_ATTR_MOUNT_ROOT */
        errx(1, "%s: is a mount point", dst);
}

/* Finds `folder` and `name`, and makes a file there that nobody else reads. */
static void open_target(void)
{
    const char *whole, *slash = strrchr(src, '/');
    int replaces, serial = getpid();
    sigset_t all, mask;
    struct stat old;
    char *where;

    if (stat(dst, &old) == 0 && S_ISDIR(old.st_mode)) {
        if (asprintf(&where, "%s/%s", dst, slash ? slash + 1 : src) == -1)
            err(1, "asprintf");
        dst = where;
    }
    path = realpath(dst, NULL);
    if (path == NULL && errno != ENOENT)
        err(1, "open %s", dst);
    whole = path ? path : dst;
    slash = strrchr(whole, '/');
    name = slash ? slash + 1 : whole;
    if (asprintf(&where, "%.*s.", (int)(name - whole), whole) == -1)
        err(1, "asprintf");
    folder = open(where, O_PATH | O_DIRECTORY);
    if (folder == -1)
        err(1, "open %s", where);
    free(where);
    replaces = fstatat(folder, name, &old, AT_SYMLINK_NOFOLLOW) == 0;
    if (!replaces && (errno != ENOENT || *name == '\0'))
        err(1, "open %s", dst);
    if (replaces)
        check_replaceable(&old);
    clean_up_at_end();
    sigfillset(&all);
    do {
        snprintf(temporary, sizeof(temporary), ".aio-copy-%06d",
                 serial++ % 1000000);
        sigprocmask(SIG_BLOCK, &all, &mask); /* made and noted, or neither */
        out = openat(folder, temporary, O_RDWR | O_CREAT | O_EXCL, 0600);
        named = out != -1;
        sigprocmask(SIG_SETMASK, &mask, NULL);
    } while (out == -1 && errno == EEXIST);
    if (out == -1)
        err(1, "open a file beside %s", dst);
    if (replaces && fchown(out, old.st_uid, old.st_gid) == -1)
        err(1, "fchown %s", dst);
}

/* Has a file go past the page cache, if it can with blocks of ours. */
static void go_direct(const char *path, int fd)
{
    const unsigned dioalign = 0x2000; /* STATX_DIOALIGN */
    struct new_statx stx = { 0 };
    unsigned align = 4096; /* fits nearly every disk */

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, dioalign, &stx) == 0 &&
        (stx.stx_mask & dioalign)) {
        align = stx.stx_dio_offset_align;
        if (align < stx.stx_dio_mem_align)
            align = stx.stx_dio_mem_align;
    }
    if (align == 0 || block % align != 0 || fcntl(fd, F_SETFL, O_DIRECT) == -1)
        align = 1;
    printf("%s: %s\n", path,
           align > 1 ? "O_DIRECT" : "no O_DIRECT here, through the page cache");
    if ((long)align > alignment) /* the stricter one's for both files */
        alignment = align;
}

/*
 * The next data in SRC, at or behind *from; 0 if there is none up to `limit`.
 * Its ends are rounded to the alignment. All is data if nobody knows of holes.
 */
static int next_data(long long *from, long long *to)
{
    long long data = lseek(in, *from, SEEK_DATA), hole;

    if (*from >= limit || (data == -1 && errno == ENXIO) || data >= limit)
        return 0;
    if (data == -1)
        data = *from;
    hole = lseek(in, data, SEEK_HOLE);
    if (hole != -1)
        hole = (hole + alignment - 1) / alignment * alignment;
    *to = hole == -1 || hole > limit ? limit : hole;
    data -= data % alignment;
    if (data > *from)
        *from = data;
    return 1;
}

/* Is there room? From now on it is ours. Holes need none. */
static void reserve(void)
{
    long long from, to;
    struct statfs fs;

    /* ext4 without extents takes data that are not on the disk for a hole. */
    fdatasync(in);
    limit = source.st_size;
    for (from = 0; next_data(&from, &to); from = to)
        total += to - from;
    if (fstatfs(out, &fs) == 0 && fs.f_blocks > 0 &&
        (long long)(geteuid() ? fs.f_bavail : fs.f_bfree) <
            total / (long long)fs.f_bsize)
        errx(1, "%s: no room for %lld bytes", dst, total);
    if (ftruncate(out, limit) == -1)
        err(1, "ftruncate %s", dst);
    for (from = 0; next_data(&from, &to); from = to)
        if (fallocate(out, 0, from, to - from) == -1) {
            if (errno == EINTR)
                to = from;                               /* once more */
            else if (errno == ENOSPC || errno == EDQUOT) /* else it cannot */
                err(1, "fallocate %s", dst);
        }
    limit -= limit % alignment;
}

/* A block begins as a read: one for each idle place, while there is data. */
static void prepare(void)
{
    while (nr_idle > 0 && (at < end || next_data(&at, &end))) {
        struct request *request = idle[--nr_idle];

        request->iocb = (struct iocb){
            .aio_data = (uintptr_t)request,
            .aio_lio_opcode = IOCB_CMD_PREAD,
            .aio_fildes = in,
            .aio_buf = (uintptr_t)request->data,
            .aio_nbytes = end - at < block ? end - at : block,
            .aio_offset = at,
        };
        at += request->iocb.aio_nbytes;
        ready[nr_ready++] = &request->iocb;
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
 * A block's read or write has come back. After a short count it goes on at a
 * place that is aligned. A block that was read is written to the same place.
 */
static void complete(struct request *request, long long res)
{
    struct iocb *iocb = &request->iocb;
    int writing = iocb->aio_lio_opcode == IOCB_CMD_PWRITE;

    if (res > 0)
        res -= res % alignment;
    if (res == 0 && !writing)
        errx(1, "%s: is shorter than when the copy began", src);
    if (res <= 0) {
        errno = res < 0 ? -res : EIO;
        err(1, "%s %s", writing ? "IOCB_CMD_PWRITE" : "IOCB_CMD_PREAD",
            writing ? dst : src);
    }
    iocb->aio_buf += res;
    iocb->aio_nbytes -= res;
    iocb->aio_offset += res;
    long length = iocb->aio_buf - (uintptr_t)request->data;
    if (iocb->aio_nbytes == 0 && writing) {
        copied += length;
        idle[nr_idle++] = request;
        return;
    }
    if (iocb->aio_nbytes == 0) { /* read: the same back, to DST */
        iocb->aio_lio_opcode = IOCB_CMD_PWRITE;
        iocb->aio_fildes = out;
        iocb->aio_buf -= length;
        iocb->aio_nbytes = length;
        iocb->aio_offset -= length;
    }
    ready[nr_ready++] = iocb;
}

/*
 * Waits for min_nr events, and takes what else is there. They come in any
 * order: aio_data says whose each one is.
 */
static void reap(aio_context_t ctx, long min_nr)
{
    struct io_event events[64];
    int n = io_getevents(ctx, min_nr, 64, events, NULL);

    reaps++;
    if (n == -1 && errno != EINTR)
        err(1, "io_getevents");
    for (int i = 0; i < n; i++) {
        in_flight--;
        complete((void *)(uintptr_t)events[i].data, events[i].res);
    }
}

/* No more places than they could be needed. Huge pages go in one piece. */
static void make_window(void)
{
    void *buffers = NULL;

    if (depth > total / 4096 + 1)
        depth = total / 4096 + 1;
    if (depth > PTRDIFF_MAX / block) /* 32 bits */
        depth = PTRDIFF_MAX / block;
    errno = posix_memalign(&buffers, 2097152, (size_t)depth * block);
    if (errno != 0)
        err(1, "posix_memalign");
    madvise(buffers, (size_t)depth * block, MADV_HUGEPAGE);
    window = calloc(depth, sizeof(*window));
    idle = calloc(depth, sizeof(*idle));
    ready = calloc(depth, sizeof(*ready));
    if (!window || !idle || !ready)
        err(1, "calloc");
    for (; nr_idle < depth; nr_idle++) {
        window[nr_idle].data = (char *)buffers + nr_idle * block;
        idle[nr_idle] = &window[nr_idle];
    }
}

/* On a terminal: how far we are, how fast, how long it will still take. */
static void show_progress(double began)
{
    static double shown;
    double now = monotonic(), rate = copied / (now - began);

    if (copied == 0 || now - shown < 0.2 || !isatty(STDERR_FILENO))
        return;
    shown = now;
    fprintf(stderr, "\033[K%3lld %%, %.0f MB/s, %.0f s left\r",
            100 * copied / total, rate / 1e6, (total - copied) / rate);
    fflush(stderr);
}

/*
 * The end, less than the alignment, through the page cache: padding could be
 * over a limit. It reads more than there should be, to see if SRC has grown.
 */
static void copy_tail(void)
{
    ssize_t tail = source.st_size - limit;
    ssize_t n = pread(in, window[0].data, alignment, limit);

    if (n == -1)
        err(1, "read %s", src);
    if (n != tail)
        errx(1, "%s: is %s than when the copy began", src,
             n < tail ? "shorter" : "longer");
    check_source();
    if (tail == 0 || (lseek(in, limit, SEEK_DATA) == -1 && errno == ENXIO))
        return;
    fcntl(out, F_SETFL, 0); /* not O_DIRECT */
    errno = EIO;
    if (pwrite(out, window[0].data, tail, limit) != tail)
        err(1, "write %s", dst);
}

/*
 * The copy becomes DST: first all of it must be on the disk, then the name
 * changes, which shows either the old file or the whole new one, and then
 * the folder with the name must be on the disk too.
 */
static void finish(double began)
{
    close(in); /* and with it goes the lease */
    if (fchmod(out, source.st_mode & 0777) == -1)
        err(1, "fchmod %s", dst);
    if (fsync(out) == -1)
        err(1, "fsync %s", dst);
    posix_fadvise(out, 0, 0, POSIX_FADV_DONTNEED); /* the tail's page */
    if (renameat(folder, temporary, folder, name) == -1)
        err(1, "rename to %s", dst);
    named = 0;
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY);
    if (fd == -1 ? syncfs(out) == -1 : fsync(fd) == -1 && errno != EINVAL)
        err(1, "fsync the folder of %s", dst);
    if (close(out) == -1 || close(folder) == -1)
        err(1, "close %s", dst);
    close(fd);
    free(path);
    if (isatty(STDERR_FILENO))
        fputs("\033[K", stderr), fflush(stderr);
    double seconds = monotonic() - began;
    printf("copied: %lld bytes\n", (long long)source.st_size);
    if (source.st_size > total)
        printf("holes: %lld bytes\n", source.st_size - total);
    printf("time: %.2f s, %.0f MB/s\n", seconds, total / seconds / 1e6);
}

/* Seconds since some time in the past, whatever is done to the clock. */
static double monotonic(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
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
    "Usage: aio-copy SRC DST [DEPTH [BLOCK_SIZE]]\n"
    "Copies the file SRC to DST, past the page cache, with at most DEPTH (16)\n"
    "blocks of BLOCK_SIZE (2097152) bytes in memory. DST appears, or is\n"
    "replaced, when the copy is complete and on the disk.\n";

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
