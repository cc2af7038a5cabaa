/*
 * trace.c - notes what a program asks for, and what it leaves behind
 *
 * A part of fault.so; what that has fail is not seen here.
 *
 * With AIO_TRACE=FILE the program starts with rubbish where it might count
 * on zeros: on its stack, and in memory from malloc() and the like. And errno
 * is rubbish after setitimer(), as POSIX allows it to be after any call that
 * succeeds. Each AIO system call makes a line: its numbers, and what it
 * returned. So do the calls of POSIX AIO that start something, wait or
 * cancel: what they are given, and whom they are to tell; and signal(),
 * sigaction(), with its flags and mask, sigprocmask() where it blocks
 * signals, and open() where it may make a file.
 *
 *     io_setup 8 = 0
 *     io_submit 2 = 1: pread demo.txt 64@0, pwritev demo.txt 16+16@512
 *     io_submit 1 = 1: poll pipe:r 1 data=7 flags=1 resfd=eventfd
 *     io_getevents 1 3 0.020000000 = 2            no time-out is -
 *     io_pgetevents 1 1 - mask=0000000000000200 = 1
 *     io_cancel key=1 = -115                      an error is -errno
 *     io_destroy = 0
 *     aio_read demo.txt 27@0 SIGRTMIN value=pointer
 *     aio_suspend 3 10.000000000
 *     signal SIGXFSZ ignored
 *     create demo.txt 666
 *     sigaction SIGRTMIN 0x4:
 *     SIG_BLOCK: 10 SIGRTMIN
 *
 * Of the requests those are shown that were taken, and the first one after
 * them; fields that are 0 are left out, and an address in aio_data is called
 * "pointer". The last line, at exit, is what the program itself has taken and
 * not given back; a child has no such line.
 *
 *     left: 0 contexts, 0 descriptors, 0 blocks of memory
 *
 * With AIO_WATCH=FILE there is a line for each of these calls that succeeds:
 *
 *     submit OPCODE:OFFSET:LENGTH/LENGTH...  ...
 *     reap NR
 *     fsync PATH
 *     rename PATH PATH
 *
 * and with AIO_WATCH_MORE=1 behind each LENGTH @ and the address of the
 * buffer modulo 4096; and more lines:
 *
 *     read N              read(), of anything
 *     interval NANOSECONDS, timer NANOSECONDS   timerfd_settime()
 *     suspend NANOSECONDS aio_suspend() is called; suspend with no time-out
 *     spin                the 1000th aio_error()
 *     LIO_WAIT: 11        lio_listio() is called, in this mode (or `another`);
 *                         1 if SIGINT is blocked, and if SIGALRM is
 *     aio_return first    aio_return() is called though aio_error() has not
 *                         said that the request is over
 *
 * Things are done meanwhile:
 *
 *     AIO_WATCH_AT='N COMMAND'   has a shell run COMMAND ahead of the Nth
 *                                io_submit; the program is its $PPID
 *     AIO_WATCH_RING=W=N         word W of a new context's ring becomes N, as
 *                                a kernel to come may have it
 *     AIO_WATCH_RING=W=N@M       ahead of the Mth io_submit, not at once
 *
 * With HANDLER_LOG=FILE it tells what is done in signal handlers. One that
 * breaks the rules mostly works, and deadlocks on a bad day. So what it does
 * is looked at, and not what comes of it:
 *
 *     handler        each time that a handler begins
 *     unsafe NAME    each time that one calls a function that is not
 *                    async-signal-safe: of stdio, or to start AIO
 *     race NAME      each time that a call waits for nothing but a signal,
 *                    and one with a handler was not blocked before: it may
 *                    have come between a look at a variable and the call
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include "preload.h"
#include <aio.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { RUBBISH = 0xa5, SIGNALS = 65, WAS_CALLED = 1000 };

/* ---- Lines ---- */

static int trace_fd = -1, watch_fd = -1, handler_fd = -1;
static int more; /* AIO_WATCH_MORE */

/* Where lines go, on a descriptor that programs do not see. */
static int output(const char *variable)
{
    const char *path = getenv(variable);
    long fd, high = 512;

    if (path == NULL)
        return -1;
    fd = raw(SYS_openat, (long)AT_FDCWD, (long)path,
             (long)(O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC), 0666L);
    for (; fd != -1 && high >= 32; high /= 2) {
        long moved = raw(SYS_fcntl, fd, (long)F_DUPFD_CLOEXEC, high);

        if (moved == -1)
            continue; /* over the limit */
        raw(SYS_close, fd);
        return (int)moved;
    }
    return (int)fd;
}

struct line {
    char text[4096];
    size_t used;
};

/* Each line is written in one go, when it ends or gets too long. */
static void add(struct line *line, int fd, const char *format, va_list args)
{
    size_t room = sizeof(line->text) - line->used;
    int length;

    if (fd == -1)
        return;
    length = vsnprintf(line->text + line->used, room, format, args);
    if (length > 0)
        line->used += (size_t)length < room ? (size_t)length : room - 1;
    if (line->used > 0 && (line->text[line->used - 1] == '\n' ||
                           line->used > sizeof(line->text) / 2)) {
        if (raw(SYS_write, (long)fd, (long)line->text, (long)line->used) == -1)
            abort();
        line->used = 0;
    }
}

static void note(const char *format, ...)
{
    static _Thread_local struct line line;
    va_list args;

    va_start(args, format);
    add(&line, trace_fd, format, args);
    va_end(args);
}

static void watch(const char *format, ...)
{
    static _Thread_local struct line line;
    va_list args;

    va_start(args, format);
    add(&line, watch_fd, format, args);
    va_end(args);
}

/* What a descriptor is: a file's name, pipe:r, pipe:w, eventfd ... or, if it
 * is none, its number. */
static const char *name_of(int fd)
{
    static _Thread_local char path[PATH_MAX];
    char link[32];
    ssize_t length;
    char *name;

    print(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 3);
    if (length == -1) {
        print(path, sizeof(path), "%d", fd);
        return path;
    }
    path[length] = '\0';
    if (!strncmp(path, "pipe:", 5))
        return (raw(SYS_fcntl, (long)fd, (long)F_GETFL) & O_ACCMODE) == O_RDONLY
                   ? "pipe:r"
                   : "pipe:w";
    if (path[0] == '/') {
        if ((name = strstr(path, " (deleted)")) != NULL)
            *name = '\0';
        return strrchr(path, '/') + 1;
    }
    if (!strncmp(path, "anon_inode:[", 12)) {
        path[strcspn(path, "]")] = '\0';
        return path + 12;
    }
    path[strcspn(path, ":")] = '\0'; /* socket:[NUMBER] */
    return path;
}

static void note_number(const char *name, long long n)
{
    if (n != 0)
        note(" %s=%lld", name, n);
}

static void note_data(const char *name, unsigned long long data)
{
    if (data > 65535)
        note(" %s=pointer", name);
    else
        note_number(name, data);
}

static long long seconds(const struct made *made, long time, long *nanoseconds)
{
    if (time64(made)) {
        *nanoseconds = (long)((long long *)time)[1];
        return ((long long *)time)[0];
    }
    *nanoseconds = ((long *)time)[1]; /* whatever time_t is here */
    return ((long *)time)[0];
}

static void note_time(const struct made *made, long time)
{
    long nanoseconds;

    if (time == 0)
        note(" -");
    else {
        note(" %lld", seconds(made, time, &nanoseconds));
        note(".%09ld", nanoseconds);
    }
}

static void watch_time(const struct made *made, const char *what, long time)
{
    long nanoseconds;
    long long whole = seconds(made, time, &nanoseconds);

    watch("%s %lld\n", what, whole * 1000000000LL + nanoseconds);
}

/* ---- Linux AIO ---- */

static int contexts;
static long submits;   /* calls of io_submit, with the present one */
static unsigned *ring; /* of the last context made */

static int is_vectored(const struct iocb *iocb)
{
    return iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
           iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static void note_request(const struct iocb *iocb)
{
    static const char *const opcodes[] = { "pread",  "pwrite", "fsync",
                                           "fdsync", "4",      "poll",
                                           "6",      "preadv", "pwritev" };
    unsigned opcode = iocb->aio_lio_opcode;
    const struct iovec *segments = (void *)(uintptr_t)iocb->aio_buf;

    if (opcode < sizeof(opcodes) / sizeof(opcodes[0]))
        note("%s", opcodes[opcode]);
    else
        note("%u", opcode);
    note(" %s ", name_of(iocb->aio_fildes));
    if (opcode == IOCB_CMD_POLL)
        note("%llu", (unsigned long long)iocb->aio_buf);
    else if (is_vectored(iocb))
        for (unsigned i = 0; i < iocb->aio_nbytes; i++)
            note("%s%zu", i > 0 ? "+" : "", segments[i].iov_len);
    else
        note("%lld", (long long)iocb->aio_nbytes);
    if (opcode != IOCB_CMD_POLL)
        note("@%lld", (long long)iocb->aio_offset);
    if (opcode == IOCB_CMD_FSYNC || opcode == IOCB_CMD_FDSYNC)
        note_data("buf", iocb->aio_buf);
    note_data("data", iocb->aio_data);
    note_number("rw_flags", iocb->aio_rw_flags);
    note_number("reqprio", iocb->aio_reqprio);
    note_number("flags", iocb->aio_flags);
    if (iocb->aio_flags & IOCB_FLAG_RESFD)
        note(" resfd=%s", name_of(iocb->aio_resfd));
}

static void watch_part(uint64_t length, uint64_t address)
{
    watch("%llu", (unsigned long long)length);
    if (more)
        watch("@%d", (int)(address % 4096));
}

static void watch_request(const struct iocb *iocb)
{
    const struct iovec *segments = (void *)(uintptr_t)iocb->aio_buf;

    watch(" %d:%lld:", iocb->aio_lio_opcode, (long long)iocb->aio_offset);
    if (!is_vectored(iocb)) {
        watch_part(iocb->aio_nbytes, iocb->aio_buf);
        return;
    }
    for (unsigned i = 0; i < iocb->aio_nbytes; i++) {
        watch("%s", i > 0 ? "/" : "");
        watch_part(segments[i].iov_len, (uintptr_t)segments[i].iov_base);
    }
}

static void run_command(void)
{
    const char *text = getenv("AIO_WATCH_AT");
    char *command;
    long pid;

    if (text == NULL || strtol(text, &command, 10) != submits)
        return;
    pid = (long)(int)find("fork")(0, 0, 0, 0, 0, 0, 0);
    if (pid == 0) {
        unsetenv("LD_PRELOAD");
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (raw(SYS_wait4, pid, 0L, 0L, 0L) == -1)
        ;
}

static void change_ring(void)
{
    const char *text = getenv("AIO_WATCH_RING");
    unsigned word;
    long long value;
    long at = 0;

    if (text != NULL && sscanf(text, "%u=%lli@%ld", &word, &value, &at) >= 2 &&
        at == submits)
        ring[word] = value;
}

void trace_setup(struct made *made)
{
    note("io_setup %u = %ld\n", (unsigned)made->args[0], (long)made->result);
    torment_setup(made);
    if (made->result != 0)
        return;
    contexts++;
    ring = (unsigned *)*(unsigned long *)made->args[1];
    change_ring();
}

void trace_destroy(struct made *made)
{
    contexts -= made->result == 0;
    note("io_destroy = %ld\n", (long)made->result);
}

void trace_before_submit(struct made *made)
{
    torment_before_submit(made);
    submits++;
    run_command();
    change_ring();
}

/* A transfer by a descriptor without O_DIRECT. */
static int is_cached(const struct iocb *iocb)
{
    int transfers = iocb->aio_lio_opcode == IOCB_CMD_PREAD ||
                    iocb->aio_lio_opcode == IOCB_CMD_PWRITE ||
                    is_vectored(iocb);
    long flags = raw(SYS_fcntl, (long)iocb->aio_fildes, (long)F_GETFL);

    return transfers && !(flags & O_DIRECT);
}

void trace_submit(struct made *made)
{
    struct iocb **list = (struct iocb **)made->args[2];
    long nr = made->args[1], n = (long)made->result;

    for (long i = 0; i < n && watch_fd != -1; i++)
        call_io_cached.count += is_cached(list[i]);
    if (trace_fd != -1) {
        note("io_submit %ld = %ld", nr, n);
        for (long i = 0; i < nr && n != -EFAULT; i++) {
            note("%s ", i == 0 ? ":" : ",");
            note_request(list[i]);
            if (i >= n)
                break;
        }
        note("\n");
    }
    if (watch_fd != -1 && n > 0) {
        watch("submit");
        for (long i = 0; i < n; i++)
            watch_request(list[i]);
        watch("\n");
    }
}

void trace_events(struct made *made)
{
    const long *a = made->args;
    const unsigned long *mask = NULL;

    torment_events();
    note("%s %ld %ld", made->call->name, a[1], a[2]);
    note_time(made, a[4]);
    if (made->call == &call_io_pgetevents && a[5] != 0)
        mask = made->number == -1 ? (void *)a[5] : *(void **)a[5];
    if (mask != NULL) /* as SigBlk in /proc/PID/status */
        note(" mask=%016llx",
             sizeof(long) == 8
                 ? mask[0]
                 : mask[0] | (unsigned long long)mask[sizeof(long) == 4] << 32);
    note(" = %ld\n", (long)made->result);
    if (made->result > 0)
        watch("reap %ld\n", (long)made->result);
}

void trace_cancel(struct made *made)
{
    note("io_cancel");
    if (made->result != -EFAULT)
        note_number("key", ((struct iocb *)made->args[1])->aio_key);
    note(" = %ld\n", (long)made->result);
}

/* ---- Files and times ---- */

/* With O_CREAT open() has a mode, else that is rubbish. */
void trace_open(struct made *made)
{
    if (made->args[made->at] & O_CREAT)
        note("create %s %03o\n", (char *)made->args[made->at - 1],
             (unsigned)made->args[made->at + 1]);
}

void trace_read(struct made *made)
{
    if (more && made->result >= 0)
        watch("read %zd\n", (ssize_t)made->result);
}

void trace_fsync(struct made *made)
{
    char link[32], path[PATH_MAX];
    ssize_t length;

    if (watch_fd == -1 || (int)made->result != 0)
        return;
    print(link, sizeof(link), "/proc/self/fd/%d", (int)made->args[0]);
    length = readlink(link, path, sizeof(path) - 1);
    if (length > 0)
        watch("fsync %.*s\n", (int)length, path);
}

void trace_rename(struct made *made)
{
    if ((int)made->result == 0)
        watch("rename %s %s\n", (char *)made->args[0], (char *)made->args[1]);
}

void trace_timerfd(struct made *made)
{
    if (!more || (int)made->result != 0)
        return;
    watch_time(made, "interval", made->args[2]);
    if ((int)made->args[1] == 0)
        watch_time(made, "timer",
                   made->args[2] + (time64(made) ? 16 : 2 * sizeof(long)));
}

void trace_setitimer(struct made *made)
{
    if (trace_fd != -1 && (int)made->result == 0)
        made->error = RUBBISH;
}

/* ---- Memory ---- */

static atomic_int blocks;

/* What the program is given: rubbish so far, and to be given back. */
static void give(const void *caller, void *block, size_t dirty)
{
    if (trace_fd != -1 && block != NULL && by_program(caller)) {
        memset(block, RUBBISH, dirty);
        blocks++;
    }
}

void trace_block(struct made *made)
{
    const char *name = made->call->name;
    size_t dirty = 0;

    if (trace_fd == -1)
        return;
    if (!strcmp(name, "malloc"))
        dirty = made->args[0];
    else if (!strcmp(name, "aligned_alloc"))
        dirty = made->args[1];
    else if ((!strcmp(name, "realloc") && made->args[0] != 0) ||
             (!strcmp(name, "realpath") && made->args[1] != 0))
        return; /* no other than before */
    give(made->caller, (void *)(long)made->result, dirty);
}

void trace_memalign(struct made *made)
{
    if ((int)made->result == 0)
        give(made->caller, *(void **)made->args[0], made->args[2]);
}

void trace_free(struct made *made)
{
    torment_free((void *)made->args[0]);
    if (trace_fd != -1 && made->args[0] != 0 && by_program(made->caller))
        blocks--;
}

/* ---- Signals and their handlers ---- */

/* How many handlers run in this thread. (Not to be allocated in a handler.) */
static __thread int depth __attribute__((tls_model("initial-exec")));
static void (*handlers[SIGNALS])(int, siginfo_t *, void *);
static void (*plain[SIGNALS])(int);

static void tell(const char *what, const char *name)
{
    char line[64] = "";
    int error = errno;

    if (handler_fd == -1)
        return;
    strcat(strcat(strcat(line, what), name), "\n");
    raw(SYS_write, (long)handler_fd, (long)line, (long)strlen(line));
    errno = error;
}

void trace_unsafe(const char *name)
{
    if (depth > 0)
        tell("unsafe ", name);
}

/* Stand between a signal and its handler. */
static void run_handler(int signo, siginfo_t *info, void *context)
{
    tell("handler", "");
    depth++;
    handlers[signo](signo, info, context);
    depth--;
}

static void run_plain(int signo)
{
    tell("handler", "");
    depth++;
    plain[signo](signo);
    depth--;
}

static int is_ours(const void *handler)
{
    return handler == (void *)(uintptr_t)run_handler ||
           handler == (void *)(uintptr_t)run_plain;
}

long long trace_handle(struct made *made)
{
    const struct sigaction *action = (void *)made->args[1];
    int signo = (int)made->args[0];
    struct sigaction ours;

    if (handler_fd == -1 || action == NULL || signo < 1 || signo >= SIGNALS ||
        action->sa_handler == SIG_IGN || action->sa_handler == SIG_DFL ||
        is_ours((void *)(uintptr_t)action->sa_handler))
        return make_it(made);
    ours = *action;
    if (action->sa_flags & SA_SIGINFO) {
        handlers[signo] = action->sa_sigaction;
        ours.sa_sigaction = run_handler;
    } else {
        plain[signo] = action->sa_handler;
        ours.sa_handler = run_plain;
    }
    made->args[1] = (long)&ours;
    return make_it(made);
}

long long trace_handle_plain(struct made *made)
{
    long handler = made->args[1];
    int signo = (int)made->args[0];

    if (handler_fd != -1 && signo >= 1 && signo < SIGNALS &&
        handler != (long)SIG_IGN && handler != (long)SIG_DFL &&
        !is_ours((void *)handler)) {
        plain[signo] = (void (*)(int))handler;
        made->args[1] = (long)run_plain;
    }
    return make_it(made);
}

/* One waits for a signal now. Could it have come a moment ago? */
void trace_wait(struct made *made)
{
    sigset_t blocked;

    if (handler_fd == -1 ||
        (!strcmp(made->call->name, "ppoll") && made->args[1] != 0))
        return;
    sigfillset(&blocked);
    raw(SYS_rt_sigprocmask, (long)SIG_BLOCK, 0L, (long)&blocked, 8L);
    for (int signo = 1; signo < SIGNALS; signo++)
        if ((handlers[signo] || plain[signo]) && !sigismember(&blocked, signo))
            tell("race ", made->call->name);
}

static void note_signals(const sigset_t *set)
{
    for (int signo = 1; signo < SIGNALS; signo++)
        if (sigismember(set, signo) == 1)
            note(signo == SIGRTMIN ? " SIGRTMIN" : " %d", signo);
    note("\n");
}

void trace_sigaction(struct made *made)
{
    const struct sigaction *action = (void *)made->args[1];
    int signo = (int)made->args[0];

    if (action == NULL)
        return;
    note(signo == SIGRTMIN ? "sigaction SIGRTMIN" : "sigaction %d", signo);
    note(" %#x:", action->sa_flags);
    note_signals(&action->sa_mask);
}

void trace_signal(struct made *made)
{
    int signo = (int)made->args[0];

    note(signo == SIGXFSZ ? "signal SIGXFSZ" : "signal %d", signo);
    note(made->args[1] == (long)SIG_IGN ? " ignored\n" : "\n");
}

void trace_sigprocmask(struct made *made)
{
    if (made->args[1] != 0 && (int)made->args[0] == SIG_BLOCK) {
        note("SIG_BLOCK:");
        note_signals((sigset_t *)made->args[1]);
    }
}

/* ---- POSIX AIO ---- */

/* On big-endian machines a sival_int is the upper half of sival_ptr. */
static unsigned long long value_of(union sigval value)
{
    uintptr_t pointer = (uintptr_t)value.sival_ptr;
    unsigned number = value.sival_int;

    return pointer >> 16 >> 16 == number && (unsigned)pointer == 0 ? number
                                                                   : pointer;
}

static void note_notification(const struct sigevent *event)
{
    if (event->sigev_notify == SIGEV_THREAD)
        note(" thread");
    else if (event->sigev_notify == SIGEV_SIGNAL &&
             event->sigev_signo == SIGRTMIN)
        note(" SIGRTMIN");
    else if (event->sigev_notify == SIGEV_SIGNAL)
        note(" signal=%d", event->sigev_signo);
    if (event->sigev_notify == SIGEV_NONE)
        return;
    note_data("value", value_of(event->sigev_value));
}

static void note_aiocb(const char *call, const struct aiocb *aiocb)
{
    note("%s %s %zu@%lld", call, name_of(aiocb->aio_fildes), aiocb->aio_nbytes,
         (long long)aiocb->aio_offset);
    note_number("reqprio", aiocb->aio_reqprio);
    note_notification(&aiocb->aio_sigevent);
}

void trace_aio(struct made *made)
{
    if (trace_fd != -1) {
        note_aiocb(made->call->name, (struct aiocb *)made->args[0]);
        note("\n");
    }
}

/* The first signal is given time to come right after the call. */
void trace_aio_begun(struct made *made)
{
    const struct timespec moment = { 0, 20000000 }; /* 20 ms */
    static int seen;

    (void)made;
    if (handler_fd != -1 && depth == 0 && !seen++)
        raw(SYS_ppoll, 0L, 0L, (long)&moment, 0L, 8L); /* a signal ends it */
}

void trace_aio_fsync(struct made *made)
{
    int how = (int)made->args[0];

    if (trace_fd == -1)
        return;
    note_aiocb("aio_fsync", (struct aiocb *)made->args[1]);
    note(how == O_DSYNC  ? " O_DSYNC\n"
         : how == O_SYNC ? " O_SYNC\n"
                         : " neither\n");
}

void trace_aio_suspend(struct made *made)
{
    long timeout = made->args[2];

    if (trace_fd != -1) {
        note("aio_suspend %d", (int)made->args[1]);
        note_time(made, timeout);
        note("\n");
    }
    if (more && timeout != 0)
        watch_time(made, "suspend", timeout);
    else if (more)
        watch("suspend\n");
}

void trace_aio_cancel(struct made *made)
{
    if (trace_fd != -1)
        note("aio_cancel %s %s\n", name_of((int)made->args[0]),
             made->args[1] ? "one" : "all");
}

static long over[64]; /* the last requests said to be over */
static atomic_uint nr_over;

void trace_aio_error(struct made *made)
{
    static atomic_int calls;

    if (more && ++calls == WAS_CALLED)
        watch("spin\n");
    if ((int)made->result != EINPROGRESS)
        over[nr_over++ % 64] = made->args[0];
}

void trace_aio_return(struct made *made)
{
    int i = 0;

    while (i < 64 && over[i] != made->args[0])
        i++;
    if (more && i == 64)
        watch("aio_return first\n");
}

void trace_lio_listio(struct made *made)
{
    struct aiocb *const *list = (struct aiocb **)made->args[1];
    const struct sigevent *event = (void *)made->args[3];
    int mode = (int)made->args[0], nr = (int)made->args[2];
    sigset_t mask;

    if (more) {
        raw(SYS_rt_sigprocmask, (long)SIG_BLOCK, 0L, (long)&mask, 8L);
        watch("%s: %d%d\n", mode == LIO_WAIT ? "LIO_WAIT" : "another",
              sigismember(&mask, SIGINT), sigismember(&mask, SIGALRM));
    }
    if (trace_fd == -1)
        return;
    if (mode == LIO_WAIT || mode == LIO_NOWAIT)
        note("lio_listio %s %d", mode == LIO_WAIT ? "LIO_WAIT" : "LIO_NOWAIT",
             nr);
    else
        note("lio_listio %d %d", mode, nr);
    if (mode == LIO_NOWAIT && event != NULL)
        note_notification(event);
    for (int i = 0; i < nr; i++) {
        note("%s ", i == 0 ? ":" : ",");
        if (list[i] == NULL)
            note("NULL");
        else if (list[i]->aio_lio_opcode == LIO_NOP)
            note("nop %zu@%lld", list[i]->aio_nbytes,
                 (long long)list[i]->aio_offset);
        else
            note_aiocb(list[i]->aio_lio_opcode == LIO_READ    ? "read"
                       : list[i]->aio_lio_opcode == LIO_WRITE ? "write"
                                                              : "neither",
                       list[i]);
    }
    note("\n");
}

/* ---- What takes a list of arguments ---- */

/*
 * These are no numbers and pointers only: there may be a double. So they go
 * on to what takes the list as one. What they print into is memory that the
 * program has to give back.
 */
#define FORMATTED(type, name, parameters, call, then)                          \
    __attribute__((visibility("default"))) type name parameters;               \
    type name parameters                                                       \
    {                                                                          \
        va_list args;                                                          \
        type result;                                                           \
                                                                               \
        trace_unsafe(#name);                                                   \
        va_start(args, format);                                                \
        result = call;                                                         \
        va_end(args);                                                          \
        then;                                                                  \
        return result;                                                         \
    }
#define GIVE                                                                   \
    if (result != -1)                                                          \
    give(__builtin_return_address(0), *text, 0)
#define REAL(name) ((__typeof__(&name))(uintptr_t)find(#name))

FORMATTED(int, printf, (const char *format, ...), REAL(vprintf)(format, args), )
FORMATTED(int, __printf_chk, (int flag, const char *format, ...),
          ((void)flag, REAL(vprintf)(format, args)), )
FORMATTED(int, fprintf, (FILE * file, const char *format, ...),
          REAL(vfprintf)(file, format, args), )
FORMATTED(int, __fprintf_chk, (FILE * file, int flag, const char *format, ...),
          ((void)flag, REAL(vfprintf)(file, format, args)), )
FORMATTED(int, dprintf, (int fd, const char *format, ...),
          vdprintf(fd, format, args), )
FORMATTED(int, snprintf, (char *text, size_t size, const char *format, ...),
          vsnprintf(text, size, format, args), )
FORMATTED(int, sprintf, (char *text, const char *format, ...),
          vsprintf(text, format, args), )
FORMATTED(int, asprintf, (char **text, const char *format, ...),
          vasprintf(text, format, args), GIVE)
FORMATTED(int, __asprintf_chk, (char **text, int flag, const char *format, ...),
          ((void)flag, vasprintf(text, format, args)), GIVE)

#define TOLD(name, parameters, call)                                           \
    __attribute__((visibility("default"))) void name parameters;               \
    void name parameters                                                       \
    {                                                                          \
        va_list args;                                                          \
                                                                               \
        trace_unsafe(#name);                                                   \
        va_start(args, format);                                                \
        call;                                                                  \
        va_end(args);                                                          \
    }

TOLD(warn, (const char *format, ...), vwarn(format, args))
TOLD(warnx, (const char *format, ...), vwarnx(format, args))
TOLD(err, (int status, const char *format, ...), verr(status, format, args))
TOLD(errx, (int status, const char *format, ...), verrx(status, format, args))

/* ---- Start and end ---- */

static int pid;

/* How many descriptors are open that were not at the last call, or the other
 * way round: who closes a wrong one has left two. */
static int changed_descriptors(void)
{
    static char open_before[256];
    int nr = 0;

    for (int fd = 0; fd < 256; fd++) {
        char now = raw(SYS_fcntl, (long)fd, (long)F_GETFD) != -1;

        nr += now != open_before[fd];
        open_before[fd] = now;
    }
    return nr;
}

static __attribute__((noinline)) void dirty_stack(void)
{
    volatile unsigned char rubbish[65536];

    for (size_t i = 0; i < sizeof(rubbish); i++)
        rubbish[i] = RUBBISH;
}

/* Its main() is called where dirty_stack() was called a moment before. */
typedef int main_function(int argc, char **argv, char **envp);
static main_function *real_main;

static int dirty_main(int argc, char **argv, char **envp)
{
    if (trace_fd != -1)
        dirty_stack();
    return real_main(argc, argv, envp);
}

__attribute__((visibility("default"))) int
__libc_start_main(main_function *main, long argc, long argv, long init,
                  long fini, long unload, long stack);
int __libc_start_main(main_function *main, long argc, long argv, long init,
                      long fini, long unload, long stack)
{
    real_main = main;
    return (int)find("__libc_start_main")((long)dirty_main, argc, argv, init,
                                          fini, unload, stack);
}

void trace_start(void)
{
    pid = getpid();
    trace_fd = output("AIO_TRACE");
    watch_fd = output("AIO_WATCH");
    handler_fd = output("HANDLER_LOG");
    more = watch_fd != -1 && getenv("AIO_WATCH_MORE") != NULL;
    if (trace_fd != -1)
        changed_descriptors();
}

void trace_end(void)
{
    if (trace_fd != -1 && getpid() == pid)
        note("left: %d contexts, %d descriptors, %d blocks of memory\n",
             contexts, changed_descriptors(), (int)blocks);
}
