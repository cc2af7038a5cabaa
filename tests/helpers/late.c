/*
 * late.c - makes every request late, and the newest come first
 *
 * A part of fault.so: a disk as slow as can be. With AIO_LATE io_submit()
 * only looks at the requests and copies them, as the kernel does. They are
 * really submitted when the program next waits: as many as it waits for, one
 * at least, the newest first. It waits in io_getevents() and io_pgetevents(),
 * epoll_wait() and epoll_pwait(), poll() and select() and their kin, or a
 * read() of what is no file; io_cancel() and io_destroy() have all submitted.
 * With a min_nr or a time-out of 0 nobody waits: such a look finds what is
 * there, and only when there is nothing one more request is done behind it.
 *
 *     AIO_LATE=newest  as above
 *     AIO_LATE=oldest  the oldest come first
 *     AIO_LATE=idle    none is done before the program has waited in
 *                      epoll_wait() with nothing there yet
 *     AIO_LATE=stall   the program is held up for 50 ms when it first waits
 *                      in epoll_wait()
 *
 * So whoever frees or changes a buffer in flight, takes a request for done
 * because io_submit() has returned, or counts on an order, meets what would
 * be rare luck on a fast disk, and never happen through the page cache.
 *
 * What io_submit refuses here are unknown opcodes, bad descriptors,
 * aio_reserved2, impossible lengths, and an FSYNC of a part; what the kernel
 * refuses later for another reason ends the program: one line on stderr,
 * status 99. POLL requests are not held back when the program waits: they
 * might be what it waits for. The kernel is shown the copy at the place of the
 * original, so that the event has its address; if that is gone by then, only
 * events that come through a call have it.
 */
#define _GNU_SOURCE
#include "preload.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* A request that the program believes to be in flight. */
struct late {
    struct iocb iocb; /* the kernel gets this one */
    struct iocb *original;
    struct iovec *segments; /* copied as well, as the kernel does */
    aio_context_t ctx;
    const struct iocb *shown; /* the event's obj */
    int submitted;
    void *torment;
    struct late *next;
};

static struct late *queue; /* who is first in it is done first */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static int late, oldest_first;
static int idle, stall; /* until their time is over */

void late_start(void)
{
    const char *text = getenv("AIO_LATE");

    late = text != NULL && *text != '\0';
    idle = late && strcmp(text, "idle") == 0;
    stall = late && strcmp(text, "stall") == 0;
    oldest_first = late && strcmp(text, "oldest") == 0;
}

/* Not a pthread_mutex_t: that is a call of the program's. */
static void lock(void)
{
    while (atomic_flag_test_and_set(&busy))
        sched_yield();
}

static void unlock(void)
{
    atomic_flag_clear(&busy);
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
    if (raw(SYS_fcntl, (long)iocb->aio_fildes, (long)F_GETFD) == -1)
        return EBADF;
    if ((iocb->aio_flags & IOCB_FLAG_RESFD) &&
        raw(SYS_fcntl, (long)iocb->aio_resfd, (long)F_GETFD) == -1)
        return EBADF;
    if (iocb->aio_lio_opcode > IOCB_CMD_PWRITEV || iocb->aio_lio_opcode == 4 ||
        iocb->aio_lio_opcode == IOCB_CMD_NOOP)
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
    return (int)raw(SYS_fcntl, (long)fd, (long)F_DUPFD_CLOEXEC, 100L);
}

/* Takes a request; if that is refused, returns the errno. */
static int take(aio_context_t ctx, struct iocb *iocb)
{
    struct late *new, **place = &queue;
    int error = bad(iocb);

    if (error != 0)
        return error;
    new = calloc(1, sizeof(*new));
    if (new == NULL)
        return ENOMEM;
    iocb->aio_key = 0;
    new->iocb = *iocb;
    if (is_vectored(iocb)) {
        size_t size = iocb->aio_nbytes * sizeof(struct iovec);

        new->segments = malloc(size + 1);
        if (new->segments == NULL) {
            free(new);
            return ENOMEM;
        }
        memcpy(new->segments, (void *)(uintptr_t)iocb->aio_buf, size);
        new->iocb.aio_buf = (uintptr_t) new->segments;
    }
    new->iocb.aio_fildes = own(new->iocb.aio_fildes);
    if (new->iocb.aio_flags & IOCB_FLAG_RESFD)
        new->iocb.aio_resfd = own(new->iocb.aio_resfd);
    new->original = iocb;
    new->ctx = ctx;
    new->torment = torment_add(ctx, iocb, iocb, &new->iocb);
    while (oldest_first && *place != NULL)
        place = &(*place)->next;
    new->next = *place;
    *place = new;
    return 0;
}

long long late_submit(struct made *made)
{
    struct iocb **list = (struct iocb **)made->args[2];
    long n, nr = made->args[1];
    int error = 0;

    if (!late || nr < 1) {
        torment_submit(made);
        return made->result;
    }
    lock();
    for (n = 0; n < nr && error == 0; n += error == 0)
        error = take(made->args[0], list[n]);
    unlock();
    return n > 0 ? n : -error;
}

/* Copies an iocb, unless the memory is gone. */
static int copy(struct iocb *to, const struct iocb *from, long call)
{
    struct iovec here = { call == SYS_process_vm_readv ? (void *)to
                                                       : (void *)from,
                          sizeof(*to) };
    struct iovec there = { call == SYS_process_vm_readv ? (void *)from
                                                        : (void *)to,
                           sizeof(*to) };

    return raw(call, (long)getpid(), (long)&here, 1L, (long)&there, 1L, 0L) ==
           sizeof(*to);
}

static _Thread_local uintptr_t frame; /* where the program's own begin */

/*
 * Was it a local variable of a function that has returned? Then it lies where
 * our own are now, and is not to be touched.
 */
static int was_local(const struct iocb *iocb)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);

    return (uintptr_t)iocb < frame && (uintptr_t)(iocb + 1) > here - 65536;
}

/* Really submits one. Returns 0 if its context has no room for it now. */
static int submit_now(struct late *request)
{
    struct iocb *iocb = &request->iocb, *list[1] = { iocb };
    struct iocb now;
    char line[160];
    long n;

    torment_now(request->torment);
    request->torment = NULL;
    if (!was_local(request->original) &&
        copy(&now, request->original, SYS_process_vm_readv) &&
        copy(request->original, iocb, SYS_process_vm_writev))
        list[0] = request->original;
    request->shown = list[0];
    do
        n = raw(SYS_io_submit, (long)request->ctx, 1L, (long)list);
    while (n == -1 && errno == EINTR);
    if (list[0] != iocb) {
        int error = errno;

        copy(request->original, &now, SYS_process_vm_writev);
        errno = error;
    }
    if (n == -1 && errno == EAGAIN)
        return 0;
    if (n == -1) {
        print(line, sizeof(line),
              "fault.so: AIO_LATE: the kernel refuses a request with opcode "
              "%d, offset %lld, length %llu: errno %d\n",
              iocb->aio_lio_opcode, (long long)iocb->aio_offset,
              (unsigned long long)iocb->aio_nbytes, errno);
        raw(SYS_write, 2L, (long)line, (long)strlen(line));
        _exit(99);
    }
    request->submitted = 1;
    raw(SYS_close, (long)iocb->aio_fildes);
    if (iocb->aio_flags & IOCB_FLAG_RESFD)
        raw(SYS_close, (long)iocb->aio_resfd);
    return 1;
}

/* The program waits for `nr` requests: now is the time for these. */
static void flush(const struct made *made, long nr)
{
    frame = (uintptr_t)(made + 1) + 128; /* with what the call has put there */
    lock();
    for (struct late *request = queue; request; request = request->next) {
        int poll = request->iocb.aio_lio_opcode == IOCB_CMD_POLL;

        if (!request->submitted && (poll || nr > 0) && submit_now(request) &&
            !poll)
            nr--;
    }
    unlock();
}

/* The request that an event is of. From now on it is nobody's. */
static void put_back(struct io_event *event)
{
    lock();
    for (struct late **at = &queue; *at != NULL; at = &(*at)->next) {
        struct late *request = *at;

        if (!request->submitted || event->obj != (uintptr_t)request->shown ||
            event->data != request->iocb.aio_data)
            continue;
        event->obj = (uintptr_t)request->original;
        *at = request->next;
        free(request->segments);
        free(request);
        break;
    }
    unlock();
}

long long late_events(struct made *made)
{
    struct io_event *events = (struct io_event *)made->args[3];
    const long *timeout = (const long *)made->args[4]; /* the kernel's */
    long least = made->args[1];
    long long n;

    if (!late)
        return make_it(made);
    if (timeout != NULL && timeout[0] == 0 && timeout[1] == 0)
        least = 0;
    flush(made, least); /* 0: those of POLL */
    n = make_it(made);
    for (long i = 0; i < n; i++)
        put_back(&events[i]);
    if (n == 0 && least == 0 && !idle)
        flush(made, 1);
    return n;
}

long long late_cancel(struct made *made)
{
    if (late)
        flush(made, LONG_MAX);
    for (struct late *request = queue; request; request = request->next)
        if ((long)request->original == made->args[1]) {
            made->args[1] = (long)request->shown;
            break;
        }
    return make_it(made);
}

long long late_destroy(struct made *made)
{
    if (late)
        flush(made, LONG_MAX);
    torment_destroy(made->args[0]);
    return make_it(made);
}

/* ---- Waits that are not for events only ---- */

long long late_poll(struct made *made)
{
    if (late) {
        if (stall)
            usleep(50000);
        stall = 0;
        flush(made, 1);
    }
    return make_it(made);
}

long long late_epoll(struct made *made)
{
    long timeout = made->args[3];
    long long n;

    if (idle) { /* what is there comes first, */
        made->args[3] = 0;
        n = make_it(made);
        made->args[3] = timeout;
        if ((int)n != 0)
            return n;
        n = make_it(made); /* then what will be */
        idle = (int)n == -1;
        if ((int)n != 0)
            return n;
    }
    return late_poll(made);
}

/* Is it a file? Then nobody waits. */
static int is_regular(long fd)
{
    uint16_t stx[128]; /* struct statx; word 14 is the mode */

    return raw(SYS_statx, fd, (long)"", (long)AT_EMPTY_PATH, 1L, (long)stx) ==
               0 &&
           (stx[14] & 0170000) == 0100000;
}

long long late_read(struct made *made)
{
    if (late && !idle && !is_regular(made->args[0]))
        flush(made, 1);
    return make_it(made);
}
