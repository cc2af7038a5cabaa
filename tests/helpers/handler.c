/*
 * handler.c - tells what a program calls in its signal handlers
 *
 * A library to preload, ahead of fault.so if both are. With HANDLER_LOG=FILE
 * it appends a line to FILE
 *
 *     handler        each time that a handler begins
 *     unsafe NAME    each time that one calls a function that is not
 *                    async-signal-safe: of stdio, or to start AIO
 *     race NAME      each time that a call waits for nothing but a signal,
 *                    and one with a handler was not blocked before: it may
 *                    have come between a look at a variable and the call
 *
 * A handler that breaks this rule mostly works, and deadlocks on a bad day.
 * So what it does is looked at, and not what comes of it.
 *
 * Build:  cc -shared -fPIC -o handler.so handler.c -ldl -lrt
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <aio.h>
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SIGNALS = 65 };

/* How many handlers run in this thread. (Not to be allocated in a handler.) */
static __thread int depth __attribute__((tls_model("initial-exec")));

static int log_fd = -1;
static long (*next_syscall)(long, ...);
static void (*handlers[SIGNALS])(int, siginfo_t *, void *);
static void (*plain[SIGNALS])(int);

/* One write, by a call that fault.so does not count. */
static void note(const char *what, const char *name)
{
    char line[64] = "";
    int error = errno;

    if (log_fd == -1)
        return;
    strcat(strcat(strcat(line, what), name), "\n");
    next_syscall(SYS_write, log_fd, line, strlen(line));
    errno = error;
}

/* (Not static: what stdio.h makes inline may not use what is.) */
__attribute__((visibility("hidden"))) void unsafe(const char *name)
{
    if (depth > 0)
        note("unsafe ", name);
}

/* Stand between a signal and its handler. */
static void run_handler(int signo, siginfo_t *info, void *context)
{
    note("handler", "");
    depth++;
    handlers[signo](signo, info, context);
    depth--;
}

static void run_plain(int signo)
{
    note("handler", "");
    depth++;
    plain[signo](signo);
    depth--;
}

/* NEXT(NAME): the function of that name that would be called without this. */
#define NEXT(name) \
    ((__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("HANDLER_LOG");

    next_syscall = NEXT(syscall);
    if (path != NULL)
        log_fd = next_syscall(SYS_openat, AT_FDCWD, path,
                              O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

int sigaction(int signo, const struct sigaction *action, struct sigaction *old)
{
    struct sigaction ours;

    if (action == NULL || signo < 1 || signo >= SIGNALS ||
        action->sa_handler == SIG_IGN || action->sa_handler == SIG_DFL)
        return NEXT(sigaction)(signo, action, old);
    ours = *action;
    if (action->sa_flags & SA_SIGINFO) {
        handlers[signo] = action->sa_sigaction;
        ours.sa_sigaction = run_handler;
    } else {
        plain[signo] = action->sa_handler;
        ours.sa_handler = run_plain;
    }
    return NEXT(sigaction)(signo, &ours, old);
}

void (*signal(int signo, void (*handler)(int)))(int)
{
    if (signo < 1 || signo >= SIGNALS || handler == SIG_IGN ||
        handler == SIG_DFL)
        return NEXT(signal)(signo, handler);
    plain[signo] = handler;
    return NEXT(signal)(signo, run_plain);
}

/* What takes its arguments as a list goes on to what takes them as one. */
#define FORMATTED(name, parameters, call) \
    int name parameters \
    { \
        va_list args; \
        int result; \
        \
        unsafe(#name); \
        va_start(args, format); \
        result = call; \
        va_end(args); \
        return result; \
    }

FORMATTED(printf, (const char *format, ...),
          NEXT(vprintf)(format, args))
FORMATTED(__printf_chk, (int flag, const char *format, ...),
          ((void)flag, NEXT(vprintf)(format, args)))
FORMATTED(fprintf, (FILE *file, const char *format, ...),
          NEXT(vfprintf)(file, format, args))
FORMATTED(__fprintf_chk, (FILE *file, int flag, const char *format, ...),
          ((void)flag, NEXT(vfprintf)(file, format, args)))
FORMATTED(dprintf, (int fd, const char *format, ...),
          NEXT(vdprintf)(fd, format, args))
FORMATTED(snprintf, (char *text, size_t size, const char *format, ...),
          NEXT(vsnprintf)(text, size, format, args))
FORMATTED(sprintf, (char *text, const char *format, ...),
          NEXT(vsprintf)(text, format, args))

#define OTHER(type, name, parameters, arguments) \
    type name parameters \
    { \
        unsafe(#name); \
        return NEXT(name) arguments; \
    }

OTHER(int, vprintf, (const char *format, va_list args), (format, args))
OTHER(int, vfprintf, (FILE *file, const char *format, va_list args),
      (file, format, args))
OTHER(int, puts, (const char *text), (text))
OTHER(int, putchar, (int c), (c))
OTHER(int, fputs, (const char *text, FILE *file), (text, file))
OTHER(int, fputc, (int c, FILE *file), (c, file))
OTHER(int, putc, (int c, FILE *file), (c, file))
OTHER(size_t, fwrite,
      (const void *data, size_t size, size_t nr, FILE *file),
      (data, size, nr, file))
OTHER(int, fflush, (FILE *file), (file))
OTHER(char *, strerror, (int error), (error))
/* The first signal is given time to come right after the call. */
int aio_read(struct aiocb *aiocb)
{
    const struct timespec moment = { 0, 20000000 };     /* 20 ms */
    static int seen;
    int result, error;

    unsafe("aio_read");
    result = NEXT(aio_read)(aiocb);
    error = errno;
    if (depth == 0 && !seen++)
        pselect(0, NULL, NULL, NULL, &moment, NULL); /* a signal ends it */
    errno = error;
    return result;
}

OTHER(int, aio_write, (struct aiocb *aiocb), (aiocb))
OTHER(int, aio_fsync, (int how, struct aiocb *aiocb), (how, aiocb))
OTHER(int, aio_cancel, (int fd, struct aiocb *aiocb), (fd, aiocb))

/* Its prototype is another in each C library. */
int list_io(int mode, void *list, int nr, void *event) __asm__("lio_listio");
int list_io(int mode, void *list, int nr, void *event)
{
    unsafe("lio_listio");
    return NEXT(lio_listio)(mode, list, nr, event);
}

/* What goes on to a function that does not come back, or to one that does. */
#define REPORT(name, parameters, call) \
    void name parameters \
    { \
        va_list args; \
        \
        unsafe(#name); \
        va_start(args, format); \
        call; \
        va_end(args); \
    }

REPORT(err, (int status, const char *format, ...), verr(status, format, args))
REPORT(errx, (int status, const char *format, ...), verrx(status, format, args))
REPORT(warn, (const char *format, ...), vwarn(format, args))
REPORT(warnx, (const char *format, ...), vwarnx(format, args))

void exit(int status)
{
    unsafe("exit");
    NEXT(exit)(status);
    _exit(status);              /* for the compiler: it never comes here */
}

/* One waits for a signal now. Could it have come a moment ago? */
static void look_for_race(const char *name)
{
    sigset_t blocked;

    sigfillset(&blocked);
    next_syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &blocked, 8);
    for (int signo = 1; signo < SIGNALS; signo++)
        if ((handlers[signo] || plain[signo]) && !sigismember(&blocked, signo))
            note("race ", name);
}

int ppoll(struct pollfd *fds, nfds_t nr, const struct timespec *timeout,
          const sigset_t *mask)
{
    if (nr == 0)
        look_for_race("ppoll");
    return NEXT(ppoll)(fds, nr, timeout, mask);
}

int sigsuspend(const sigset_t *mask)
{
    look_for_race("sigsuspend");
    return NEXT(sigsuspend)(mask);
}

int pause(void)
{
    look_for_race("pause");
    return NEXT(pause)();
}
