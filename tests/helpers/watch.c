/*
 * watch.c - notes what a program does, and does things meanwhile
 *
 * A library to preload, behind fault.so if both are: what that has fail is
 * not seen here.
 *
 *     AIO_WATCH=FILE       a line for each of these calls that succeeds:
 *                              submit OPCODE:OFFSET:LENGTH/LENGTH...  ...
 *                              reap NR
 *                              fsync PATH
 *                              rename PATH PATH
 *     AIO_WATCH_MORE=1     there, behind each LENGTH, @ and the address of
 *                          the buffer modulo 4096; and more lines:
 *                              read N              read(), of anything
 *                              timer NANOSECONDS   timerfd_settime()
 *                              suspend NANOSECONDS aio_suspend() is called;
 *                              suspend             with no time-out
 *                              spin                the 1000th aio_error()
 *     AIO_WATCH_AT='N COMMAND'
 *                          has a shell run COMMAND ahead of the Nth
 *                          io_submit; the program is its $PPID
 *     AIO_WATCH_RING=W=N   word W of a new context's ring becomes N, as
 *                          a kernel to come may have it
 *     AIO_WATCH_RING=W=N@M ahead of the Mth io_submit, not at once
 *
 * Build:  cc -shared -fPIC -o watch.so watch.c -ldl
 */
#define _GNU_SOURCE
#undef _FORTIFY_SOURCE
#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static long (*next_syscall)(long, ...);
static long submits;            /* calls of io_submit, with the present one */
static unsigned *ring;          /* of the last context made */
static int more;                /* AIO_WATCH_MORE */

/* With calls that fault.so does not know: they must not count, nor fail. */
static void note(const char *format, ...)
{
    const char *path = getenv("AIO_WATCH");
    va_list args;
    int fd;

    if (path == NULL)
        return;
    fd = next_syscall(SYS_openat, AT_FDCWD, path,
                      O_WRONLY | O_CREAT | O_APPEND, 0666);
    va_start(args, format);
    vdprintf(fd, format, args);
    va_end(args);
    next_syscall(SYS_close, fd);
}

static void note_address(uint64_t address)
{
    if (more)
        note("@%d", (int)(address % 4096));
}

static void note_request(const struct iocb *iocb)
{
    const struct iovec *segments = (void *)(uintptr_t)iocb->aio_buf;

    note(" %d:%lld:", iocb->aio_lio_opcode, (long long)iocb->aio_offset);
    if (iocb->aio_lio_opcode != IOCB_CMD_PREADV &&
        iocb->aio_lio_opcode != IOCB_CMD_PWRITEV) {
        note("%llu", (unsigned long long)iocb->aio_nbytes);
        note_address(iocb->aio_buf);
        return;
    }
    for (unsigned i = 0; i < iocb->aio_nbytes; i++) {
        note("%s%zu", i > 0 ? "/" : "", segments[i].iov_len);
        note_address((uintptr_t)segments[i].iov_base);
    }
}

static void run_command(void)
{
    const char *text = getenv("AIO_WATCH_AT");
    char *command;
    pid_t pid;

    if (text == NULL || strtol(text, &command, 10) != submits)
        return;
    pid = fork();
    if (pid == 0) {
        unsetenv("LD_PRELOAD");
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, NULL, 0) == -1)
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

long syscall(long number, ...)
{
    long a[6], result;
    va_list list;

    va_start(list, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(list, long);
    va_end(list);

    if (number == SYS_io_submit) {
        submits++;
        run_command();
        change_ring();
    }
    result = next_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_io_submit && result > 0) {
        note("submit");
        for (long i = 0; i < result; i++)
            note_request(((struct iocb **)a[2])[i]);
        note("\n");
    }
    if ((number == SYS_io_getevents || number == SYS_io_pgetevents) &&
        result > 0)
        note("reap %ld\n", result);
    if (number == SYS_io_setup && result == 0) {
        ring = (void *)(uintptr_t)*(aio_context_t *)a[1];
        change_ring();
    }
    return result;
}

__attribute__((constructor)) static void start(void)
{
    next_syscall = (long (*)(long, ...))(uintptr_t)dlsym(RTLD_NEXT, "syscall");
    more = getenv("AIO_WATCH_MORE") != NULL;
}

int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))(uintptr_t)dlsym(RTLD_NEXT, "fsync");
    int result = next(fd);
    char link[32], path[4096];
    ssize_t length;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof(path) - 1);
    if (result == 0 && length > 0)
        note("fsync %.*s\n", (int)length, path);
    return result;
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) =
        (int (*)(const char *, const char *))(uintptr_t)dlsym(RTLD_NEXT,
                                                              "rename");
    int result = next(from, to);

    if (result == 0)
        note("rename %s %s\n", from, to);
    return result;
}

ssize_t read(int fd, void *buffer, size_t length)
{
    ssize_t (*next)(int, void *, size_t) =
        (ssize_t (*)(int, void *, size_t))(uintptr_t)dlsym(RTLD_NEXT, "read");
    ssize_t result = next(fd, buffer, length);

    if (more && result >= 0)
        note("read %zd\n", result);
    return result;
}

static long long nanoseconds(const struct timespec *time)
{
    return time->tv_sec * 1000000000LL + time->tv_nsec;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *new,
                    struct itimerspec *old)
{
    int (*next)(int, int, const struct itimerspec *, struct itimerspec *) =
        (int (*)(int, int, const struct itimerspec *, struct itimerspec *))
        (uintptr_t)dlsym(RTLD_NEXT, "timerfd_settime");
    int result = next(fd, flags, new, old);

    if (more && result == 0 && flags == 0)
        note("timer %lld\n", nanoseconds(&new->it_value));
    return result;
}

int aio_suspend(const struct aiocb *const list[], int nr,
                const struct timespec *timeout)
{
    int (*next)(const struct aiocb *const [], int, const struct timespec *) =
        (int (*)(const struct aiocb *const [], int, const struct timespec *))
        (uintptr_t)dlsym(RTLD_NEXT, "aio_suspend");

    if (more && timeout != NULL)
        note("suspend %lld\n", nanoseconds(timeout));
    else if (more)
        note("suspend\n");
    return next(list, nr, timeout);
}

int aio_error(const struct aiocb *aiocb)
{
    static int (*next)(const struct aiocb *);
    static int calls;

    if (next == NULL)
        next = (int (*)(const struct aiocb *))(uintptr_t)dlsym(RTLD_NEXT,
                                                               "aio_error");
    if (more && ++calls == 1000)
        note("spin\n");
    return next(aiocb);
}
