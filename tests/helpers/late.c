/*
 * late.c - makes every request late, and the newest come first
 *
 * A library to preload: a disk as slow as can be. io_submit() only looks at
 * the requests and copies them, as the kernel does. They are really
 * submitted when the program next waits: as many as it waits for, one at
 * least, the newest first. It waits in io_getevents() and io_pgetevents(),
 * epoll_wait(), epoll_pwait(), poll(), ppoll(), or a read() of what is no
 * file; io_cancel() and io_destroy() have all submitted. With a min_nr of 0
 * nobody waits: such a look finds what is there, and only when there is
 * nothing one more request is done behind it.
 *
 *     AIO_LATE=idle    none is done before the program has waited in
 *                      epoll_wait() with nothing there yet
 *     AIO_LATE=oldest  the oldest come first
 *     AIO_LATE=stall   the program is held up for 50 ms when it first waits
 *                      in epoll_wait()
 *
 * So whoever frees or changes a buffer in flight, takes a request for done
 * because io_submit() has returned, or counts on an order, meets what would
 * be rare luck on a fast disk, and never happen through the page cache.
 *
 * Build:  cc -shared -fPIC -o late.so late.c -ldl -pthread
 * Usage:  LD_PRELOAD=tests/helpers/late.so PROGRAM ...
 *
 * Ahead of it may stand fault.so and watch.so: they see what the program
 * does, not what this makes of it. What io_submit refuses here are unknown
 * opcodes, bad descriptors, aio_reserved2, impossible lengths, and an FSYNC
 * of a part; what the kernel refuses later for another reason ends the
 * program: one line on stderr, status 99. POLL requests are not held back
 * when the program waits: they might be what it waits for. An event in the
 * mapped ring has the address of a copy in `obj`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* A request that the program believes to be in flight. */
struct late {
    struct iocb iocb;           /* the kernel gets this one */
    struct iocb *original;
    struct iovec *segments;     /* copied as well, as the kernel does */
    aio_context_t ctx;
    int submitted;
    struct late *next;
};

static struct late *queue;      /* who is first in it is done first */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int idle, stall;         /* AIO_LATE, until its time is over */
static int oldest_first;

static void *next_of(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static long next_syscall(long number, long a, long b, long c, long d, long e,
                         long f)
{
    static long (*next)(long, ...);

    if (next == NULL)
        next = (long (*)(long, ...))(uintptr_t)next_of("syscall");
    return next(number, a, b, c, d, e, f);
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("AIO_LATE");

    idle = text != NULL && strcmp(text, "idle") == 0;
    stall = text != NULL && strcmp(text, "stall") == 0;
    oldest_first = text != NULL && strcmp(text, "oldest") == 0;
}

static int is_vectored(const struct iocb *iocb)
{
    return iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
           iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

/* The errno with which the kernel would refuse the request; 0 if it may. */
static int bad(const struct iocb *iocb)
{
    if (iocb->aio_reserved2 != 0)
        return EINVAL;
    if (fcntl(iocb->aio_fildes, F_GETFD) == -1)
        return EBADF;
    if ((iocb->aio_flags & IOCB_FLAG_RESFD) &&
        fcntl(iocb->aio_resfd, F_GETFD) == -1)
        return EBADF;
    if (iocb->aio_lio_opcode > IOCB_CMD_PWRITEV ||
        iocb->aio_lio_opcode == 4 || iocb->aio_lio_opcode == IOCB_CMD_NOOP)
        return EINVAL;
    if ((int64_t)iocb->aio_nbytes < 0 ||
        (is_vectored(iocb) && iocb->aio_nbytes > IOV_MAX))
        return EINVAL;
    if ((iocb->aio_lio_opcode == IOCB_CMD_FSYNC ||
         iocb->aio_lio_opcode == IOCB_CMD_FDSYNC) &&
        (iocb->aio_buf || iocb->aio_nbytes || iocb->aio_offset))
        return EINVAL;
    return 0;
}

/*
 * A taken request has a hold on its file: the program may close it. So the
 * copy has descriptors of its own. They are high ones, for programs that
 * print theirs.
 */
static int own(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 100);
}

static long submit(aio_context_t ctx, long nr, struct iocb **list)
{
    long n;

    for (n = 0; n < nr; n++) {
        struct late *late, **place = &queue;

        errno = bad(list[n]);
        if (errno != 0)
            return n > 0 ? n : -1;
        late = calloc(1, sizeof(*late));
        if (late == NULL)
            return n > 0 ? n : -1;
        list[n]->aio_key = 0;
        late->iocb = *list[n];
        if (is_vectored(list[n])) {
            size_t size = list[n]->aio_nbytes * sizeof(struct iovec);

            late->segments = malloc(size + 1);
            if (late->segments == NULL) {
                free(late);
                return n > 0 ? n : -1;
            }
            memcpy(late->segments, (void *)(uintptr_t)list[n]->aio_buf, size);
            late->iocb.aio_buf = (uintptr_t)late->segments;
        }
        late->iocb.aio_fildes = own(late->iocb.aio_fildes);
        if (late->iocb.aio_flags & IOCB_FLAG_RESFD)
            late->iocb.aio_resfd = own(late->iocb.aio_resfd);
        late->original = list[n];
        late->ctx = ctx;
        while (oldest_first && *place != NULL)
            place = &(*place)->next;
        late->next = *place;
        *place = late;
    }
    return n;
}

/* Really submits one. Returns 0 if its context has no room for it now. */
static int submit_now(struct late *late)
{
    struct iocb *list[1] = { &late->iocb };
    long n;

    do
        n = next_syscall(SYS_io_submit, late->ctx, 1, (long)list, 0, 0, 0);
    while (n == -1 && errno == EINTR);
    if (n == -1 && errno == EAGAIN)
        return 0;
    if (n == -1) {
        dprintf(STDERR_FILENO, "late.so: the kernel refuses a request with "
                "opcode %d, offset %lld, length %llu: %s\n",
                late->iocb.aio_lio_opcode, (long long)late->iocb.aio_offset,
                (unsigned long long)late->iocb.aio_nbytes, strerror(errno));
        _exit(99);
    }
    late->submitted = 1;
    close(late->iocb.aio_fildes);
    if (late->iocb.aio_flags & IOCB_FLAG_RESFD)
        close(late->iocb.aio_resfd);
    return 1;
}

/* The program waits for `nr` requests: now is the time for these. */
static void flush(long nr)
{
    int error = errno;

    pthread_mutex_lock(&mutex);
    for (struct late *late = queue; late != NULL; late = late->next) {
        int poll = late->iocb.aio_lio_opcode == IOCB_CMD_POLL;

        if (!late->submitted && (poll || nr > 0) && submit_now(late) && !poll)
            nr--;
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
}

/* Ahead of a wait that is not for events only. */
static void before_wait(void)
{
    if (stall)
        usleep(50000);
    stall = 0;
    flush(1);
}

/* The request that an event is of. From now on it is nobody's. */
static void put_back(struct io_event *event)
{
    pthread_mutex_lock(&mutex);
    for (struct late **at = &queue; *at != NULL; at = &(*at)->next) {
        struct late *late = *at;

        if (event->obj != (uintptr_t)&late->iocb)
            continue;
        event->obj = (uintptr_t)late->original;
        *at = late->next;
        free(late->segments);
        free(late);
        break;
    }
    pthread_mutex_unlock(&mutex);
}

static struct iocb *copy_of(const struct iocb *original)
{
    for (struct late *late = queue; late != NULL; late = late->next)
        if (late->original == original)
            return &late->iocb;
    return (struct iocb *)(uintptr_t)original;
}

long syscall(long number, ...)
{
    long a[6], result;
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);

    switch (number) {
    case SYS_io_submit:
        if (a[1] < 1)
            break;
        pthread_mutex_lock(&mutex);
        result = submit(a[0], a[1], (struct iocb **)a[2]);
        pthread_mutex_unlock(&mutex);
        return result;
    case SYS_io_cancel:
        flush(LONG_MAX);
        a[1] = (long)copy_of((struct iocb *)a[1]);
        break;
    case SYS_io_destroy:
        flush(LONG_MAX);
        break;
    case SYS_io_getevents:
    case SYS_io_pgetevents:
        flush(a[1]);            /* 0: those of POLL */
        break;
    }
    result = next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_io_getevents || number == SYS_io_pgetevents)
        for (long i = 0; i < result; i++)
            put_back((struct io_event *)a[3] + i);
    if ((number == SYS_io_getevents || number == SYS_io_pgetevents) &&
        result == 0 && a[1] == 0 && !idle)
        flush(1);
    return result;
}

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    int (*next)(int, struct epoll_event *, int, int) =
        (int (*)(int, struct epoll_event *, int, int))(uintptr_t)
        next_of("epoll_wait");
    int n;

    if (idle) {                 /* what is there comes first, */
        n = next(fd, events, max, 0);
        if (n != 0)
            return n;
        n = next(fd, events, max, timeout);     /* then what will be */
        idle = n == -1;
        if (n != 0)
            return n;
    }
    before_wait();
    return next(fd, events, max, timeout);
}

int epoll_pwait(int fd, struct epoll_event *events, int max, int timeout,
                const sigset_t *mask)
{
    int (*next)(int, struct epoll_event *, int, int, const sigset_t *) =
        (int (*)(int, struct epoll_event *, int, int, const sigset_t *))
        (uintptr_t)next_of("epoll_pwait");

    before_wait();
    return next(fd, events, max, timeout, mask);
}

int poll(struct pollfd *fds, nfds_t nr, int timeout)
{
    int (*next)(struct pollfd *, nfds_t, int) =
        (int (*)(struct pollfd *, nfds_t, int))(uintptr_t)next_of("poll");

    before_wait();
    return next(fds, nr, timeout);
}

int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
          const sigset_t *mask)
{
    int (*next)(struct pollfd *, nfds_t, const struct timespec *,
                const sigset_t *) =
        (int (*)(struct pollfd *, nfds_t, const struct timespec *,
                 const sigset_t *))(uintptr_t)next_of("ppoll");

    before_wait();
    return next(fds, nr, timeout, mask);
}

ssize_t read(int fd, void *buffer, size_t length)
{
    ssize_t (*next)(int, void *, size_t) =
        (ssize_t (*)(int, void *, size_t))(uintptr_t)next_of("read");
    struct stat stat;

    if (!idle && fstat(fd, &stat) == 0 && !S_ISREG(stat.st_mode))
        flush(1);
    return next(fd, buffer, length);
}
