/*
 * probe-4.c - questions about O_DIRECT, and what the kernel answers
 *
 * What chapter 4's programs do not show by themselves. A question is a word
 * on the command line, and a function below. Files that it needs are made in
 * the current folder, as probe.file.
 *
 * Build:  cc -o probe-4 probe-4.c
 * Usage:  ./probe-4 QUESTION [FILE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 65536 }; /* a multiple of all alignments there are */

static const char *path = "probe.file";

/* The question cannot be asked here. */
static _Noreturn void die(const char *call, ...)
{
    int error = errno;
    va_list args;

    fflush(stdout);
    fprintf(stderr, "probe-4: ");
    va_start(args, call);
    vfprintf(stderr, call, args);
    va_end(args);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(EXIT_FAILURE);
}

/* The file, new and empty, past the page cache if that can be had. */
static int new_file(void)
{
    const int flags = O_RDWR | O_CREAT | O_TRUNC;
    int fd = open(path, flags | O_DIRECT, 0666);

    if (fd == -1 && errno == EINVAL)
        fd = open(path, flags, 0666);
    if (fd == -1)
        die("open");
    return fd;
}

/* BLOCKs of memory, aligned to one. */
static char *blocks(int nr)
{
    void *memory;

    errno = posix_memalign(&memory, BLOCK, (size_t)nr * BLOCK);
    if (errno != 0)
        die("posix_memalign");
    return memset(memory, 'x', (size_t)nr * BLOCK);
}

static aio_context_t context(void)
{
    static aio_context_t ctx;

    if (ctx == 0 && syscall(SYS_io_setup, 8, &ctx) == -1)
        die("io_setup");
    return ctx;
}

static void submit(struct iocb *iocb, int opcode, int fd, void *data,
                   size_t length, long long offset)
{
    memset(iocb, 0, sizeof(*iocb));
    iocb->aio_lio_opcode = opcode;
    iocb->aio_fildes = fd;
    iocb->aio_buf = (uintptr_t)data;
    iocb->aio_nbytes = length;
    iocb->aio_offset = offset;
    if (syscall(SYS_io_submit, context(), 1L, &iocb) != 1)
        die("io_submit");
}

static struct io_event reap(void)
{
    struct io_event event;

    if (syscall(SYS_io_getevents, context(), 1L, 1L, &event, NULL) != 1)
        die("io_getevents");
    return event;
}

static long long request(int opcode, int fd, void *data, size_t length,
                         long long offset)
{
    struct iocb iocb;

    submit(&iocb, opcode, fd, data, length, offset);
    return reap().res;
}

/* "MEMORY OFFSET" as statx says, "unknown" if it doesn't, "no O_DIRECT". */
static void dioalign(void)
{
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0666);
    uint32_t stx[64] = { 0 }; /* struct statx, which not all headers know */

    if (fd == -1 && errno != EINVAL)
        die("open");
    if (fd == -1) {
        puts("no O_DIRECT");
        return;
    }
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0x2000, stx) == 0 &&
        (stx[0] & 0x2000)) /* STATX_DIOALIGN */
        printf("%u %u\n", stx[38], stx[39]);
    else
        puts("unknown");
}

/* Is there fallocate()? */
static void ahead(void)
{
    if (fallocate(new_file(), 0, 0, BLOCK) == 0)
        puts("yes");
    else if (errno == EOPNOTSUPP)
        puts("no");
    else
        die("fallocate");
}

/* How many pages of the file the page cache holds. */
static void cached(void)
{
    const size_t page = sysconf(_SC_PAGESIZE);
    int fd = open(path, O_RDWR);
    unsigned char *resident;
    struct stat stat;
    size_t pages, nr = 0;
    void *map;

    if (fd == -1 || fstat(fd, &stat) == -1)
        die("open");
    pages = (stat.st_size + page - 1) / page;
    map = mmap(NULL, pages * page, PROT_READ, MAP_SHARED, fd, 0);
    resident = malloc(pages);
    if (map == MAP_FAILED || resident == NULL)
        die("mmap");
    if (mincore(map, pages * page, resident) == -1)
        die("mincore");
    for (size_t i = 0; i < pages; i++)
        nr += resident[i] & 1;
    printf("%zu\n", nr);
}

/* The ring's head and tail: before a buffered write, right after it was
 * submitted, and after it was reaped. */
static void ring(void)
{
    volatile unsigned *ring = (void *)context();
    struct iocb iocb;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);

    printf("%u %u\n", ring[2], ring[3]);
    submit(&iocb, IOCB_CMD_PWRITE, fd, blocks(1), BLOCK, 0);
    printf("%u %u\n", ring[2], ring[3]);
    reap();
    printf("%u %u\n", ring[2], ring[3]);
}

/*
 * Is FSYNC under way when io_submit returns? On a busy machine it can be over
 * before we look, many times. But then the call has not slept, as it would
 * have to wait for a disk: once is enough for either.
 */
static void fsync_later(void)
{
    volatile unsigned *ring = (void *)context();
    struct rusage before, after;
    struct iocb iocb;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666), later = 0;
    char *data = blocks(1);

    for (int i = 0; i < 20 && !later; i++) {
        request(IOCB_CMD_PWRITE, fd, data, BLOCK, (long long)i * BLOCK);
        getrusage(RUSAGE_SELF, &before);
        submit(&iocb, IOCB_CMD_FSYNC, fd, NULL, 0, 0);
        later = ring[2] == ring[3];
        getrusage(RUSAGE_SELF, &after);
        later |= before.ru_nvcsw == after.ru_nvcsw;
        if (reap().res != 0)
            die("IOCB_CMD_FSYNC");
    }
    puts(later ? "under way" : "done");
}

/* What the file's first block is: "unwritten" if it was only allocated. */
static const char *first_block(int fd)
{
    union {
        struct fiemap map;
        char space[sizeof(struct fiemap) + sizeof(struct fiemap_extent)];
    } u;

    memset(&u, 0, sizeof(u));
    u.map.fm_length = 1;
    u.map.fm_extent_count = 1;
    if (ioctl(fd, (int)FS_IOC_FIEMAP, &u.map) == -1)
        return "unknown";
    if (u.map.fm_mapped_extents == 0)
        return "a hole";
    return u.map.fm_extents[0].fe_flags & FIEMAP_EXTENT_UNWRITTEN ? "unwritten"
                                                                  : "written";
}

/* A hole, then preallocated, then written by O_DIRECT. */
static void preallocated(void)
{
    int fd = new_file();

    if (ftruncate(fd, 16 * BLOCK) == -1)
        die("ftruncate");
    puts(first_block(fd));
    errno = posix_fallocate(fd, 0, 16 * BLOCK);
    if (errno != 0)
        die("posix_fallocate");
    puts(first_block(fd));
    if (request(IOCB_CMD_PWRITE, fd, blocks(1), BLOCK, 0) != BLOCK)
        die("IOCB_CMD_PWRITE");
    puts(first_block(fd));
}

/*
 * Of 20 writes into preallocated blocks, are all done when io_submit returns?
 * They are of 512 bytes, or of whole blocks of a filesystem. One that did not
 * have to sleep may just have been quick: with only_waits it does not count.
 */
static void prealloc_writes(int fd, char *data, size_t length, int only_waits)
{
    volatile unsigned *ring = (void *)context();
    struct rusage before, after;
    struct iocb iocb;
    int done = 0;

    errno = posix_fallocate(fd, 0, 20 * BLOCK);
    if (errno != 0)
        die("posix_fallocate");
    for (int i = 0; i < 20; i++) {
        long long res;

        getrusage(RUSAGE_SELF, &before);
        submit(&iocb, IOCB_CMD_PWRITE, fd, data, length, (long long)i * BLOCK);
        getrusage(RUSAGE_SELF, &after);
        done += ring[2] != ring[3] &&
                !(only_waits && before.ru_nvcsw == after.ru_nvcsw);
        res = reap().res;
        if (res != (long long)length) {
            printf("res %lld\n", res);
            return;
        }
    }
    puts(done == 20 ? "all done" : "some under way");
}

static void part_of_block(void)
{
    prealloc_writes(new_file(), blocks(1), 512, 0);
}

/* Whole blocks, out of memory that is aligned to 512 only. */
static void address_512(void)
{
    prealloc_writes(new_file(), blocks(2) + 512, BLOCK, 0);
}

/* ... that is aligned to a block of the filesystem, which may be 1024. */
static void address_block(void)
{
    int fd = new_file();
    struct statfs fs;

    if (fstatfs(fd, &fs) == -1)
        die("fstatfs");
    prealloc_writes(fd, blocks(2) + fs.f_bsize, BLOCK, 1);
}

/* Two writes behind the end, one behind the other, 20 times: is at least the
 * first one done when io_submit returns? */
static void extending_pair(void)
{
    volatile unsigned *ring = (void *)context();
    struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
    int fd = new_file(), done = 0;
    char *data = blocks(1);

    for (int i = 0; i < 20; i++) {
        memset(iocbs, 0, sizeof(iocbs));
        for (int j = 0; j < 2; j++) {
            iocbs[j].aio_lio_opcode = IOCB_CMD_PWRITE;
            iocbs[j].aio_fildes = fd;
            iocbs[j].aio_buf = (uintptr_t)data;
            iocbs[j].aio_nbytes = BLOCK;
            iocbs[j].aio_offset = (2LL * i + j) * BLOCK;
        }
        if (syscall(SYS_io_submit, context(), 2L, list) != 2)
            die("io_submit");
        done += ring[2] != ring[3];
        reap();
        reap();
    }
    puts(done == 20 ? "done" : "under way");
}

static void without_checksums(void)
{
    int fd = new_file();
    int flags = FS_NOCOW_FL;

    if (ioctl(fd, (int)FS_IOC_SETFLAGS, &flags) == -1)
        puts("no such flag");
    else
        prealloc_writes(fd, blocks(1), BLOCK, 1);
}

/* A file of 70000 bytes is read to its end and past it. */
static void end_of_file(void)
{
    int fd = new_file();
    char *data = blocks(1);

    request(IOCB_CMD_PWRITE, fd, data, BLOCK, 0);
    request(IOCB_CMD_PWRITE, fd, data, BLOCK, BLOCK);
    if (ftruncate(fd, 70000) == -1)
        die("ftruncate");
    for (long long i = 0; i < 3; i++)
        printf("%lld\n", request(IOCB_CMD_PREAD, fd, data, BLOCK, i * BLOCK));
}

/* Is a length refused that is 16 bytes off? */
static void length_off(void)
{
    long long res = request(IOCB_CMD_PWRITE, new_file(), blocks(2), BLOCK + 16,
                            0);

    puts(res == BLOCK + 16 ? "accepted" : res == -EINVAL ? "refused" : "?");
}

/*
 * 64 writes of 1024 bytes, from memory that is `off` bytes off. The file has
 * its blocks: where ext4 has to fill up a new one, Linux 7.2 takes more.
 */
static void writes(size_t off)
{
    int fd = new_file(), accepted = 0, refused = 0;
    char *data = blocks(2);

    if (request(IOCB_CMD_PWRITE, fd, data, BLOCK, 0) != BLOCK)
        die("IOCB_CMD_PWRITE");
    data += off;
    for (int i = 0; i < 64; i++) {
        long long res = request(IOCB_CMD_PWRITE, fd, data + i * 1024, 1024,
                                i * 1024LL);

        accepted += res == 1024;
        refused += res == -EINVAL;
    }
    printf("%d accepted, %d refused\n", accepted, refused);
}

static void writes_aligned(void)
{
    writes(0);
}

static void writes_off(void)
{
    writes(16);
}

/* `nr` written blocks, and nothing of them in the cache. */
static int written_file(int nr)
{
    int fd = new_file();

    if (write(fd, blocks(nr), (size_t)nr * BLOCK) != (ssize_t)nr * BLOCK ||
        fsync(fd) == -1)
        die("write");
    return fd;
}

/* O_DIRECT from and to a mapping of the same place of the same file, and into
 * memory that is for reading only. */
static void mapped(void)
{
    int fd = written_file(1);
    char *map = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *only = mmap(NULL, BLOCK, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);

    if (map == MAP_FAILED || only == MAP_FAILED)
        die("mmap");
    printf("%lld ", request(IOCB_CMD_PREAD, fd, map, BLOCK, 0));
    printf("%lld ", request(IOCB_CMD_PWRITE, fd, map, BLOCK, 0));
    printf("%lld\n", request(IOCB_CMD_PREAD, fd, only, BLOCK, 0));
}

/* How many of 8 blocks are full of this letter? */
static int full_of(char letter)
{
    int fd = open(path, O_RDONLY), full = 0;
    char *seen = blocks(8);

    if (fd == -1 || read(fd, seen, 8 * BLOCK) != 8 * BLOCK)
        die("read");
    for (int i = 0; i < 8; i++)
        full += seen[i * BLOCK] == letter &&
                seen[i * BLOCK + BLOCK - 1] == letter;
    return full;
}

/* What end_at_once becomes by exec: what has arrived by then? */
static void after_exec(void)
{
    exit(full_of('C'));
}

/* Overwrites are submitted, and the process ends at once, by _exit(), by
 * SIGKILL, or by exec, as far as that is an end. How many of 8 blocks arrive?
 * In the last case it is the new program that looks. */
static void end_at_once(void)
{
    struct iocb iocbs[8];
    int fd = written_file(8), status;
    char *data;

    for (int way = 0; way <= 2; way++) {
        if (fork() == 0) {
            data = blocks(8);
            memset(data, 'A' + way, 8 * BLOCK);
            for (int i = 0; i < 8; i++)
                submit(&iocbs[i], IOCB_CMD_PWRITE, fd, data + i * BLOCK, BLOCK,
                       (long long)i * BLOCK);
            if (way == 1)
                kill(getpid(), SIGKILL);
            if (way == 2)
                execl("/proc/self/exe", "probe-4", "after_exec", path, NULL);
            _exit(0);
        }
        wait(&status);
        printf("%d ", way == 2 ? WEXITSTATUS(status) : full_of('A' + way));
    }
    puts("");
}

/* Overwrites from memory that is aligned to 512 only: is one seen under way
 * when io_submit returns? On a busy machine few are. */
static void overwrite_512(void)
{
    volatile unsigned *ring = (void *)context();
    int fd = written_file(20), later = 0;
    char *data = blocks(2) + 512;
    struct iocb iocb;

    for (int i = 0; i < 2000 && later == 0; i++) {
        submit(&iocb, IOCB_CMD_PWRITE, fd, data, BLOCK, i % 20 * BLOCK);
        later += ring[2] == ring[3];
        if (reap().res != BLOCK)
            die("IOCB_CMD_PWRITE");
    }
    puts(later ? "some under way" : "all done");
}

/* FILE has a block that is written, and one that is allocated. Writes both,
 * and one at the end, each with the flags. */
static void three_writes(void)
{
    const char *dsync = getenv("DSYNC");
    int fd = open(path, O_RDWR | O_DIRECT);
    char *data = memset(blocks(1), 'n', BLOCK);
    struct iocb iocb, *list[1] = { &iocb };

    if (fd == -1)
        die("open");
    for (int i = 0; i < 3; i++) {
        iocb = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_rw_flags = dsync ? RWF_DSYNC : 0,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data,
            .aio_nbytes = BLOCK,
            .aio_offset = (long long)i * BLOCK,
        };
        if (syscall(SYS_io_submit, context(), 1L, list) != 1)
            die("io_submit");
        printf("%lld\n", (long long)reap().res);
    }
}

/* 24 writes through the page cache to a full disk, and what syncs say: of
 * these, and of descriptors opened before, and later. */
static void sync_errors(void)
{
    int fd = open(path, O_RDWR | O_CREAT, 0666), later;
    int before = open(path, O_RDWR);
    char *data = blocks(1);
    long long fine = 0;

    for (int i = 0; i < 24; i++)
        fine += request(IOCB_CMD_PWRITE, fd, data, BLOCK,
                        (long long)i * BLOCK) == BLOCK;
    printf("%lld written, syncs:", fine);
    for (int i = 0; i < 2; i++)
        printf(" %lld", request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0));
    printf(", opened before: %lld",
           request(IOCB_CMD_FDSYNC, before, NULL, 0, 0));
    later = open(path, O_RDWR);
    printf(", later: %lld\n", request(IOCB_CMD_FDSYNC, later, NULL, 0, 0));
}

/* What a block device says at its end, and of its length. */
static void disk(void)
{
    int fd = open(path, O_RDWR | O_DIRECT);
    volatile unsigned *ring = (void *)context();
    char *data = blocks(1);
    struct iocb iocb;
    struct stat stat;
    long long size;
    int later = 0;

    if (fd == -1 || fstat(fd, &stat) == -1)
        die("open");
    size = lseek(fd, 0, SEEK_END);
    printf("stat %lld, lseek %lld\n", (long long)stat.st_size, size);
    printf("read across the end: %lld\n",
           request(IOCB_CMD_PREAD, fd, data, BLOCK, size - 4096));
    printf("write across the end: %lld\n",
           request(IOCB_CMD_PWRITE, fd, data, BLOCK, size - 4096));
    printf("read at the end: %lld\n",
           request(IOCB_CMD_PREAD, fd, data, BLOCK, size));
    printf("write at the end: %lld\n",
           request(IOCB_CMD_PWRITE, fd, data, BLOCK, size));
    printf("FDSYNC: %lld\n", request(IOCB_CMD_FDSYNC, fd, NULL, 0, 0));
    for (int i = 0; i < 5000 && !later; i++) {
        submit(&iocb, IOCB_CMD_PWRITE, fd, data, BLOCK,
               (long long)(i % 20) * BLOCK);
        later += ring[2] == ring[3];
        reap();
    }
    printf("a write is %s\n", later ? "under way" : "done");
    fflush(stdout);

    /* The test makes the disk read-only, and then shorter, to nothing. */
    for (int i = 0; i < 2 && getchar() != EOF; i++) {
        printf("read: %lld, write: %lld\n",
               request(IOCB_CMD_PREAD, fd, data, BLOCK, 0),
               request(IOCB_CMD_PWRITE, fd, data, BLOCK, 0));
        fflush(stdout);
    }
}

/* Page faults that io_submit has for us: with memory that nobody has touched
 * yet, and with the same memory again. */
static void untouched(void)
{
    int fd = written_file(1);
    char *data = mmap(NULL, 2 * BLOCK, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct rusage before, after;
    struct iocb iocb;

    madvise(data, 2 * BLOCK, MADV_NOHUGEPAGE);
    context();
    for (int i = 0; i < 2; i++) {
        getrusage(RUSAGE_SELF, &before);
        submit(&iocb, IOCB_CMD_PREAD, fd, data, BLOCK, 0);
        getrusage(RUSAGE_SELF, &after);
        reap();
        printf("%ld pages\n", after.ru_minflt - before.ru_minflt);
    }
}

/* An overwrite with RWF_NOWAIT where a page is in the cache, and clean. */
static void beside_clean(void)
{
    int fd = written_file(1), cached = open(path, O_RDONLY);
    struct iocb iocb, *list[1] = { &iocb };
    char *data = blocks(1);

    if (pread(cached, data, BLOCK, 0) != BLOCK)
        die("pread");
    iocb = (struct iocb){
        .aio_lio_opcode = IOCB_CMD_PWRITE,
        .aio_rw_flags = RWF_NOWAIT,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
    };
    if (syscall(SYS_io_submit, context(), 1L, list) != 1)
        die("io_submit");
    printf("%lld\n", (long long)reap().res);
}

/* One block, through the page cache, with RWF_NOWAIT. */
static long long read_nowait(int fd, void *data, long long offset)
{
    struct iocb iocb = {
        .aio_lio_opcode = IOCB_CMD_PREAD,
        .aio_rw_flags = RWF_NOWAIT,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = BLOCK,
        .aio_offset = offset,
    };
    struct iocb *list[1] = { &iocb };

    if (syscall(SYS_io_submit, context(), 1L, list) != 1)
        die("io_submit");
    return reap().res;
}

/* A block that is not in the cache is read with RWF_NOWAIT, again and again
 * for two seconds: does that have the disk start? */
static void nowait_again(void)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    char *data = blocks(1);
    long long res;

    for (int i = 0; i < 64; i++)
        if (write(fd, data, BLOCK) != BLOCK)
            die("write");
    if (fsync(fd) == -1)
        die("fsync");
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    res = read_nowait(fd, data, 32 * BLOCK);
    printf("%lld, ", res);
    for (int i = 0; res != BLOCK && i < 200; i++) {
        usleep(10000);
        res = read_nowait(fd, data, 32 * BLOCK);
    }
    puts(res == BLOCK ? "then it is there" : "and never anything else");
}

/* Does one io_submit for 64 reads of a disk sleep? With NOWAIT in the
 * environment: does any of them say that it would have to? */
static void full_queue(void)
{
    struct iocb iocbs[64], *list[64];
    int fd = open(path, O_RDONLY | O_DIRECT), slept = 0, refused = 0;
    const char *nowait = getenv("NOWAIT");
    struct rusage before, after;
    struct io_event events[64];
    char *data = blocks(64);
    aio_context_t ctx = 0;

    if (fd == -1 || syscall(SYS_io_setup, 64, &ctx) == -1)
        die("open");
    for (int i = 0; i < 64; i++) {
        list[i] = &iocbs[i];
        iocbs[i] = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PREAD,
            .aio_rw_flags = nowait ? RWF_NOWAIT : 0,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data + i * BLOCK,
            .aio_nbytes = BLOCK,
            .aio_offset = i % 2 ? i * BLOCK : (127 - i) * BLOCK,
        };
    }
    for (int i = 0; i < 5; i++) {
        getrusage(RUSAGE_SELF, &before);
        if (syscall(SYS_io_submit, ctx, 64L, list) != 64)
            die("io_submit");
        getrusage(RUSAGE_SELF, &after);
        slept += after.ru_nvcsw != before.ru_nvcsw;
        for (long n = 0, got; n < 64; n += got) {
            got = syscall(SYS_io_getevents, ctx, 1L, 64L, events, NULL);
            for (long k = 0; k < got; k++)
                refused += events[k].res == -EAGAIN;
        }
    }
    if (nowait)
        puts(refused ? "EAGAIN" : "all are taken");
    else
        puts(slept == 5   ? "sleeps"
             : slept == 0 ? "does not sleep"
                          : "sometimes");
}

/* An overwrite with RWF_NOWAIT, while somebody writes another part of the file
 * through the page cache: is it ever told to wait, for the lock? */
static void beside_writer(void)
{
    int fd = written_file(1), waits = 0, fine = 0;
    char *data = blocks(1), *much = blocks(256);
    struct iocb iocb, *list[1] = { &iocb };
    pid_t parent = getpid(), child;
    int other = open(path, O_RDWR);

    if (pwrite(other, much, 256 * BLOCK, 16 * BLOCK) == -1)
        die("pwrite");
    child = fork();
    while (child == 0 && getppid() == parent)
        if (pwrite(other, much, 256 * BLOCK, 16 * BLOCK) == -1)
            die("pwrite");
    for (int i = 0; i < 100000 && !(waits && fine); i++) {
        iocb = (struct iocb){
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_rw_flags = RWF_NOWAIT,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data,
            .aio_nbytes = BLOCK,
        };
        if (syscall(SYS_io_submit, context(), 1L, list) != 1)
            die("io_submit");
        switch (reap().res) {
        case -EAGAIN:
            waits++;
            break;
        case BLOCK:
            fine++;
            break;
        }
        if (i > 20)
            usleep(100);
    }
    kill(child, SIGKILL);
    wait(NULL);
    puts(waits ? "waits" : "does not wait");
}

static void give_up(int sig)
{
    (void)sig;
}

/* Holds a write lease until somebody else opens the file, and longer. */
static void lease(void)
{
    int fd = open(path, O_RDWR);

    signal(SIGIO, give_up);
    if (fd == -1 || fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
        die("lease");
    puts("taken");
    fflush(stdout);
    pause();
    usleep(100000);
    fcntl(fd, F_SETLEASE, F_UNLCK);
}

/* What this C library says for errors; not all libraries say the same. */
static void reasons(void)
{
    printf("%s\n", strerror(EIO));
    printf("%s\n", strerror(EMFILE));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *question;
        void (*ask)(void);
    } all[] = {
        { "reasons", reasons },
        { "cached", cached },
        { "dioalign", dioalign },
        { "mapped", mapped },
        { "disk", disk },
        { "after_exec", after_exec },
        { "end_at_once", end_at_once },
        { "overwrite_512", overwrite_512 },
        { "three_writes", three_writes },
        { "untouched", untouched },
        { "full_queue", full_queue },
        { "nowait_again", nowait_again },
        { "beside_writer", beside_writer },
        { "beside_clean", beside_clean },

        { "sync_errors", sync_errors },
        { "lease", lease },
        { "ahead", ahead },
        { "ring", ring },
        { "fsync", fsync_later },
        { "preallocated", preallocated },
        { "end_of_file", end_of_file },
        { "length_off", length_off },
        { "writes_aligned", writes_aligned },
        { "writes_off", writes_off },
        { "part_of_block", part_of_block },
        { "without_checksums", without_checksums },
        { "address_512", address_512 },
        { "address_block", address_block },
        { "extending_pair", extending_pair },
    };

    if (argc > 2)
        path = argv[2];
    for (size_t i = 0; argc > 1 && i < sizeof(all) / sizeof(all[0]); i++)
        if (!strcmp(argv[1], all[i].question)) {
            all[i].ask();
            return EXIT_SUCCESS;
        }
    fprintf(stderr, "probe-4: no such question\n");
    return 2;
}
