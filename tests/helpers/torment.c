/*
 * torment.c - notes what a program does with requests that are in flight
 *
 * A part of fault.so, for tests/tools/torture. With AIO_TORMENT=FILE these
 * lines are appended to FILE:
 *
 *     changed WHAT       the buffer of a request in flight was changed
 *     freed WHAT         ... or freed, or unmapped
 *     twice WHAT         the same request was submitted again in flight
 *     failed             an event says res=-ERRNO, as AIO_FAULT wants it
 *     end requests=N events=N left=N contexts=N most=N batch=N largest=N
 *         busy=N
 *                        at exit: how many; what was left in flight (POLL
 *                        does not count), or not destroyed; how many were in
 *                        flight at most; the longest list, the most bytes; and
 *                        the first io_submit with others in flight (0: none)
 *
 * WHAT is the request: pwrite 4096@8192, say. A change is noticed by a sum
 * over the buffer, at submission and when its event is in the ring; with
 * AIO_LATE also right before the kernel gets the request, so for reads as
 * well. Events are looked for in the ring itself: that is right for programs
 * that reap without a call, and for libaio's own loops.
 */
#define _GNU_SOURCE
#include "preload.h"
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CONTEXTS = 256, BYTES_AT_ONCE = 16384 };

/* A request in flight, as it was when it was submitted. */
struct entry {
    struct iocb iocb;
    struct iovec *segments;
    int nr_segments;
    aio_context_t ctx;
    uintptr_t obj, copy; /* one of these the event will say */
    uint64_t sum;
    int told; /* noted already */
    struct entry *next;
};

struct ring {
    unsigned id, nr, head, tail;
    unsigned magic, compat_features, incompat_features, header_length;
};

static int out = -1;
static struct entry *entries;
static struct {
    aio_context_t ctx;
    unsigned seen; /* events before that one are known */
} contexts[CONTEXTS];
static long submits, requests, events, left, in_flight, most, batch, busy_at;
static unsigned long long largest;
static long owner; /* the process that does it: a child does not count */
static atomic_flag busy = ATOMIC_FLAG_INIT;

static __thread int inside __attribute__((tls_model("initial-exec")));

static void lock(void)
{
    while (atomic_flag_test_and_set(&busy))
        sched_yield();
    inside = 1; /* our own free() is not the program's */
}

static void unlock(void)
{
    inside = 0;
    atomic_flag_clear(&busy);
}

static void say(const char *text)
{
    raw(SYS_write, (long)out, (long)text, (long)strlen(text));
}

static void tell(const char *what, struct entry *entry)
{
    static const char *const names[] = { "pread",  "pwrite", "fsync",
                                         "fdsync", "?",      "poll",
                                         "?",      "preadv", "pwritev" };
    char line[120];
    unsigned long long bytes = 0;

    if (entry->told)
        return;
    entry->told = 1;
    for (int i = 0; i < entry->nr_segments; i++)
        bytes += entry->segments[i].iov_len;
    print(line, sizeof(line), "%s %s %llu@%lld\n", what,
          names[entry->iocb.aio_lio_opcode % 9], bytes,
          (long long)entry->iocb.aio_offset);
    say(line);
}

/* Of all bytes of the buffers (FNV-1a); 0 if they cannot be read. */
static uint64_t sum(const struct entry *entry)
{
    uint64_t hash = 0xcbf29ce484222325;
    char bytes[BYTES_AT_ONCE];

    for (int i = 0; i < entry->nr_segments; i++)
        for (size_t at = 0; at < entry->segments[i].iov_len;) {
            struct iovec here = { bytes, sizeof(bytes) };
            struct iovec there = { (char *)entry->segments[i].iov_base + at,
                                   entry->segments[i].iov_len - at };
            long n;

            /* Not memcpy(): the memory may be gone. */
            if (there.iov_len > here.iov_len)
                there.iov_len = here.iov_len;
            n = raw(SYS_process_vm_readv, (long)getpid(), (long)&here, 1L,
                    (long)&there, 1L, 0L);
            if (n <= 0)
                return 0;
            for (long j = 0; j < n; j++)
                hash = (hash ^ (unsigned char)bytes[j]) * 0x100000001b3;
            at += n;
        }
    return hash + (hash == 0);
}

static void check(struct entry *entry)
{
    uint64_t now = entry->sum == 0 ? 0 : sum(entry);

    if (entry->sum != 0 && now == 0)
        tell("freed", entry);
    else if (now != entry->sum)
        tell("changed", entry);
}

static int writes(const struct entry *entry)
{
    return entry->iocb.aio_lio_opcode == IOCB_CMD_PWRITE ||
           entry->iocb.aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static void drop(struct entry **at)
{
    struct entry *entry = *at;

    *at = entry->next;
    in_flight--;
    free(entry->segments);
    free(entry);
}

/* What is done by now, whether or not the program has reaped it. Locked. */
static void look(void)
{
    for (int i = 0; i < CONTEXTS; i++) {
        struct ring *ring = (void *)(uintptr_t)contexts[i].ctx;
        struct io_event *all;

        if (ring == NULL || ring->magic != 0xa10a10a1)
            continue;
        all = (void *)((char *)ring + ring->header_length);
        for (; contexts[i].seen !=
               __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) % ring->nr;
             contexts[i].seen = (contexts[i].seen + 1) % ring->nr) {
            struct io_event *event = &all[contexts[i].seen];
            struct entry **at = &entries;

            events++;
            while (*at != NULL &&
                   ((*at)->ctx != contexts[i].ctx ||
                    ((*at)->obj != event->obj && (*at)->copy != event->obj) ||
                    (*at)->iocb.aio_data != event->data))
                at = &(*at)->next;
            if (*at == NULL)
                continue;
            if (writes(*at))
                check(*at);
            drop(at);
        }
    }
}

/* Events that are in the ring and that nobody has taken out. */
static long unread(aio_context_t ctx)
{
    struct ring *ring = (void *)(uintptr_t)ctx;

    if (ring == NULL || ring->magic != 0xa10a10a1)
        return 0;
    return (ring->tail + ring->nr - ring->head) % ring->nr;
}

void torment_start(void)
{
    const char *path = getenv("AIO_TORMENT");
    long fd;

    if (path == NULL)
        return;
    fd = raw(SYS_openat, (long)AT_FDCWD, (long)path,
             (long)(O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC), 0666L);
    out = (int)raw(SYS_fcntl, fd, (long)F_DUPFD_CLOEXEC, 400L);
    if (out == -1)
        out = (int)fd;
    else
        raw(SYS_close, fd);
}

void torment_end(void)
{
    char line[240];
    int nr = 0;

    if (out == -1 || owner != getpid())
        return;
    lock();
    look();
    for (struct entry *entry = entries; entry; entry = entry->next)
        left += entry->iocb.aio_lio_opcode != IOCB_CMD_POLL;
    for (int i = 0; i < CONTEXTS; i++) {
        nr += contexts[i].ctx != 0;
        left += unread(contexts[i].ctx);
    }
    print(line, sizeof(line),
          "end requests=%ld events=%ld left=%ld contexts=%d most=%ld "
          "batch=%ld largest=%llu busy=%ld\n",
          requests, events, left, nr, most, batch, largest, busy_at);
    say(line);
    unlock();
}

void torment_setup(struct made *made)
{
    if (out == -1 || made->result != 0)
        return;
    lock();
    owner = getpid();
    for (int i = 0; i < CONTEXTS; i++)
        if (contexts[i].ctx == 0) {
            contexts[i].ctx = *(unsigned long *)made->args[1];
            contexts[i].seen = 0;
            break;
        }
    unlock();
}

/* Ahead of io_destroy(): afterwards there is no ring to look at. */
void torment_destroy(aio_context_t ctx)
{
    if (out == -1)
        return;
    lock();
    look();
    for (int i = 0; i < CONTEXTS; i++)
        if (contexts[i].ctx == ctx) {
            left += unread(ctx);
            contexts[i].ctx = 0;
        }
    for (struct entry **at = &entries; *at != NULL;) {
        if ((*at)->ctx != ctx) {
            at = &(*at)->next;
            continue;
        }
        left += (*at)->iocb.aio_lio_opcode != IOCB_CMD_POLL;
        drop(at);
    }
    unlock();
}

/* A request was taken. Its event will say `obj` or `copy`. */
void *torment_add(aio_context_t ctx, const struct iocb *iocb, const void *obj,
                  const void *copy)
{
    struct entry *new;
    int vectored = iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
                   iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
    int nr = vectored ? (int)iocb->aio_nbytes : 1;

    if (out == -1 || owner != getpid())
        return NULL;
    new = calloc(1, sizeof(*new));
    if (new == NULL)
        return NULL;
    new->segments = calloc(nr + 1, sizeof(struct iovec));
    if (new->segments == NULL) {
        free(new);
        return NULL;
    }
    new->iocb = *iocb;
    new->ctx = ctx;
    new->obj = (uintptr_t)obj;
    new->copy = (uintptr_t)copy;
    if (vectored)
        memcpy(new->segments, (void *)(uintptr_t)iocb->aio_buf,
               nr * sizeof(struct iovec));
    else if (iocb->aio_lio_opcode <= IOCB_CMD_PWRITE)
        new->segments[0] = (struct iovec){ (void *)(uintptr_t)iocb->aio_buf,
                                           iocb->aio_nbytes };
    else
        nr = 0;
    new->nr_segments = nr;
    for (int i = 0; i < nr; i++)
        if (new->segments[i].iov_len > largest)
            largest = new->segments[i].iov_len;
    new->sum = sum(new);

    lock();
    look();
    requests++;
    for (struct entry *entry = entries; entry; entry = entry->next)
        if (entry->iocb.aio_lio_opcode == iocb->aio_lio_opcode && nr > 0 &&
            entry->iocb.aio_fildes == iocb->aio_fildes &&
            entry->iocb.aio_buf == iocb->aio_buf &&
            entry->iocb.aio_nbytes == iocb->aio_nbytes &&
            entry->iocb.aio_offset == iocb->aio_offset &&
            entry->iocb.aio_data == iocb->aio_data)
            tell("twice", new);
    if (++in_flight > most)
        most = in_flight;
    new->next = entries;
    entries = new;
    unlock();
    return new;
}

/* Ahead of each io_submit(). */
void torment_before_submit(struct made *made)
{
    if (out == -1 || owner != getpid())
        return;
    submits++;
    lock();
    look();
    if (in_flight > 0 && busy_at == 0)
        busy_at = submits;
    if (made->args[1] > batch)
        batch = made->args[1];
    unlock();
}

/*
 * An io_submit() that is not late. Its requests may be done when it returns,
 * so they are noted ahead of it; what it has not taken is struck out.
 */
void torment_submit(struct made *made)
{
    struct iocb **list = (struct iocb **)made->args[2];
    long nr = out == -1 || made->args[1] < 0 ? 0 : made->args[1];
    struct entry **added = nr == 0 ? NULL : calloc(nr, sizeof(struct entry *));

    for (long i = 0; added != NULL && i < nr; i++)
        added[i] = torment_add(made->args[0], list[i], list[i], list[i]);
    made->result = make_it(made);
    lock();
    for (long i = made->result < 0 ? 0 : (long)made->result; added && i < nr;
         i++) {
        struct entry **at = &entries;

        while (*at != NULL && *at != added[i])
            at = &(*at)->next;
        if (*at != NULL) {
            requests--;
            drop(at);
        }
    }
    unlock();
    free(added);
}

/* AIO_LATE: now the kernel gets it. */
void torment_now(void *entry)
{
    if (entry != NULL)
        check(entry);
}

void torment_events(void)
{
    if (out == -1)
        return;
    lock();
    look();
    unlock();
}

/*
 * Is this event to say that something failed? Not if it does, or is one of a
 * read behind the end of the file: a program need not look at that. And a POLL
 * never fails.
 */
int torment_fails(const struct io_event *event)
{
    struct iocb iocb;
    struct iovec here = { &iocb, sizeof(iocb) };
    struct iovec there = { (void *)(uintptr_t)event->obj, sizeof(iocb) };

    if (out == -1)
        return 1;
    iocb.aio_lio_opcode = IOCB_CMD_NOOP;
    raw(SYS_process_vm_readv, (long)getpid(), (long)&here, 1L, (long)&there, 1L,
        0L);
    if (event->res < 0 || iocb.aio_lio_opcode == IOCB_CMD_POLL ||
        (event->res == 0 && (iocb.aio_lio_opcode == IOCB_CMD_PREAD ||
                             iocb.aio_lio_opcode == IOCB_CMD_PREADV)))
        return 0;
    say("failed\n");
    return 1;
}

/* Memory that the program gives back. */
void torment_free(void *memory)
{
    char *first = memory, *last;

    if (out == -1 || inside || memory == NULL || entries == NULL ||
        owner != getpid())
        return;
    last = first + malloc_usable_size(memory);
    lock();
    look();
    for (struct entry *entry = entries; entry; entry = entry->next)
        for (int i = 0; i < entry->nr_segments; i++)
            if ((char *)entry->segments[i].iov_base >= first &&
                (char *)entry->segments[i].iov_base < last)
                tell("freed", entry);
    unlock();
}
