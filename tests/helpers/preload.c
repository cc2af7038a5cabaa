/*
 * preload.c - fault.so: all that a program calls, under one's hands
 *
 * A library to preload. What it does is told by the environment, and is
 * written down where it is done: AIO_FAULT, AIO_FAULT_LOG and AIO_DIOALIGN in
 * fault.c, AIO_LATE in late.c, AIO_TRACE, AIO_WATCH and HANDLER_LOG in
 * trace.c, AIO_TORMENT in torment.c. With none of them it changes nothing.
 *
 * Build:  make tests/helpers/fault.so
 * Usage:  LD_PRELOAD=tests/helpers/fault.so AIO_...=... PROGRAM ...
 *
 * Not seen are calls inside the C library (the writes of stdio, the threads
 * of POSIX AIO). The functions of libaio are seen, and not what they are made
 * of as well. A program that asks the kernel by itself, with no function of a
 * library, is not seen at all.
 */
#define _GNU_SOURCE
#include "preload.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/auxv.h>

/*
 * Not <fcntl.h>, <stdio.h> or <unistd.h>: in some C libraries names of the
 * table are macros there.
 */
enum { FCNTL_GETFD = 1, STDERR = 2 };
int dprintf(int fd, const char *format, ...);
int vsnprintf(char *text, size_t size, const char *format, va_list args);
void _exit(int status) __attribute__((noreturn));

static void *program; /* where it is loaded */

/* ---- How a call is made ---- */

/* Where the program or the library is loaded that the address lies in. */
static void *object_of(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) ? info.dli_fbase : NULL;
}

int by_program(const void *caller)
{
    return program != NULL && object_of(caller) == program;
}

static int in_libaio(const void *address)
{
    Dl_info info;

    return dladdr(address, &info) && strstr(info.dli_fname, "/libaio.so");
}

/*
 * The real function, in a library behind this one. NULL if dlsym() itself
 * asks: old ones call calloc(), and can do without.
 */
function *find(const char *name)
{
    static _Thread_local int busy;
    void *found;

    if (busy)
        return NULL;
    busy = 1;
    found = dlsym(RTLD_NEXT, name);
    busy = 0;
    if (found == NULL) {
        dprintf(STDERR, "fault.so: there is no %s\n", name);
        _exit(99);
    }
    return (function *)(uintptr_t)found;
}

static function *real_syscall(void)
{
    static function *_Atomic real;

    if (real == NULL)
        real = find("syscall");
    return real;
}

/* A system call of the library's own, which does not count. Sets errno. */
long raw(long number, ...)
{
    long a[6];
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);
    return (long)real_syscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

void print(char *text, unsigned long size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(text, size, format, args);
    va_end(args);
}

/* Is it one of the functions that 32-bit programs with 64-bit time_t get? */
int time64(const struct made *made)
{
    return sizeof(long) == 4 && made->name[0] == '_' &&
           made->name[strlen(made->name) - 1] == '4';
}

/* The call itself, with the arguments as they are by now. */
long long make_it(struct made *made)
{
    const long *a = made->args;
    long result;

    if (made->number == -1) {
        long long n = made->real(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);

        return made->fails == NEGATIVE ? (int)n : n; /* an int is half of it */
    }
    result = (long)made->real(made->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return result == -1 ? -errno : result;
}

static long long go(struct made *made)
{
    struct call *call = made->call;
    int error = errno, counts = !(call->kinds & UNCOUNTED);

    if (call->kinds & UNSAFE)
        trace_unsafe(call->name);
    /* F_GETFD is how all programs ask at their start what is open. */
    if (call == &call_fcntl && made->args[1] == FCNTL_GETFD)
        counts = 0;
    if (call->kinds & MEMORY)
        counts = by_program(made->caller);
    if (counts)
        fault_arm(made, call);
    if (made->fault == FAIL)
        return fault_failure(made);
    if (made->fault == SHORT && made->value == 0)
        return 0;

    fault_ahead(made);
    if (call->ahead)
        call->ahead(made);
    errno = error;
    made->result = call->make ? call->make(made) : make_it(made);
    made->error = errno;
    if (call->behind)
        call->behind(made);
    fault_behind(made);
    if (made->fault == AFTER)
        return fault_failure(made);
    errno = made->error;
    return made->result;
}

/* ---- The table's words ---- */

/* The linker gathers pointers to all calls in a section and names its ends. */
#define CALL(id, text, ...)                                                    \
    struct call call_##id = { .name = text, __VA_ARGS__ };                     \
    static struct call *entry_##id                                             \
        __attribute__((section("calls"), used)) = &call_##id;

/* A function by its name, which counts as the call id. */
#define FUNCTION(function_name, id, size_at)                                   \
    long long preload_##function_name(long a, long b, long c, long d, long e,  \
                                      long f, long g) __asm__(#function_name)  \
        __attribute__((visibility("default")));                                \
    long long preload_##function_name(long a, long b, long c, long d, long e,  \
                                      long f, long g)                          \
    {                                                                          \
        static function *_Atomic real;                                         \
        struct made made = { .call = &call_##id,                               \
                             .name = #function_name,                           \
                             .number = -1,                                     \
                             .caller = __builtin_return_address(0),            \
                             .args = { a, b, c, d, e, f, g },                  \
                             .at = size_at,                                    \
                             .fails = call_##id.fails };                       \
                                                                               \
        if (real == NULL)                                                      \
            real = find(#function_name);                                       \
        made.real = real;                                                      \
        return real == NULL ? 0 : go(&made);                                   \
    }

/* One call of one name; and what calls have another, for large files. */
#define ONE(name, ...)                                                         \
    CALL(name, #name, __VA_ARGS__) FUNCTION(name, name, call_##name.at)
#define TWO(name, ...)                                                         \
    ONE(name, __VA_ARGS__) FUNCTION(name##64, name, call_##name.at)
#define ALSO(other, id) FUNCTION(other, id, call_##id.at)

/* By the way they fail. */
#define INT(name) ONE(name, .fails = MINUS_1)
#define INT64(name) TWO(name, .fails = MINUS_1)
#define POINTER(name) ONE(name, .fails = NULL_POINTER)
#define NUMBER(name) ONE(name, .fails = RETURNED)
/* Nothing for a signal handler, and without faults. */
#define UNSAFE_ONLY(name) ONE(name, .kinds = UNSAFE | UNCOUNTED)

/* ---- The table ---- */

/* Files. Opens with O_DIRECT count twice. */
CALL(open_direct, "open:direct", .fails = MINUS_1)
CALL(open, "open", .ahead = trace_open)
FUNCTION(open, open, 1)
FUNCTION(open64, open, 1)
FUNCTION(__open_2, open, 1)
FUNCTION(__open64_2, open, 1)
FUNCTION(openat, open, 2)
FUNCTION(openat64, open, 2)
FUNCTION(__openat_2, open, 2)
FUNCTION(__openat64_2, open, 2)
ONE(read, .kinds = SHORT, .at = 2, .make = late_read, .behind = trace_read)
ALSO(__read_chk, read)
ONE(write, .kinds = SHORT, .at = 2)
TWO(pread, .kinds = SHORT, .at = 2)
ALSO(__pread_chk, pread)
ALSO(__pread64_chk, pread)
TWO(pwrite, .kinds = SHORT, .at = 2)
INT64(stat)
ALSO(__xstat, stat)
ALSO(__xstat64, stat)
ALSO(__stat64_time64, stat)
INT64(fstat)
ALSO(__fxstat, fstat)
ALSO(__fxstat64, fstat)
ALSO(__fstat64_time64, fstat)
INT64(preadv)
INT64(pwritev)
INT64(ftruncate)
INT64(fallocate)
INT64(lseek)
INT64(fstatfs)
INT64(statfs)
INT64(mkstemp)
INT64(mkostemp)
INT64(fcntl)
ALSO(__fcntl_time64, fcntl)
TWO(posix_fallocate, .fails = RETURNED)
TWO(readdir, .fails = NULL_POINTER)
TWO(fopen, .fails = NULL_POINTER)
POINTER(opendir)
POINTER(fdopen)
POINTER(isatty) /* 0 is its no */
INT(close)
INT(dup)
ONE(fsync, .behind = trace_fsync)
INT(fdatasync)
INT(ioctl)
ALSO(__ioctl_time64, ioctl)
ONE(rename, .behind = trace_rename)
INT(renameat2)
INT(renameat)
INT(link)
INT(unlink)
INT(unlinkat)
INT(mkfifo)
INT(fchmod)
INT(fchown)
INT(closedir)
INT(fclose)
ONE(fflush, .kinds = UNSAFE)
INT(usleep)

/* Memory. */
#define BLOCK(name, ...) ONE(name, .kinds = MEMORY, __VA_ARGS__)
BLOCK(malloc, .fails = NULL_POINTER, .behind = trace_block)
BLOCK(calloc, .fails = NULL_POINTER, .behind = trace_block)
BLOCK(realloc, .fails = NULL_POINTER, .behind = trace_block)
BLOCK(aligned_alloc, .fails = NULL_POINTER, .behind = trace_block)
BLOCK(posix_memalign, .fails = RETURNED, .behind = trace_memalign)
ONE(strdup, .fails = NULL_POINTER, .behind = trace_block)
ONE(realpath, .fails = NULL_POINTER, .behind = trace_block)
ONE(free, .kinds = UNCOUNTED, .ahead = trace_free)
INT64(mmap)
INT(munmap)
INT(mincore)

/* Events. short=0 is a wait in which nothing has happened. */
ONE(epoll_wait, .kinds = SHORT, .at = 2, .make = late_epoll)
ONE(epoll_pwait, .kinds = SHORT, .at = 2, .make = late_epoll)
ONE(poll, .kinds = SHORT, .make = late_poll)
ALSO(__poll_chk, poll)
ONE(ppoll, .kinds = SHORT, .ahead = trace_wait, .make = late_poll)
ALSO(__ppoll_chk, ppoll)
ALSO(__ppoll64, ppoll)
ALSO(__ppoll64_chk, ppoll)
ONE(select, .kinds = SHORT, .make = late_poll)
ONE(pselect, .kinds = SHORT, .make = late_poll)
INT(epoll_create1)
INT(epoll_ctl)
INT(eventfd)
INT(timerfd_create)
ONE(timerfd_settime, .behind = trace_timerfd)
ALSO(__timerfd_settime64, timerfd_settime)
INT(pipe)
INT(pipe2)
INT(socketpair)

/* Processes, signals, time. */
INT(fork)
INT(waitpid)
INT(kill)
INT(raise)
ONE(signal, .ahead = trace_signal, .make = trace_handle_plain)
ONE(sigaction, .ahead = trace_sigaction, .make = trace_handle)
ONE(sigprocmask, .ahead = trace_sigprocmask)
INT(signalfd)
INT(sigwaitinfo)
INT(sigtimedwait)
ALSO(__sigtimedwait64, sigtimedwait)
NUMBER(sigwait)
ONE(sigsuspend, .kinds = UNCOUNTED, .ahead = trace_wait)
ONE(pause, .kinds = UNCOUNTED, .ahead = trace_wait)
ONE(setitimer, .behind = trace_setitimer)
ALSO(__setitimer64, setitimer)
INT(nanosleep)
ALSO(__nanosleep64, nanosleep)
NUMBER(clock_nanosleep)
ALSO(__clock_nanosleep_time64, clock_nanosleep)
INT(time)
ALSO(__time64, time)
INT(clock_gettime)
ALSO(__clock_gettime64, clock_gettime)
INT(getrandom)

/* Threads. */
NUMBER(pthread_create)
NUMBER(pthread_join)
NUMBER(pthread_kill)
NUMBER(pthread_sigmask)
NUMBER(pthread_mutex_lock)
NUMBER(pthread_mutex_unlock)
NUMBER(pthread_cond_wait)
NUMBER(pthread_cond_timedwait)
ALSO(__pthread_cond_timedwait64, pthread_cond_timedwait)
NUMBER(pthread_cond_signal)
NUMBER(pthread_cond_broadcast)
INT(sem_init)
INT(sem_wait)
INT(sem_timedwait)
ALSO(__sem_timedwait64, sem_timedwait)
INT(sem_post)
INT(sem_destroy)

/* POSIX AIO. aio_error() returns a request's error, and so does its fault. */
TWO(aio_error, .fails = RETURNED, .kinds = OVER, .behind = trace_aio_error)
TWO(aio_return, .kinds = SHORT | OVER, .ahead = trace_aio_return)
TWO(aio_read, .kinds = UNSAFE, .ahead = trace_aio, .behind = trace_aio_begun)
TWO(aio_write, .kinds = UNSAFE, .ahead = trace_aio)
TWO(aio_fsync, .kinds = UNSAFE, .ahead = trace_aio_fsync)
TWO(aio_cancel, .kinds = UNSAFE, .ahead = trace_aio_cancel)
TWO(lio_listio, .kinds = UNSAFE | OVER, .ahead = trace_lio_listio)
TWO(aio_suspend, .ahead = trace_aio_suspend)
ALSO(__aio_suspend_time64, aio_suspend)

/* Linux AIO as libaio has it. What else it has calls these. */
#define AIO(name, ...) ONE(name, .fails = NEGATIVE, __VA_ARGS__)
AIO(io_setup, .behind = trace_setup)
AIO(io_destroy, .make = late_destroy, .behind = trace_destroy)
AIO(io_submit, .kinds = SHORT | BYTES | FULL, .at = 1,
    .ahead = trace_before_submit, .make = late_submit, .behind = trace_submit)
AIO(io_getevents, .kinds = SHORT | RES | LAST, .at = 2, .waits_at = 1,
    .make = late_events, .behind = trace_events)
AIO(io_pgetevents, .kinds = SHORT | RES | LAST, .at = 2, .waits_at = 1,
    .make = late_events, .behind = trace_events)
AIO(io_cancel, .make = late_cancel, .behind = trace_cancel)
CALL(io_cached, "io_submit:cached", .kinds = UNCOUNTED)
ONE(statx, .make = other_statx)
CALL(io_uring_setup, "io_uring_setup", .fails = NEGATIVE)
CALL(io_uring_enter, "io_uring_enter", .kinds = SHORT, .at = 1, .waits_at = 2)

/* Of stdio, what takes no list; the rest is in trace.c. */
UNSAFE_ONLY(vprintf)
UNSAFE_ONLY(vfprintf)
UNSAFE_ONLY(puts)
UNSAFE_ONLY(putchar)
UNSAFE_ONLY(fputs)
UNSAFE_ONLY(fputc)
UNSAFE_ONLY(putc)
UNSAFE_ONLY(fwrite)
UNSAFE_ONLY(strerror)
UNSAFE_ONLY(exit)

/* ---- Calls without a function of their own ---- */

static struct call *call_of(long number)
{
    static const struct {
        long number;
        struct call *call;
    } calls[] = {
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

    for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].number == number)
            return calls[i].call;
    return NULL;
}

long preload_syscall(long number, long a, long b, long c, long d, long e,
                     long f) __asm__("syscall")
    __attribute__((visibility("default")));
long preload_syscall(long number, long a, long b, long c, long d, long e,
                     long f)
{
    struct call *call = call_of(number);
    struct made made = {
        .call = call,
        .number = number,
        .real = real_syscall(),
        .caller = __builtin_return_address(0),
        .args = { a, b, c, d, e, f },
        .fails = NEGATIVE,
    };
    long result;

    if (call == NULL || in_libaio(made.caller))
        return (long)made.real(number, a, b, c, d, e, f);
    made.name = call->name;
    made.at = call->at;
    result = (long)go(&made);
    if (result < 0)
        errno = (int)-result;
    return result < 0 ? -1 : result;
}

/* ---- Start and end ---- */

__attribute__((constructor)) static void start(void)
{
    program = object_of((void *)(uintptr_t)getauxval(AT_ENTRY));
    late_start();
    torment_start();
    trace_start();
    fault_start();
}

__attribute__((destructor)) static void end(void)
{
    trace_end();
    torment_end();
    fault_end();
}
