/*
 * probe-vectored.c - questions about vectors and rings, and small tools
 *
 * What io_submit does with iovec arrays, and what stands in the mapped ring
 * of a context. Each question is a function below, named as on the command
 * line; answers are lines such as
 *
 *     EINVAL           the call returned -1, and errno is this
 *     res 30           the request was taken, and the event's res is 30
 *     res EINVAL       it is -EINVAL
 *
 * Files that it needs are made in the current folder.
 *
 * Build:  cc -o probe-vectored probe-vectored.c -pthread
 * Usage:  ./probe-vectored QUESTION [ARGUMENT...]
 */
#define _GNU_SOURCE
#include "direct.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static _Alignas(PAGE) char data[4 * PAGE];
static struct iovec segments[1025];

static const struct {
    const char *name;
    int number;
} errors[] = {
    { "EACCES", EACCES },
    { "EAGAIN", EAGAIN },
    { "EFAULT", EFAULT },
    { "EFBIG", EFBIG },
    { "EINVAL", EINVAL },
    { "EIO", EIO },
    { "ENAMETOOLONG", ENAMETOOLONG },
    { "ENOENT", ENOENT },
    { "ENOMEM", ENOMEM },
    { "ENOSPC", ENOSPC },
    { "ENOSYS", ENOSYS },
    { "ENOTDIR", ENOTDIR },
    { "ENXIO", ENXIO },
    { "EPERM", EPERM },
    { "EBUSY", EBUSY },
    { "EISDIR", EISDIR },
    { "EROFS", EROFS },
};

static const char *name_of(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == error)
            return errors[i].name;
    return strerror(error);
}

/* The question cannot be asked here. */
static void die(const char *call)
{
    fprintf(stderr, "probe-vectored: %s: %s\n", call, strerror(errno));
    exit(EXIT_FAILURE);
}

static aio_context_t context(void)
{
    aio_context_t ctx = 0;

    if (syscall(SYS_io_setup, 8U, &ctx) == -1)
        die("io_setup");
    return ctx;
}

/* One request with nr segments; the answer, and then the event's res. */
static void ask(aio_context_t ctx, int opcode, int fd, long nr,
                long long offset, void (*after_submit)(void))
{
    struct iocb iocb, *list[1] = { &iocb };
    struct io_event event;

    memset(&iocb, 0, sizeof(iocb));
    iocb.aio_lio_opcode = opcode;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)segments;
    iocb.aio_nbytes = nr;
    iocb.aio_offset = offset;
    if (syscall(SYS_io_submit, ctx, 1L, list) != 1) {
        puts(name_of(errno));
        return;
    }
    if (after_submit != NULL)
        after_submit();
    if (syscall(SYS_io_getevents, ctx, 1L, 1L, &event, NULL) != 1)
        die("io_getevents");
    if (event.res < 0)
        printf("res %s\n", name_of(-event.res));
    else
        printf("res %lld\n", (long long)event.res);
}

static int open_file(int flags)
{
    int fd = open("probe.data", O_RDWR | O_CREAT | O_TRUNC | flags, 0666);

    if (fd == -1)
        die("open");
    return fd;
}

static void cut(int nr, size_t length)
{
    for (int i = 0; i < nr; i++) {
        segments[i].iov_base = data + i * length;
        segments[i].iov_len = length;
    }
}

/* ---- Vectors ---- */

/* Three segments of 10 bytes: what aio_nbytes 3 means. */
static void three(void)
{
    aio_context_t ctx = context();
    int fd = open_file(0);

    memcpy(data, "first-----second----third-----", 30);
    cut(3, 10);
    ask(ctx, IOCB_CMD_PWRITEV, fd, 3, 0, NULL);
    memset(data, 0, sizeof(data));
    segments[0].iov_base = data + 20; /* scattered the other way round */
    segments[2].iov_base = data;
    ask(ctx, IOCB_CMD_PREADV, fd, 3, 0, NULL);
    printf("%.30s\n", data);
}

/* How many segments a request can have. */
static void limits(void)
{
    aio_context_t ctx = context();
    int fd = open_file(0);

    cut(1025, 1);
    ask(ctx, IOCB_CMD_PWRITEV, fd, 0, 0, NULL);
    ask(ctx, IOCB_CMD_PWRITEV, fd, 1024, 0, NULL);
    ask(ctx, IOCB_CMD_PWRITEV, fd, 1025, 0, NULL);
    ask(ctx, IOCB_CMD_PREADV, fd, 1024, 0, NULL);
    ask(ctx, IOCB_CMD_PREADV, fd, 1025, 0, NULL);
}

static void scribble(void)
{
    memset(segments, 0xff, sizeof(segments));
}

/* The array is overwritten while the request is in flight. */
static void reuse(void)
{
    aio_context_t ctx = context();
    int fd = open_file(0);

    memset(data, 'a', sizeof(data));
    if (write(fd, data, sizeof(data)) != sizeof(data) || fsync(fd) == -1)
        die("write");
    close(fd);
    fd = open("probe.data", O_RDWR | O_DIRECT);
    if (fd == -1)
        fd = open("probe.data", O_RDWR);
    memset(data, 0, sizeof(data));
    cut(4, PAGE);
    ask(ctx, IOCB_CMD_PREADV, fd, 4, 0, scribble);
    cut(4, PAGE);
    ask(ctx, IOCB_CMD_PWRITEV, fd, 4, 0, scribble);
    for (size_t i = 0; i < sizeof(data); i++)
        if (data[i] != 'a')
            puts("not all was read");
}

/*
 * O_DIRECT writes of three segments, one of which is wrong: its address,
 * in a way that crosses a page, or its length. Then what is in the file.
 */
static void bad_segment(void)
{
    static const char *const places[] = { "first", "middle", "last" };
    aio_context_t ctx = context();
    int fd = open_file(0);
    struct stat stat;

    if (fcntl(fd, F_SETFL, O_DIRECT) == -1 && errno != EINVAL)
        die("fcntl");
    for (int i = 0; i < 3; i++) {
        cut(3, PAGE);
        segments[i].iov_base = data + i * PAGE + 16;
        printf("address of the %s: ", places[i]);
        ask(ctx, IOCB_CMD_PWRITEV, fd, 3, 0, NULL);
        cut(3, PAGE);
        segments[i].iov_len = 100;
        printf("length of the %s: ", places[i]);
        ask(ctx, IOCB_CMD_PWRITEV, fd, 3, 0, NULL);
    }
    if (fstat(fd, &stat) == -1)
        die("fstat");
    printf("size: %lld\n", (long long)stat.st_size);
}

/* A page that nobody may touch. */
static void *bad_page(void)
{
    void *page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);

    if (page == MAP_FAILED)
        die("mmap");
    return page;
}

/*
 * Three segments of a page, one of them where there is no memory; and a single
 * buffer that goes bad in its second page. Through the page cache as much is
 * transferred as goes, unless that is nothing.
 */
static void bad_buffer(char **arguments)
{
    static const char *const places[] = { "first", "second", "third" };
    int flags = !strcmp(arguments[0], "direct") ? O_DIRECT : 0;
    const int page = sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int opcodes[] = { IOCB_CMD_PWRITEV, IOCB_CMD_PREADV };
    aio_context_t ctx = context();
    int fd = open_file(0);

    if (two == MAP_FAILED || mprotect(two + page, page, PROT_NONE) == -1)
        die("mmap");
    two += page - PAGE; /* that is before the bad one, on all machines */
    memset(two, 'a', PAGE);
    if (write(fd, data, sizeof(data)) != sizeof(data) || fsync(fd) == -1)
        die("write");
    if (flags != 0 && fcntl(fd, F_SETFL, flags) == -1)
        die("fcntl");
    for (int i = 0; i < 2; i++) {
        printf("%s\n", i == 0 ? "PWRITEV" : "PREADV");
        for (int bad = 0; bad < 3; bad++) {
            cut(3, PAGE);
            segments[bad].iov_base = bad_page();
            printf("the %s is bad: ", places[bad]);
            ask(ctx, opcodes[i], fd, 3, 0, NULL);
        }
        segments[0].iov_base = two;
        segments[0].iov_len = 2 * PAGE;
        printf("one, bad in its second page: ");
        ask(ctx, opcodes[i], fd, 1, 0, NULL);
    }
}

/* ---- The buffer's memory ---- */

/* A page that can be read, and not be held on to: the kernel's [vvar]. */
static void *device_page(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    unsigned long from;
    char line[512];

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        if (strstr(line, "[vvar]") && sscanf(line, "%lx-", &from) == 1) {
            fclose(maps);
            return (void *)from;
        }
    puts("no [vvar] here");
    exit(EXIT_SUCCESS);
}

static void not_pinned(char **arguments)
{
    aio_context_t ctx = context();
    int fd = open_file(0);

    if (!strcmp(arguments[0], "direct") && fcntl(fd, F_SETFL, O_DIRECT) == -1)
        die("fcntl");
    segments[0].iov_base = device_page();
    segments[0].iov_len = PAGE;
    ask(ctx, IOCB_CMD_PWRITEV, fd, 1, 0, NULL);
}

enum { READS = 64, READ = 524288 };

static const char *whole(const char *buffer)
{
    for (long i = 0; i < READS * READ; i += PAGE)
        if (buffer[i] != 'a')
            return "some is missing";
    return "all is there";
}

/*
 * A child is made while O_DIRECT reads are in flight, into memory that is
 * private, that is shared, or that it does not get.
 */
static void forked(char **arguments)
{
    int shared = !strcmp(arguments[0], "shared"), fd = open_file(0), status;
    char *buffer = mmap(NULL, READS * READ, PROT_READ | PROT_WRITE,
                        (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1,
                        0);
    static struct iocb iocbs[READS], *list[READS];
    struct io_event events[READS];
    aio_context_t ctx = 0;
    volatile unsigned *ring;
    pid_t pid;

    if (buffer == MAP_FAILED)
        die("mmap");
    memset(buffer, 'a', READS * READ);
    if (write(fd, buffer, READS * READ) != READS * READ || fsync(fd) == -1)
        die("write");
    if (fcntl(fd, F_SETFL, O_DIRECT) == -1)
        die("fcntl");
    memset(buffer, 0, READS * READ);
    if (!strcmp(arguments[0], "dontfork") &&
        madvise(buffer, READS * READ, MADV_DONTFORK) == -1)
        die("madvise");
    if (syscall(SYS_io_setup, (unsigned)READS, &ctx) == -1)
        die("io_setup");
    ring = (volatile unsigned *)(uintptr_t)ctx;
    for (int i = 0; i < READS; i++) {
        iocbs[i] = (struct iocb){ .aio_lio_opcode = IOCB_CMD_PREAD,
                                  .aio_fildes = fd,
                                  .aio_buf = (uintptr_t)buffer + i * READ,
                                  .aio_nbytes = READ,
                                  .aio_offset = (long long)i * READ };
        list[i] = &iocbs[i];
    }
    if (syscall(SYS_io_submit, ctx, (long)READS, list) != READS)
        die("io_submit");
    printf("in flight: %s\n", ring[3] - ring[2] < READS ? "some" : "none");
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        sleep(1); /* all reads are over, one way or the other */
        printf("in the child: %s\n", whole(buffer));
        exit(EXIT_SUCCESS);
    }
    if (syscall(SYS_io_getevents, ctx, (long)READS, (long)READS, events,
                NULL) != READS)
        die("io_getevents");
    printf("in the parent: %s\n", whole(buffer));
    fflush(stdout);
    if (waitpid(pid, &status, 0) == -1)
        die("waitpid");
    if (WIFSIGNALED(status))
        printf("in the child: %s\n", strsignal(WTERMSIG(status)));
}

/* An address that no process can have, with a length and without. */
static void no_address(void)
{
    aio_context_t ctx = context();
    int fd = open_file(0);

    if (sizeof(void *) < 8) {
        puts("32 bits");
        return;
    }
    segments[0].iov_base = (void *)(uintptr_t)(1ULL << 63);
    for (int length = 1; length >= 0; length--) {
        segments[0].iov_len = length;
        ask(ctx, IOCB_CMD_PWRITEV, fd, 1, 0, NULL);
    }
}

/* A segment's length is negative; the sum is over what one request moves. */
static void lengths(void)
{
    static char much[2 * 1024 * 1024];
    aio_context_t ctx = context();
    int zero = open("/dev/zero", O_RDONLY), null = open("/dev/null", O_WRONLY);

    segments[0].iov_base = data;
    segments[0].iov_len = -1;
    ask(ctx, IOCB_CMD_PREADV, zero, 1, 0, NULL);
    for (int i = 0; i < 1024; i++) {
        segments[i].iov_base = much;
        segments[i].iov_len = sizeof(much);
    }
    ask(ctx, IOCB_CMD_PREADV, zero, 1024, 0, NULL);
    ask(ctx, IOCB_CMD_PWRITEV, null, 1024, 0, NULL);
}

/* ---- The ring ---- */

enum { ID, NR, HEAD, TAIL, MAGIC, COMPAT, INCOMPAT, HEADER_LENGTH };

static volatile unsigned *ring_of(aio_context_t ctx)
{
    return (volatile unsigned *)(uintptr_t)ctx;
}

/* A write that is done when io_submit returns; aio_data is 7. */
static void submit_write(aio_context_t ctx)
{
    static struct iocb iocb, *list[1] = { &iocb };
    static int fd = -1;

    if (fd == -1)
        fd = open_file(0);
    iocb.aio_data = 7;
    iocb.aio_lio_opcode = IOCB_CMD_PWRITE;
    iocb.aio_fildes = fd;
    iocb.aio_buf = (uintptr_t)data;
    iocb.aio_nbytes = 10;
    if (syscall(SYS_io_submit, ctx, 1L, list) != 1)
        die("io_submit");
}

static int reap(aio_context_t ctx, long nr, struct io_event *events)
{
    return syscall(SYS_io_getevents, ctx, 0L, nr, events, NULL);
}

static struct io_event *place(aio_context_t ctx, unsigned n)
{
    return (struct io_event *)((char *)(uintptr_t)ctx +
                               ring_of(ctx)[HEADER_LENGTH]) +
           n;
}

/* The words of a new ring's header. */
static void header(void)
{
    volatile unsigned *ring = ring_of(context());

    printf("head %u, tail %u, magic %#x, compat_features %u, "
           "incompat_features %u, header_length %u\n",
           ring[HEAD], ring[TAIL], ring[MAGIC], ring[COMPAT], ring[INCOMPAT],
           ring[HEADER_LENGTH]);
    printf("nr more than asked for: %s\n", ring[NR] > 8 ? "yes" : "no");
}

/* An event in the ring, taken there: what is left for io_getevents. */
static void taken(void)
{
    aio_context_t ctx = context();
    volatile unsigned *ring = ring_of(ctx);
    struct io_event events[2];

    submit_write(ctx);
    printf("head %u, tail %u\n", ring[HEAD], ring[TAIL]);
    printf("data %lld, res %lld\n", (long long)place(ctx, 0)->data,
           (long long)place(ctx, 0)->res);
    ring[HEAD] = 1;
    printf("io_getevents: %d\n", reap(ctx, 2, events));
}

/* An event taken by io_getevents: the head it leaves. */
static void moved(void)
{
    aio_context_t ctx = context();
    struct io_event events[2];

    submit_write(ctx);
    printf("io_getevents: %d\n", reap(ctx, 2, events));
    printf("head %u, tail %u\n", ring_of(ctx)[HEAD], ring_of(ctx)[TAIL]);
}

/*
 * Two consumers, in the order that hurts: one has read the head, then the
 * other takes the event, then the first takes it too.
 */
static void twice(void)
{
    aio_context_t ctx = context();
    volatile unsigned *ring = ring_of(ctx);
    struct io_event events[1];
    unsigned head;
    int n;

    submit_write(ctx);
    head = ring[HEAD];
    n = reap(ctx, 1, events);
    printf("the second: %d event, data %lld\n", n, (long long)events[0].data);
    printf("the first: 1 event, data %lld\n",
           (long long)place(ctx, head)->data);
}

/*
 * Takes four times as many events as the ring has places, each from the
 * ring: no io_getevents, and the kernel still has room.
 */
static void round_and_round(void)
{
    aio_context_t ctx = context();
    volatile unsigned *ring = ring_of(ctx);
    unsigned nr = 4 * ring[NR], head;

    for (unsigned i = 0; i < nr; i++) {
        submit_write(ctx);
        head = ring[HEAD];
        if (place(ctx, head)->data != 7 || place(ctx, head)->res != 10)
            printf("a wrong event at place %u\n", head);
        ring[HEAD] = (head + 1) % ring[NR];
    }
    puts("all were taken");
}

/* Its line in /proc/self/maps: from where to where, and what is allowed. */
static void *mapping(aio_context_t ctx, size_t *length, char *allowed)
{
    unsigned long from = 0, to = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];

    if (maps == NULL)
        die("/proc/self/maps");
    while (fgets(line, sizeof(line), maps) != NULL)
        if (sscanf(line, "%lx-%lx %4s", &from, &to, allowed) == 3 &&
            from == ctx)
            break;
    fclose(maps);
    *length = to - from;
    return (void *)from;
}

/* Is it executable, can it become that, and if READ_IMPLIES_EXEC? */
static void executable(void)
{
    aio_context_t ctx = context();
    char allowed[5];
    size_t length;
    void *ring = mapping(ctx, &length, allowed);

    puts(allowed);
    if (mprotect(ring, length, PROT_READ | PROT_EXEC) == 0)
        puts("mprotect: 0");
    else
        printf("mprotect: %s\n", name_of(errno));
    if (personality(READ_IMPLIES_EXEC) == -1)
        die("personality");
    mapping(context(), &length, allowed);
    puts(allowed);
}

/* What each call says of a context; io_destroy comes last. */
static void calls(aio_context_t ctx)
{
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_PWRITE,
                         .aio_fildes = open_file(0),
                         .aio_buf = (uintptr_t)data,
                         .aio_nbytes = 1 };
    struct iocb *list[1] = { &iocb };
    struct io_event events[1];

    printf("submit %s",
           syscall(SYS_io_submit, ctx, 1L, list) == 1 ? "1" : name_of(errno));
    printf(", getevents %s",
           syscall(SYS_io_getevents, ctx, 0L, 1L, events, NULL) != -1
               ? "0 or more"
               : name_of(errno));
    iocb.aio_key = 0;
    printf(", cancel %s", syscall(SYS_io_cancel, ctx, &iocb, events) == 0
                              ? "0"
                              : name_of(errno));
    printf(", destroy %s\n",
           syscall(SYS_io_destroy, ctx) == 0 ? "0" : name_of(errno));
}

/* The mapping moves, or grows. */
static void moved_mapping(void)
{
    aio_context_t old = context(), new;
    char allowed[5];
    size_t length;
    void *ring = mapping(old, &length, allowed), *place;

    printf("growing: %s\n",
           mremap(ring, length, 2 * length, MREMAP_MAYMOVE) == MAP_FAILED
               ? name_of(errno)
               : "it did");
    place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mremap(ring, length, length, MREMAP_MAYMOVE | MREMAP_FIXED, place) !=
        place)
        die("mremap");
    printf("the old address: ");
    calls(old);
    new = (uintptr_t)place;
    printf("the new one: ");
    calls(new);
}

static long aio_nr(void)
{
    FILE *file = fopen("/proc/sys/fs/aio-nr", "r");
    long nr = -1;

    if (file != NULL && fscanf(file, "%ld", &nr) == 1)
        fclose(file);
    return nr;
}

/* It can only be read, not even that, or is gone. */
static void protected(void)
{
    aio_context_t ctx = context();
    char allowed[5];
    size_t length;
    void *ring = mapping(ctx, &length, allowed);
    long before;

    mprotect(ring, length, PROT_READ);
    printf("PROT_READ: ");
    calls(ctx);
    ctx = context();
    ring = mapping(ctx, &length, allowed);
    mprotect(ring, length, PROT_NONE);
    printf("PROT_NONE: ");
    calls(ctx);

    /* So many that others, who have some for a moment, do not matter. */
    ctx = 0;
    before = aio_nr();
    if (syscall(SYS_io_setup, 8192U, &ctx) == -1)
        die("io_setup");
    ring = mapping(ctx, &length, allowed);
    munmap(ring, length);
    printf("unmapped: ");
    calls(ctx);
    printf("aio-nr: %s\n",
           aio_nr() - before > 4096 ? "still charged" : "as before");
}

/* A thread looks at the ring while another one is in io_destroy(). */
static atomic_int destroyed;

static void on_segv(int signo)
{
    static const char during[] = "SIGSEGV, io_destroy has not returned\n";
    static const char after[] = "SIGSEGV, io_destroy has returned\n";
    ssize_t n;

    (void)signo;
    n = destroyed ? write(1, after, sizeof(after) - 1)
                  : write(1, during, sizeof(during) - 1);
    _exit(n == -1);
}

static void *look(void *ring)
{
    for (;;)
        (void)((volatile unsigned *)ring)[TAIL];
    return NULL;
}

static void look_once(void)
{
    aio_context_t ctx = context();
    struct iocb iocb = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = 1 };
    struct iocb *list[1] = { &iocb };
    pthread_t thread;
    int ends[2];

    if (pipe(ends) == -1)
        die("pipe");
    iocb.aio_fildes = ends[0]; /* to take back takes some milliseconds */
    if (syscall(SYS_io_submit, ctx, 1L, list) != 1)
        die("io_submit");
    signal(SIGSEGV, on_segv);
    errno = pthread_create(&thread, NULL, look, (void *)(uintptr_t)ctx);
    if (errno != 0)
        die("pthread_create");
    usleep(10000);
    syscall(SYS_io_destroy, ctx);
    destroyed = 1;
    pause();
}

/* On a busy machine the thread may not come to it in time: try again. */
static void look_while_destroyed(void)
{
    char answer[100] = "";
    int ends[2];

    for (int i = 0; i < 50 && strstr(answer, "not returned") == NULL; i++) {
        pid_t pid;

        if (pipe(ends) == -1)
            die("pipe");
        pid = fork();
        if (pid == 0) {
            dup2(ends[1], 1);
            look_once();
        }
        close(ends[1]);
        memset(answer, 0, sizeof(answer));
        if (read(ends[0], answer, sizeof(answer) - 1) == -1)
            die("read");
        close(ends[0]);
        waitpid(pid, NULL, 0);
    }
    fputs(answer, stdout);
}

/* ---- Tools ---- */

/* What the programs' C library says for an errno. */
static void reason(char **arguments)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!strcmp(errors[i].name, arguments[0]))
            puts(strerror(errors[i].number));
}

/* Has a file O_DIRECT? */
static void direct(char **arguments)
{
    int fd = open(arguments[0], O_RDONLY);

    if (fd == -1)
        die("open");
    puts(go_direct(fd) ? "yes" : "no");
}

/* ... and what must its offsets and lengths be multiples of? */
static void align(char **arguments)
{
    int fd = open(arguments[0], O_RDONLY);

    if (fd == -1)
        die("open");
    printf("%u\n", direct_align(fd));
}

/* Is a write of 100 bytes to a file with O_DIRECT refused? */
static void rejects(char **arguments)
{
    int fd = open(arguments[0], O_WRONLY | O_DIRECT);

    puts(fd != -1 && pwrite(fd, data, 100, 0) == -1 && errno == EINVAL ? "yes"
                                                                       : "no");
}

/* Pages of a file in the page cache. */
static void cached(char **arguments)
{
    int fd = open(arguments[0], O_RDONLY), pages = 0;
    unsigned char *present;
    struct stat stat;
    size_t nr;
    void *map;

    if (fd == -1 || fstat(fd, &stat) == -1)
        die("open");
    nr = stat.st_size / sysconf(_SC_PAGESIZE) + 1;
    map = mmap(NULL, stat.st_size, PROT_READ, MAP_SHARED, fd, 0);
    present = calloc(nr, 1);
    if (map == MAP_FAILED || mincore(map, stat.st_size, present) == -1)
        die("mincore");
    for (size_t i = 0; i < nr; i++)
        pages += present[i] & 1;
    printf("%d\n", pages);
}

/* Writes a file's data to the disk, and has the page cache forget it. */
static void drop(char **arguments)
{
    int fd = open(arguments[0], O_RDONLY);

    if (fd == -1 || fsync(fd) == -1 ||
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0)
        die("fsync");
}

/* Runs a command with its stderr on a terminal; what it says comes out. */
static void terminal(char **arguments)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY), slave, status;
    char text[4096];
    ssize_t n;
    pid_t pid;

    if (master == -1 || grantpt(master) == -1 || unlockpt(master) == -1)
        die("posix_openpt");
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave == -1)
        die("open terminal");
    pid = fork();
    if (pid == 0) {
        dup2(slave, STDERR_FILENO);
        close(master);
        close(slave);
        execvp(arguments[0], arguments);
        _exit(127);
    }
    close(slave);
    while ((n = read(master, text, sizeof(text))) > 0)
        fwrite(text, n, 1, stderr);
    if (waitpid(pid, &status, 0) == -1)
        die("waitpid");
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

static pid_t start_command(char **arguments)
{
    pid_t pid = fork();

    if (pid == 0) {
        execvp(arguments[0], arguments);
        _exit(127);
    }
    return pid;
}

static void end_with(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) == -1)
        die("waitpid");
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

/*
 * Has a write lease on a file, as a file server may, while a command runs; and
 * when somebody wants to open the file, gives it back a little later.
 */
static void lease(char **arguments)
{
    int fd = open(arguments[0], O_RDONLY);
    const struct timespec moment = { .tv_nsec = 20000000 };
    int status;
    sigset_t set;
    pid_t pid;

    sigemptyset(&set);
    sigaddset(&set, SIGIO);
    if (fd == -1 || fcntl(fd, F_SETLEASE, F_WRLCK) == -1)
        die("F_SETLEASE");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    sigprocmask(SIG_BLOCK, &set, NULL);
    pid = start_command(arguments + 1);
    while (waitpid(pid, &status, WNOHANG) == 0)
        if (sigtimedwait(&set, NULL, &moment) == SIGIO) {
            usleep(200000);
            fcntl(fd, F_SETLEASE, F_UNLCK);
            fprintf(stderr, "the lease was wanted\n");
        }
    exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
}

/* Has a file mapped, and no descriptor, while a command runs. */
static void mapped(char **arguments)
{
    int fd = open(arguments[0], O_RDWR);
    void *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (map == MAP_FAILED)
        die("mmap");
    close(fd);
    end_with(start_command(arguments + 1));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*ask)(void);
    } questions[] = {
        { "three", three },
        { "limits", limits },
        { "reuse", reuse },
        { "bad-segment", bad_segment },
        { "header", header },
        { "taken", taken },
        { "moved", moved },
        { "twice", twice },
        { "round-and-round", round_and_round },
        { "no-address", no_address },
        { "lengths", lengths },
        { "executable", executable },
        { "moved-mapping", moved_mapping },
        { "protected", protected },
        { "look-while-destroyed", look_while_destroyed },
    };
    static const struct {
        const char *name;
        void (*run)(char **);
    } tools[] = {
        { "reason", reason },         { "rejects", rejects },
        { "direct", direct },         { "align", align },
        { "cached", cached },         { "drop", drop },
        { "terminal", terminal },     { "bad-buffer", bad_buffer },
        { "not-pinned", not_pinned }, { "forked", forked },
        { "lease", lease },           { "mapped", mapped },
    };

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++)
        if (argc == 2 && !strcmp(argv[1], questions[i].name))
            return questions[i].ask(), fflush(stdout);
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++)
        if (argc > 2 && !strcmp(argv[1], tools[i].name))
            return tools[i].run(argv + 2), fflush(stdout);
    fprintf(stderr, "Usage: probe-vectored QUESTION [ARGUMENT...]\n");
    return 2;
}
