/*
 * fault.c - makes chosen calls of a program fail
 *
 * A part of fault.so. It counts the calls that the program makes, and has
 * those fail that AIO_FAULT names: what a full disk, an old kernel or bad
 * luck do, at will.
 *
 * AIO_FAULT holds specs with blanks between, each CALL@WHEN=WHAT:
 *
 *     CALL  a function of the table in preload.c, or a system call made with
 *           syscall(): io_submit, statx ... `open` is openat too;
 *           `open:direct` is only those of them with O_DIRECT
 *     WHEN  N: the Nth call, from 1; N+: that and all later ones; *: all
 *     WHAT  an errno by name or number: the call is not made and fails in
 *           its own way (-1, NULL ... and errno, or the number returned)
 *           after=ERRNO: the call is made, and then reported to have failed
 *           short=N: the call is made for at most N bytes, requests or
 *           events; short=0 makes none and returns 0; aio_return is made
 *           for all, and returns no more than N
 *           bytes=N: io_submit is made, with requests to read or write at
 *           most N bytes each; the program finds its requests as they were
 *           res=N, res=-ERRNO: io_getevents is made, then `res` of the
 *           first event is changed to that
 *           last=-ERRNO: the same for the last event of that call
 *           full=ERRNO: io_submit fails until the next io_getevents
 *           kill=N, then=N: signal N comes, ahead of the call, or behind it
 *           empty=ERRNO: of io_getevents, only if the ring is empty: so says
 *           the kernel EINTR, never with events at hand
 *           over=ERRNO: that is what aio_error, aio_return and lio_listio
 *           with LIO_WAIT say of requests that are over
 *
 *     AIO_FAULT='io_submit@2=EAGAIN'              once, the second time
 *     AIO_FAULT='io_submit@*=short=1'             only one request a call
 *     AIO_FAULT='io_getevents@1=res=-EIO'         a disk that is dying
 *     AIO_FAULT='open:direct@*=EINVAL fsync@1=EIO'
 *
 * A spec that makes no sense ends the program at once: one line on stderr,
 * status 99. With AIO_FAULT_LOG=FILE a line `CALL COUNT` for each call that
 * was made is appended to FILE at exit. A forked child counts on from its
 * parent's numbers, and writes lines of its own if it calls exit(). What
 * libraries take from malloc() does not count. With AIO_WATCH as well,
 * `io_submit:cached` is how many transfers were taken by descriptors without
 * O_DIRECT.
 *
 * A file can also be said to be elsewhere:
 *
 *     AIO_DIOALIGN='MEMORY OFFSET'     statx() says that these are the rules
 *                                      for O_DIRECT
 */
#define _GNU_SOURCE
#include "preload.h"
#include <aio.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

struct fault {
    struct call *call;
    unsigned long first, last;
    int kind;
    long value;
};

static struct fault faults[32];
static int nr_faults;
static atomic_int active; /* after fault_start(), until fault_end() */
static atomic_int full;   /* the errno with which io_submit() fails */

/* Are there events in the ring of this context? */
static int events_at(long ctx)
{
    const unsigned *ring = (void *)ctx; /* id, nr, head, tail, magic */

    return ring != NULL && ring[4] == 0xa10a10a1 &&
           __atomic_load_n(&ring[3], __ATOMIC_ACQUIRE) != ring[2];
}

/* Counts a call, and says what is to become of it. */
void fault_arm(struct made *made, struct call *call)
{
    unsigned long count;

    if (!active)
        return;
    count = ++call->count;
    if (call->kinds & LAST)
        full = 0;
    if (full && (call->kinds & FULL)) {
        made->fault = FAIL;
        made->value = full;
        return;
    }
    for (int i = 0; i < nr_faults && made->fault == 0; i++) {
        const struct fault *fault = &faults[i];

        if (fault->call != call || count < fault->first || count > fault->last)
            continue;
        if (fault->kind == KILL) {
            raw(SYS_tgkill, getpid(), raw(SYS_gettid), fault->value);
            continue;
        }
        if (fault->kind == EMPTY && events_at(made->args[0]))
            continue;
        if (fault->kind == FULL)
            full = (int)fault->value;
        made->fault = fault->kind & (EMPTY | FULL) ? FAIL : fault->kind;
        made->value = fault->value;
    }
    if (call == &call_open && (made->args[made->at] & O_DIRECT))
        fault_arm(made, &call_open_direct);
}

long long fault_failure(struct made *made)
{
    switch (made->fails) {
    case RETURNED:
        return made->value;
    case NEGATIVE:
        return -made->value;
    case NULL_POINTER:
        errno = made->value;
        return 0;
    default:
        errno = made->value;
        return -1;
    }
}

/*
 * What io_submit is given, made shorter, and as it was. The kernel has copied
 * it when the call returns; no program here calls it in two threads at once.
 */
static struct {
    struct iocb *iocb;
    struct iovec *segment; /* the last one, if it has any */
    size_t nbytes, length;
} cuts[1024];
static int nr_cuts;

static void cut(long nr, struct iocb **iocbs, size_t most)
{
    for (nr_cuts = 0; nr_cuts < nr && nr_cuts < 1024; nr_cuts++) {
        struct iocb *iocb = iocbs[nr_cuts];
        struct iovec *segment = (void *)(uintptr_t)iocb->aio_buf;
        size_t left = most;

        cuts[nr_cuts].iocb = iocb;
        cuts[nr_cuts].nbytes = iocb->aio_nbytes;
        cuts[nr_cuts].segment = NULL;
        switch (iocb->aio_lio_opcode) {
        case IOCB_CMD_PREAD:
        case IOCB_CMD_PWRITE:
            if (iocb->aio_nbytes > left)
                iocb->aio_nbytes = left;
            break;
        case IOCB_CMD_PREADV:
        case IOCB_CMD_PWRITEV:
            for (size_t i = 0; i < cuts[nr_cuts].nbytes; i++, segment++) {
                if (segment->iov_len >= left) {
                    cuts[nr_cuts].segment = segment;
                    cuts[nr_cuts].length = segment->iov_len;
                    segment->iov_len = left;
                    iocb->aio_nbytes = i + 1;
                    break;
                }
                left -= segment->iov_len;
            }
        }
    }
}

static void mend(void)
{
    while (nr_cuts > 0) {
        nr_cuts--;
        cuts[nr_cuts].iocb->aio_nbytes = cuts[nr_cuts].nbytes;
        if (cuts[nr_cuts].segment != NULL)
            cuts[nr_cuts].segment->iov_len = cuts[nr_cuts].length;
    }
}

static void shorten(const struct made *made, long *argument)
{
    if (*argument > made->value)
        *argument = made->value;
}

void fault_ahead(struct made *made)
{
    if (made->fault == BYTES)
        cut(made->args[1], (struct iocb **)made->args[2], made->value);
    if (made->fault == SHORT && made->at > 0)
        shorten(made, &made->args[made->at]);
    if (made->fault == SHORT && made->call->waits_at > 0)
        shorten(made, &made->args[made->call->waits_at]);
}

void fault_behind(struct made *made)
{
    if (made->fault == BYTES)
        mend();
    if ((made->fault == RES || made->fault == LAST) && made->result > 0) {
        struct io_event *event = (struct io_event *)made->args[3];

        event += made->fault == LAST ? made->result - 1 : 0;
        if (torment_fails(event))
            event->res = made->value;
    }
    if (made->fault == OVER &&
        !(made->call == &call_aio_error && made->result == EINPROGRESS) &&
        !(made->call == &call_lio_listio && made->args[0] != LIO_WAIT)) {
        made->result = fault_failure(made);
        made->error = errno;
    }
    if (made->fault == SHORT && made->call == &call_aio_return &&
        made->result > made->value)
        made->result = made->value;
    if (made->fault == THEN)
        raw(SYS_tgkill, getpid(), raw(SYS_gettid), made->value);
}

/* ---- Another filesystem ---- */

/* struct statx of the kernel, as far as needed: not every libc's has it all. */
struct kernel_statx {
    uint32_t mask, others[37];
    uint32_t dio_mem_align, dio_offset_align;
    uint32_t more[24];
};

long long other_statx(struct made *made)
{
    const char *rules = getenv("AIO_DIOALIGN");
    struct kernel_statx *stx = (void *)made->args[4];

    if (rules == NULL)
        return make_it(made);
    memset(stx, 0, sizeof(*stx));
    stx->mask = 0x2000; /* STATX_DIOALIGN */
    sscanf(rules, "%u %u", &stx->dio_mem_align, &stx->dio_offset_align);
    return 0;
}

/* ---- Start: read AIO_FAULT. End: write AIO_FAULT_LOG ---- */

static void reject(const char *spec, const char *why)
{
    dprintf(STDERR_FILENO, "fault.so: AIO_FAULT: '%s': %s\n", spec, why);
    _exit(99);
}

/* A number, or the number of an error's name; -1 if it is neither. */
static long value_of(const char *text)
{
#define E(name)                                                                \
    {                                                                          \
#name, name                                                            \
    }
    static const struct {
        const char *name;
        int number;
    } errors[] = {
        E(E2BIG),     E(EACCES),       E(EAGAIN),  E(EBADF),       E(EBUSY),
        E(ECANCELED), E(ECHILD),       E(EDEADLK), E(EDQUOT),      E(EEXIST),
        E(EFAULT),    E(EFBIG),        E(EINTR),   E(EINPROGRESS), E(EINVAL),
        E(EIO),       E(EISDIR),       E(ELOOP),   E(EMFILE),      E(ENOENT),
        E(ENFILE),    E(ENAMETOOLONG), E(ENODEV),  E(ENOMEM),      E(ENOSPC),
        E(ENOSYS),    E(ENOTDIR),      E(ENOTSUP), E(ENOTTY),      E(ENXIO),
        E(EOVERFLOW), E(EOPNOTSUPP),   E(EPERM),   E(EPIPE),       E(ERANGE),
        E(EROFS),     E(ESPIPE),       E(ESRCH),   E(ETIMEDOUT),   E(ETXTBSY),
        E(EXDEV),
    };
    char *end;
    long n;

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!strcmp(text, errors[i].name))
            return errors[i].number;
    n = strtol(text, &end, 10);
    return isdigit((unsigned char)*text) && *end == '\0' ? n : -1;
}

static void add_fault(const char *spec)
{
    static const struct {
        const char *prefix;
        int kind;
        long sign;
    } kinds[] = {
        { "after=", AFTER, 1 }, { "short=", SHORT, 1 }, { "bytes=", BYTES, 1 },
        { "res=-", RES, -1 },   { "res=", RES, 1 },     { "kill=", KILL, 1 },
        { "then=", THEN, 1 },   { "last=-", LAST, -1 }, { "full=", FULL, 1 },
        { "empty=", EMPTY, 1 }, { "over=", OVER, 1 },   { "", FAIL, 1 },
    };
    struct fault fault = { NULL, 1, ULONG_MAX, 0, 0 };
    char name[32], when[16], what[32], more;
    const char *value;
    int i = 0;

    if (nr_faults == 32)
        reject(spec, "one too many");
    if (sscanf(spec, "%31[^@]@%15[^=]=%31s%c", name, when, what, &more) != 3)
        reject(spec, "not CALL@WHEN=WHAT");

    for (struct call **call = __start_calls; call < __stop_calls; call++)
        if (!strcmp(name, (*call)->name) && !((*call)->kinds & UNCOUNTED))
            fault.call = *call;
    if (fault.call == NULL)
        reject(spec, "no such call");

    if (strcmp(when, "*")) {
        more = when[strlen(when) - 1] == '+';
        if (more)
            when[strlen(when) - 1] = '\0';
        if (value_of(when) < 1)
            reject(spec, "WHEN is not N, N+ or *");
        fault.first = value_of(when);
        fault.last = more ? ULONG_MAX : fault.first;
    }

    while (strncmp(what, kinds[i].prefix, strlen(kinds[i].prefix)))
        i++;
    value = what + strlen(kinds[i].prefix);
    if (value_of(value) < 0)
        reject(spec, "WHAT is no errno, after=, short=, bytes=, res=, last=, "
                     "full=, kill=, then=, empty= or over=");
    fault.value = kinds[i].sign * value_of(value);
    fault.kind = kinds[i].kind;
    if (fault.kind & (SHORT | RES | BYTES | OVER | LAST | FULL) &
        ~fault.call->kinds)
        reject(spec, "that call cannot do that");
    faults[nr_faults++] = fault;
}

/* From the start on: some servers write over their environment. */
static char log_path[4096];

void fault_start(void)
{
    static char specs[4096];
    const char *text = getenv("AIO_FAULT"), *path = getenv("AIO_FAULT_LOG");

    if (path != NULL && strlen(path) < sizeof(log_path))
        strcpy(log_path, path);

    if (text != NULL) {
        if (strlen(text) >= sizeof(specs))
            reject(text, "too long");
        strcpy(specs, text);
        for (char *s = strtok(specs, " \n"); s; s = strtok(NULL, " \n"))
            add_fault(s);
    }
    active = 1;
}

void fault_end(void)
{
    FILE *log;

    active = 0;
    if (log_path[0] == '\0' || (log = fopen(log_path, "a")) == NULL)
        return;
    for (struct call **call = __start_calls; call < __stop_calls; call++)
        if ((*call)->count > 0)
            fprintf(log, "%s %lu\n", (*call)->name, (*call)->count);
    fclose(log);
}
