/*
 * fault.c - makes chosen calls of a program fail
 *
 * A library to preload. It stands between a program and the C library,
 * counts the calls that the program makes, and has those fail that
 * AIO_FAULT names: what a full disk, an old kernel or bad luck do, at will.
 *
 * Build:  cc -shared -fPIC -o fault.so fault.c -ldl   (the programs' own cc)
 * Usage:  AIO_FAULT='SPEC...' LD_PRELOAD=tests/helpers/fault.so PROGRAM ...
 *
 * AIO_FAULT holds specs with blanks between, each CALL@WHEN=WHAT:
 *
 *     CALL  a function of the table below, or a system call made with
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
 *           kill=N: signal N comes, ahead of the call
 *
 *     AIO_FAULT='io_submit@2=EAGAIN'              once, the second time
 *     AIO_FAULT='io_submit@*=short=1'             only one request a call
 *     AIO_FAULT='io_getevents@1=res=-EIO'         a disk that is dying
 *     AIO_FAULT='open:direct@*=EINVAL fsync@1=EIO'
 *
 * A spec that makes no sense ends the program at once: one line on stderr,
 * status 99. With AIO_FAULT_LOG=FILE a line `CALL COUNT` for each call that
 * was made is appended to FILE at exit. A forked child counts on from its
 * parent's numbers, and writes lines of its own if it calls exit().
 *
 * Not seen are calls inside the C library (the writes of stdio, the threads
 * of POSIX AIO). What libraries take from malloc() does not count either.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* ---- What is counted, and what is to fail ---- */

enum { NOTHING = 0, FAIL = 1, AFTER = 2, SHORT = 4, RES = 8, BYTES = 16,
       KILL = 32 };

struct call {
    const char *name;
    int kinds;                  /* SHORT, RES and BYTES, if it knows them */
    atomic_ulong count;
};

struct fault {
    struct call *call;
    unsigned long first, last;
    int kind;
    long value;
};

/* The linker gathers pointers to all calls in a section and names its ends. */
extern struct call *__start_calls[] __attribute__((visibility("hidden")));
extern struct call *__stop_calls[] __attribute__((visibility("hidden")));
#define CALL(id, name, kinds)                                               \
    static struct call call_##id = { name, kinds, 0 };                      \
    static struct call *entry_##id                                          \
        __attribute__((section("calls"), used)) = &call_##id;

static struct fault faults[32];
static int nr_faults;
static atomic_int active;       /* after start(), until finish() */
static void *program;           /* where it is loaded */
static struct call call_uncounted;

/* Counts a call, and says what is to become of it. */
static struct fault arm(struct call *call)
{
    struct fault nothing = { call, 0, 0, NOTHING, 0 };
    unsigned long count;

    if (!active)
        return nothing;
    count = ++call->count;
    for (int i = 0; i < nr_faults; i++)
        if (faults[i].call == call && count >= faults[i].first &&
            count <= faults[i].last) {
            if (faults[i].kind != KILL)
                return faults[i];
            raise(faults[i].value);
        }
    return nothing;
}

static long at_most(const struct fault *fault, long n)
{
    return fault->kind == SHORT && n > fault->value ? fault->value : n;
}

static void change_res(const struct fault *fault, int n, long events)
{
    if (fault->kind == RES && n > 0)
        ((struct io_event *)events)->res = fault->value;
}

/*
 * What io_submit is given, made shorter, and as it was. The kernel has copied
 * it when the call returns; no program here calls it in two threads at once.
 */
static struct {
    struct iocb *iocb;
    struct iovec *segment;      /* the last one, if it has any */
    size_t nbytes, length;
} cuts[1024];
static int nr_cuts;

static void cut(const struct fault *fault, long nr, long list)
{
    struct iocb **iocbs = (void *)list;

    if (fault->kind != BYTES)
        return;
    for (nr_cuts = 0; nr_cuts < nr && nr_cuts < 1024; nr_cuts++) {
        struct iocb *iocb = iocbs[nr_cuts];
        struct iovec *segment = (void *)(uintptr_t)iocb->aio_buf;
        size_t left = fault->value;

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

/* Where the program or the library is loaded that the address lies in. */
static void *object_of(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

/* ---- How a function is made ---- */

/*
 * All arguments are numbers and pointers, each a long or two. So a function
 * need not know what it is given: it takes as many longs as the longest
 * list needs and passes them on. Those that the caller did not fill are
 * rubbish that nobody looks at. C does not promise that this works, but the
 * calling conventions of Linux do. In C the functions go by names of their
 * own, for the headers declare them otherwise.
 */
#define PARAMETERS long a, long b, long c, long d, long e, long f, long g
#define ARGUMENTS a, b, c, d, e, f, g
typedef long long function(PARAMETERS);

/* The real function, in the library behind this one. */
static function *find(const char *name)
{
    static _Thread_local int busy;
    void *found;

    if (busy)                   /* an old dlsym() calls calloc(), and can */
        return NULL;            /* do without */
    busy = 1;
    found = dlsym(RTLD_NEXT, name);
    busy = 0;
    if (found == NULL) {
        dprintf(STDERR_FILENO, "fault.so: there is no %s\n", name);
        _exit(99);
    }
    return (function *)(uintptr_t)found;
}

/*
 * A function's name, the call it counts as, what it returns on failure, and
 * what is to be done ahead of the real call and behind it.
 */
#define FUNCTION(in_c, name, id, failure, ahead, behind)                    \
    long long in_c(PARAMETERS) __asm__(name);                               \
    long long in_c(PARAMETERS)                                              \
    {                                                                       \
        static function *_Atomic next;                                      \
        struct fault fault = arm(&call_##id);                               \
        long long result;                                                   \
                                                                            \
        if (next == NULL)                                                   \
            next = find(name);                                              \
        if (next == NULL)                                                   \
            return 0;                                                       \
        ahead;                                                              \
        if (fault.kind == FAIL)                                             \
            return failure;                                                 \
        if (fault.kind == SHORT && fault.value == 0)                        \
            return 0;                                                       \
        result = next(ARGUMENTS);                                           \
        behind;                                                             \
        if (fault.kind == AFTER)                                            \
            return failure;                                                 \
        return result;                                                      \
    }

/* The ways to fail; MAP_FAILED and SIG_ERR are -1 as well. */
#define MINUS_1 (errno = fault.value, -1)
#define ZERO (errno = fault.value, 0)
#define RETURNED fault.value
#define NEGATIVE -fault.value

/*
 * Plain functions, by the way they fail. ALSO is another name of one, made
 * by a header or left from an older C library; INT64 has such a one for
 * large files. (Some of these are macros: ## and # keep them as they are.)
 */
#define INT(name) CALL(name, #name, 0) ALSO(name, name, MINUS_1)
#define INT64(name) INT(name) ALSO(name, name##64, MINUS_1)
#define POINTER(name) CALL(name, #name, 0) ALSO(name, name, ZERO)
#define NUMBER(name) CALL(name, #name, 0) ALSO(name, name, RETURNED)
#define ALSO(id, other, failure)                                            \
    FUNCTION(fault_##other, #other, id, failure, , )

/* Parameter c is a size or count, which can be made smaller. */
#define SIZED(name) CALL(name, #name, SHORT) ALSO_SIZED(name, name)
#define ALSO_SIZED(id, other)                                               \
    FUNCTION(fault_##other, #other, id, MINUS_1, c = at_most(&fault, c), )

/* short=0 is a wait in which nothing has happened. */
#define WAIT(name) CALL(name, #name, SHORT) ALSO(name, name, MINUS_1)

/* Memory counts only if the program itself makes the call. */
#define MEMORY(name, failure)                                               \
    CALL(name, #name, 0)                                                    \
    FUNCTION(fault_##name, #name, uncounted, failure,                       \
             if (active && object_of(__builtin_return_address(0)) == program) \
                 fault = arm(&call_##name), )

/* Opens with O_DIRECT count twice. */
#define OPEN(other, flags)                                                  \
    FUNCTION(fault_##other, #other, open, MINUS_1,                          \
             if (flags & O_DIRECT) arm_direct(&fault), )

/* F_GETFD is how all programs ask at their start what is open: not counted. */
#define FCNTL(other)                                                        \
    FUNCTION(fault_##other, #other, uncounted, MINUS_1,                     \
             if (b != F_GETFD) fault = arm(&call_fcntl), )

CALL(fcntl, "fcntl", 0)
CALL(open, "open", 0)
CALL(open_direct, "open:direct", 0)

static void arm_direct(struct fault *fault)
{
    struct fault direct = arm(&call_open_direct);

    if (fault->kind == NOTHING)
        *fault = direct;
}

/* ---- The table ---- */

/* Files. */
OPEN(open, b) OPEN(open64, b) OPEN(__open_2, b) OPEN(__open64_2, b)
OPEN(openat, c) OPEN(openat64, c) OPEN(__openat_2, c) OPEN(__openat64_2, c)
SIZED(read) ALSO_SIZED(read, __read_chk)
SIZED(write)
SIZED(pread) ALSO_SIZED(pread, pread64)
ALSO_SIZED(pread, __pread_chk) ALSO_SIZED(pread, __pread64_chk)
SIZED(pwrite) ALSO_SIZED(pwrite, pwrite64)
INT64(stat) ALSO(stat, __xstat, MINUS_1) ALSO(stat, __xstat64, MINUS_1)
INT64(fstat) ALSO(fstat, __fxstat, MINUS_1) ALSO(fstat, __fxstat64, MINUS_1)
INT64(preadv) INT64(pwritev) INT64(ftruncate) INT64(fallocate) INT64(lseek)
INT64(fstatfs) INT64(statfs) INT64(mkstemp) INT64(mkostemp)
FCNTL(fcntl) FCNTL(fcntl64)
NUMBER(posix_fallocate) ALSO(posix_fallocate, posix_fallocate64, RETURNED)
POINTER(readdir) ALSO(readdir, readdir64, ZERO)
POINTER(fopen) ALSO(fopen, fopen64, ZERO)
POINTER(opendir) POINTER(fdopen) POINTER(isatty) /* 0 is its no */
INT(close) INT(dup) INT(fsync) INT(fdatasync) INT(ioctl)
INT(rename) INT(renameat2) INT(link) INT(unlink) INT(mkfifo) INT(fchmod)
INT(fchown) INT(closedir) INT(fclose) INT(fflush)

/* Memory. */
MEMORY(malloc, ZERO) MEMORY(calloc, ZERO) MEMORY(realloc, ZERO)
MEMORY(aligned_alloc, ZERO) MEMORY(posix_memalign, RETURNED)
INT64(mmap) INT(munmap) INT(mincore) POINTER(strdup)

/* Events. */
SIZED(epoll_wait)
INT(epoll_create1) INT(epoll_ctl) WAIT(poll) WAIT(ppoll) INT(eventfd)
INT(timerfd_create) INT(timerfd_settime) INT(pipe) INT(pipe2) INT(socketpair)

/* Processes, signals, time. */
INT(fork) INT(waitpid) INT(kill) INT(raise) INT(signal) INT(sigaction)
INT(sigprocmask) INT(signalfd) INT(sigwaitinfo) INT(sigtimedwait)
NUMBER(sigwait) INT(setitimer) INT(nanosleep) NUMBER(clock_nanosleep)
INT(clock_gettime) INT(getrandom)

/* Threads. */
NUMBER(pthread_create) NUMBER(pthread_join) NUMBER(pthread_kill)
NUMBER(pthread_sigmask) NUMBER(pthread_mutex_lock)
NUMBER(pthread_mutex_unlock) NUMBER(pthread_cond_wait)
NUMBER(pthread_cond_timedwait) NUMBER(pthread_cond_signal)
NUMBER(pthread_cond_broadcast)
INT(sem_init) INT(sem_wait) INT(sem_timedwait) INT(sem_post) INT(sem_destroy)

/* POSIX AIO. aio_error() returns a request's error, and so does its fault. */
NUMBER(aio_error) ALSO(aio_error, aio_error64, RETURNED)
INT64(aio_read) INT64(aio_write) INT64(aio_fsync) INT64(aio_suspend)
INT64(aio_cancel) INT64(lio_listio)
CALL(aio_return, "aio_return", SHORT)
FUNCTION(fault_aio_return, "aio_return", aio_return, MINUS_1, ,
         result = at_most(&fault, result))
FUNCTION(fault_aio_return64, "aio_return64", aio_return, MINUS_1, ,
         result = at_most(&fault, result))

/* Linux AIO, as libaio has it ... */
CALL(io_setup, "io_setup", 0)
CALL(io_destroy, "io_destroy", 0)
CALL(io_submit, "io_submit", SHORT | BYTES)
CALL(io_getevents, "io_getevents", SHORT | RES)
CALL(io_pgetevents, "io_pgetevents", SHORT | RES)
CALL(io_cancel, "io_cancel", 0)
CALL(io_uring_setup, "io_uring_setup", 0)
CALL(io_uring_enter, "io_uring_enter", SHORT)
CALL(statx, "statx", 0)
ALSO(io_setup, io_setup, NEGATIVE)
ALSO(io_destroy, io_destroy, NEGATIVE)
ALSO(io_cancel, io_cancel, NEGATIVE)
FUNCTION(fault_io_submit, "io_submit", io_submit, NEGATIVE,
         b = at_most(&fault, b); cut(&fault, b, c), mend())
FUNCTION(fault_io_getevents, "io_getevents", io_getevents, NEGATIVE,
         b = at_most(&fault, b); c = at_most(&fault, c),
         change_res(&fault, result, d))

/* ... and through syscall(), like others that a C library may lack. */
static struct fault arm_number(long number, long *c, long *d)
{
    static const struct { long number; struct call *call; } calls[] = {
        { SYS_io_setup, &call_io_setup },
        { SYS_io_destroy, &call_io_destroy },
        { SYS_io_submit, &call_io_submit },
        { SYS_io_getevents, &call_io_getevents },
        { SYS_io_pgetevents, &call_io_pgetevents },
        { SYS_io_cancel, &call_io_cancel },
        { SYS_io_uring_setup, &call_io_uring_setup },
        { SYS_io_uring_enter, &call_io_uring_enter },
        { SYS_statx, &call_statx },
        { SYS_renameat2, &call_renameat2 },
        { SYS_getrandom, &call_getrandom },
    };
    struct fault fault = { .kind = NOTHING };

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].number == number)
            fault = arm(calls[i].call);
    *c = at_most(&fault, *c);           /* io_submit's nr, or min_nr */
    if (number != SYS_io_submit)
        *d = at_most(&fault, *d);       /* nr of io_getevents */
    return fault;
}

/* The functions of libaio count, and not what they are made of as well. */
static int in_libaio(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) && strstr(info.dli_fname, "/libaio.so");
}

FUNCTION(fault_syscall, "syscall", uncounted, MINUS_1,
         if (!in_libaio(__builtin_return_address(0)))
             fault = arm_number(a, &c, &d);
         cut(&fault, c, d),
         mend(); change_res(&fault, result, e))

/* ---- Start: read AIO_FAULT. End: write AIO_FAULT_LOG ---- */

static void reject(const char *spec, const char *why)
{
    dprintf(STDERR_FILENO, "fault.so: AIO_FAULT: '%s': %s\n", spec, why);
    _exit(99);
}

/* A number, or the number of an error's name; -1 if it is neither. */
static long value_of(const char *text)
{
#define E(name) { #name, name }
    static const struct { const char *name; int number; } errors[] = {
        E(E2BIG), E(EACCES), E(EAGAIN), E(EBADF), E(EBUSY), E(ECANCELED),
        E(ECHILD), E(EDEADLK), E(EDQUOT), E(EEXIST), E(EFAULT), E(EFBIG),
        E(EINPROGRESS), E(EINTR), E(EINVAL), E(EIO), E(EISDIR), E(ELOOP),
        E(EMFILE), E(ENAMETOOLONG), E(ENFILE), E(ENODEV), E(ENOENT),
        E(ENOMEM), E(ENOSPC), E(ENOSYS), E(ENOTDIR), E(ENOTSUP), E(ENOTTY),
        E(ENXIO), E(EOPNOTSUPP), E(EOVERFLOW), E(EPERM), E(EPIPE), E(ERANGE),
        E(EROFS), E(ESPIPE), E(ESRCH), E(ETIMEDOUT), E(ETXTBSY), E(EXDEV),
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
    static const struct { const char *prefix; int kind; long sign; } kinds[] = {
        { "after=", AFTER, 1 }, { "short=", SHORT, 1 },
        { "bytes=", BYTES, 1 }, { "res=-", RES, -1 }, { "res=", RES, 1 },
        { "kill=", KILL, 1 }, { "", FAIL, 1 },
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
        if (!strcmp(name, (*call)->name))
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
        reject(spec, "WHAT is no errno, after=, short=, bytes=, res= or kill=");
    fault.value = kinds[i].sign * value_of(value);
    fault.kind = kinds[i].kind;
    if (fault.kind & (SHORT | RES | BYTES) & ~fault.call->kinds)
        reject(spec, "that call cannot do that");
    faults[nr_faults++] = fault;
}

__attribute__((constructor)) static void start(void)
{
    static char specs[4096];
    const char *text = getenv("AIO_FAULT");

    program = object_of((void *)(uintptr_t)getauxval(AT_ENTRY));
    if (text != NULL) {
        if (snprintf(specs, sizeof(specs), "%s", text) >= (int)sizeof(specs))
            reject(text, "too long");
        for (char *s = strtok(specs, " \n"); s; s = strtok(NULL, " \n"))
            add_fault(s);
    }
    active = 1;
}

__attribute__((destructor)) static void finish(void)
{
    const char *path = getenv("AIO_FAULT_LOG");
    FILE *log;

    active = 0;
    if (path == NULL || (log = fopen(path, "a")) == NULL)
        return;
    for (struct call **call = __start_calls; call < __stop_calls; call++)
        if ((*call)->count > 0)
            fprintf(log, "%s %lu\n", (*call)->name, (*call)->count);
    fclose(log);
}
