/*
 * vectored.c - one request, many buffers
 *
 * Writes RECORDS records to FILE. Header, body and padding of each lie in other
 * places of memory than in the file: IOCB_CMD_PWRITEV gathers them without a
 * copy, IOCB_CMD_PREADV scatters them again. With O_DIRECT each segment must
 * be aligned: on most filesystems one that is not fails its whole request.
 *
 * Build:  cc -o vectored vectored.c
 * Usage:  ./vectored FILE [RECORDS]
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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { HEADER = 16384, BODY = 32768, PADDING = 16384, BLOCK = 65536 };

/* One place in the window: a request and all that it needs while in flight. */
struct request {
    struct iocb iocb;
    char *data; /* BLOCK bytes, aligned: header, padding, body */
    struct iovec segments[3];
};

static unsigned memory_align = 1, offset_align = 1; /* bytes */
static const char *path;
static long requests = 4, depth = 8;
static struct request *window, **idle; /* all places, and the free ones */
static struct iocb **ready;            /* prepared, not yet submitted */
static long nr_idle, nr_ready, prepared, in_flight, done, submits, reaps, most;

static void ask_alignment(int fd), allocate(int fd, long long length);
static void make_window(void), prepare(int fd), submit(aio_context_t ctx);
static void reap(aio_context_t ctx, long min_nr), try_odd(aio_context_t ctx);
static void start(int argc, char **argv, int min, int max);
static long number(const char *text, long min, long max);
static int create(int flags), io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);
static int io_getevents(aio_context_t ctx, long min_nr, long nr,
                        struct io_event *events,
                        struct __kernel_old_timespec *timeout);

int main(int argc, char **argv)
{
    aio_context_t ctx = 0;
    int fd;

    start(argc, argv, 1, 2);
    path = argv[1];
    if (argc > 2)
        requests = number(argv[2], 1, 16384);
    if (io_setup(depth, &ctx) == -1)
        err(1, "io_setup");
    fd = create(O_RDWR | O_DIRECT);
    if (fd == -1 && errno == EINVAL)
        fd = create(O_RDWR);
    if (fd == -1)
        err(1, "open %s", path);
    ask_alignment(fd);
    allocate(fd, (long long)requests * BLOCK);
    make_window();

    while (done < requests) {
        prepare(fd);
        submit(ctx);
        reap(ctx, 1);
    }
    printf("PWRITEV: %ld record%s of %d + %d + %d bytes\n", done,
           done == 1 ? "" : "s", HEADER, BODY, PADDING);
    printf("PREADV: headers, bodies and padding as they were written\n");
    try_odd(ctx);

    if (io_destroy(ctx) == -1)
        err(1, "io_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    free(window[0].data);
    free(ready);
    free(idle);
    free(window);
    return EXIT_SUCCESS;
}

/* What block number `block` of the file holds: its number, then letters. */
static void fill(char *data, long block)
{
    char label[32];
    int length = snprintf(label, sizeof(label), "block %ld\n", block);

    memset(data, 'a' + block % 26, BLOCK);
    memcpy(data, label, length);
}

/* `length`, up to the next multiple of the alignment. */
static long long padded(long long length)
{
    return (length + offset_align - 1) / offset_align * offset_align;
}

/* All of a record: aio_buf is an array, and aio_nbytes the array's length. */
static void gather(struct request *request, int opcode, long record)
{
    char *header = request->data, *padding = header + HEADER;

    request->segments[0] = (struct iovec){ header, HEADER };
    request->segments[1] = (struct iovec){ padding + PADDING, BODY };
    request->segments[2] = (struct iovec){ padding, PADDING };
    request->iocb.aio_lio_opcode = opcode;
    request->iocb.aio_buf = (uintptr_t)request->segments;
    request->iocb.aio_nbytes = 3;                         /* segments */
    request->iocb.aio_offset = (long long)record * BLOCK; /* bytes */
}

/* Prepares a request for each idle place, as long as there are blocks. */
static void prepare(int fd)
{
    for (; nr_idle > 0 && prepared < requests; prepared++) {
        struct request *request = idle[--nr_idle];

        fill(request->data, prepared);
        request->iocb = (struct iocb){
            .aio_data = (uintptr_t)request,
            .aio_fildes = fd,
        };
        gather(request, IOCB_CMD_PWRITEV, prepared);
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
 * Looks at what became of a request: `res` is the number of bytes in all its
 * segments, or a negative errno. After a short count, go on at a place that is
 * aligned, with what is left of the array. What was written is read again.
 */
static void complete(struct request *request, long long res)
{
    struct iocb *iocb = &request->iocb;
    struct iovec *segment = (void *)(uintptr_t)iocb->aio_buf;
    int writing = iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
    long record = iocb->aio_offset / BLOCK;
    char expected[BLOCK];

    if (res > 0)
        res -= res % offset_align;
    if (res <= 0) {
        errno = res < 0 ? -res : EIO;
        err(1, "IOCB_CMD_%s record %ld", writing ? "PWRITEV" : "PREADV",
            record);
    }
    iocb->aio_offset += res;
    for (; iocb->aio_nbytes > 0 && res >= (long long)segment->iov_len;
         segment++, iocb->aio_nbytes--)
        res -= segment->iov_len;
    iocb->aio_buf = (uintptr_t)segment;
    if (iocb->aio_nbytes > 0) { /* short: the rest once more */
        segment->iov_base = (char *)segment->iov_base + res;
        segment->iov_len -= res;
        ready[nr_ready++] = iocb;
        return;
    }
    if (writing) {
        memset(request->data, 0, BLOCK);
        gather(request, IOCB_CMD_PREADV, record);
        ready[nr_ready++] = iocb;
        return;
    }
    fill(expected, record);
    if (memcmp(request->data, expected, BLOCK) != 0)
        errx(1, "%s: record %ld is not as it was written", path, record);
    idle[nr_idle++] = request;
    done++;
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

/* A segment of 100 bytes: O_DIRECT refuses all of the request, mostly. */
static void try_odd(aio_context_t ctx)
{
    struct request *request = idle[nr_idle - 1];
    struct io_event event;

    gather(request, IOCB_CMD_PREADV, 0);
    request->segments[1].iov_len = 100;
    ready[nr_ready++] = &request->iocb;
    submit(ctx);
    while (io_getevents(ctx, 1, 1, &event, NULL) == -1)
        if (errno != EINTR)
            err(1, "io_getevents");
    printf("PREADV with a segment of 100 bytes: %s\n",
           event.res < 0 ? strerror(-event.res) : "fine, without alignment");
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

/* Gives the file its blocks, and its length, before there is data in them. */
static void allocate(int fd, long long length)
{
    int n;

    do
        n = length == 0 ? 0 : fallocate(fd, 0, 0, padded(length));
    while (n == -1 && errno == EINTR);
    if (n == 0)
        return;
    if (errno == EFBIG && fallocate(fd, 0, 0, length) == 0 &&
        fcntl(fd, F_SETFL, 0) == 0) {
        offset_align = 1;
        printf("no room for padding: going on through the page cache\n");
        return;
    }
    if (errno != EOPNOTSUPP)
        err(1, "fallocate %s", path);
    printf("space ahead: not on this filesystem\n");
}

/*
 * The window: DEPTH places, all idle, and lists as long as that. Buffers
 * aligned to a whole block are aligned to all that divides it.
 */
static void make_window(void)
{
    void *buffers;

    errno = posix_memalign(&buffers, BLOCK, depth * BLOCK);
    if (errno != 0)
        err(1, "posix_memalign");
    window = calloc(depth, sizeof(*window));
    idle = calloc(depth, sizeof(*idle));
    ready = calloc(depth, sizeof(*ready));
    if (!window || !idle || !ready)
        err(1, "calloc");
    for (; nr_idle < depth; nr_idle++) {
        window[nr_idle].data = (char *)buffers + nr_idle * BLOCK;
        idle[nr_idle] = &window[nr_idle];
    }
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
    "Usage: vectored FILE [RECORDS]\n"
    "Makes FILE, or empties it, writes RECORDS (4) of 65536 bytes to it,\n"
    "each gathered from 3 buffers, and reads them back into such buffers.\n";

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
