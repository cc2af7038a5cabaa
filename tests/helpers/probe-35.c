/*
 * probe-35.c - what the tests of chapters 3 and 5 ask the kernel
 *
 * Each question is a word on the command line; the answer goes to stdout, an
 * errno by its name. What can't be asked at all ends with status 1.
 *
 * Build:  cc -o probe-35 probe-35.c
 * Usage:  ./probe-35 QUESTION [ARGUMENT]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, MANY = 32 };

static const struct { int number; const char *name; } errors[] = {
    { EAGAIN, "EAGAIN" }, { EBADF, "EBADF" },
    { ECONNREFUSED, "ECONNREFUSED" }, { ENETUNREACH, "ENETUNREACH" },
    { EFAULT, "EFAULT" },
    { EFBIG, "EFBIG" }, { EINPROGRESS, "EINPROGRESS" }, { EINTR, "EINTR" },
    { EINVAL, "EINVAL" }, { EIO, "EIO" }, { EMFILE, "EMFILE" },
    { ENOENT, "ENOENT" }, { ENOMEM, "ENOMEM" }, { ENOSPC, "ENOSPC" },
    { ENOSYS, "ENOSYS" }, { EPERM, "EPERM" }, { EPIPE, "EPIPE" },
    { ESPIPE, "ESPIPE" }, { ETIMEDOUT, "ETIMEDOUT" },
};

static aio_context_t ctx;
static struct iocb iocbs[MANY];
static struct io_event events[MANY];
static volatile sig_atomic_t handled;

static const char *name(long error)
{
    static char number[32];

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == error)
            return errors[i].name;
    snprintf(number, sizeof(number), "errno %ld", error);
    return number;
}

/* A call's result as text: the number, or the error's name. */
static const char *said(long result)
{
    static char number[32];

    if (result == -1)
        return name(errno);
    snprintf(number, sizeof(number), "%ld", result);
    return number;
}

static void need(int fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static long submit(struct iocb *iocb)
{
    return syscall(SYS_io_submit, ctx, 1L, &iocb);
}

static long cancel(aio_context_t in, void *iocb, void *result)
{
    return syscall(SYS_io_cancel, in, iocb, result);
}

/* Takes what there is, at least min_nr events, at most ten seconds long. */
static long reap(long min_nr)
{
    struct timespec timeout = { .tv_sec = 10 };

    return syscall(SYS_io_getevents, ctx, min_nr, (long)MANY, events,
                   &timeout);
}

static struct iocb *prepare(int i, int opcode, int fd, void *data, long bytes)
{
    memset(&iocbs[i], 0, sizeof(iocbs[i]));
    iocbs[i].aio_data = i;
    iocbs[i].aio_lio_opcode = opcode;
    iocbs[i].aio_fildes = fd;
    iocbs[i].aio_buf = (uintptr_t)data;
    iocbs[i].aio_nbytes = bytes;
    return &iocbs[i];
}

static void *block(void)
{
    void *data = NULL;

    need(posix_memalign(&data, BLOCK, BLOCK) == 0, "posix_memalign");
    memset(data, 'p', BLOCK);
    return data;
}

static void on_alarm(int signo)
{
    (void)signo;
    handled = 1;
}

/* ---- The questions ---- */

/* The text of an error, as this C library has it. */
static void reason(const char *error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!strcmp(errors[i].name, error))
            puts(strerror(errors[i].number));
}

/* Can this file be opened with O_DIRECT? */
static void direct(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_DIRECT, 0666);

    need(fd != -1 || errno == EINVAL, path);
    puts(fd != -1 ? "yes" : "no");
}

/* Which of io_cancel's checks comes first. */
static void cancel_checks(void)
{
    struct iocb *iocb = prepare(0, IOCB_CMD_POLL, 0, NULL, 0);
    struct iocb *unreadable = (struct iocb *)8;

    printf("bad context, bad iocb: %s\n", said(cancel(1, unreadable, NULL)));
    printf("bad context: %s\n", said(cancel(1, iocb, NULL)));
    printf("bad iocb: %s\n", said(cancel(ctx, unreadable, NULL)));
    iocb->aio_key = 1;
    printf("wrong key: %s\n", said(cancel(ctx, iocb, NULL)));
    iocb->aio_key = 0;
    printf("never submitted: %s\n", said(cancel(ctx, iocb, NULL)));
}

/* A file's requests, cancelled as soon as they are in flight. */
static void cancel_file(const char *path)
{
    int flags = O_RDWR | O_CREAT, refused = 0, whole = 0;
    void *data = block();
    int fd = open(path, flags | O_DIRECT, 0666);

    if (fd == -1)
        fd = open(path, flags, 0666);
    need(fd != -1, path);
    for (int i = 0; i < MANY; i++)
        need(pwrite(fd, data, BLOCK, (off_t)i * BLOCK) == BLOCK, "pwrite");
    for (int i = 0; i < MANY; i++) {
        struct iocb *iocb = prepare(i, i % 2 ? IOCB_CMD_PREAD :
                                    IOCB_CMD_PWRITE, fd, data, BLOCK);

        iocb->aio_offset = (long long)i * BLOCK;
        need(submit(iocb) == 1, "io_submit");
        if (cancel(ctx, iocb, NULL) == -1 && errno == EINVAL)
            refused++;
    }
    for (int n, reaped = 0; reaped < MANY; reaped += n) {
        n = reap(1);
        need(n > 0, "io_getevents");
        for (int i = 0; i < n; i++)
            whole += events[i].res == BLOCK;
    }
    printf("EINVAL: %d of %d, done: %d\n", refused, MANY, whole);

    /* An fsync is in a work queue, and stays there. */
    need(submit(prepare(0, IOCB_CMD_FSYNC, fd, NULL, 0)) == 1, "io_submit");
    printf("FSYNC: %s", said(cancel(ctx, &iocbs[0], NULL)));
    need(reap(1) == 1, "io_getevents");
    printf(", done: %lld\n", (long long)events[0].res);
}

/* A pending POLL: `result` is not looked at, and the event comes late. */
static void cancel_poll(void)
{
    struct iocb copy;
    int ends[2];

    need(pipe(ends) == 0, "pipe");
    prepare(0, IOCB_CMD_POLL, ends[0], (void *)(uintptr_t)POLLIN, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    copy = iocbs[0];
    printf("a copy of the iocb: %s\n", said(cancel(ctx, &copy, NULL)));
    printf("unreadable result: %s\n", said(cancel(ctx, &iocbs[0], (void *)8)));
    printf("again: %s\n", said(cancel(ctx, &iocbs[0], NULL)));
    printf("events: %s", said(reap(1)));
    printf(", res %lld\n", (long long)events[0].res);
    printf("after its event: %s\n", said(cancel(ctx, &iocbs[0], NULL)));

    need(submit(&iocbs[0]) == 1 && write(ends[1], "x", 1) == 1, "write");
    printf("answered, not reaped: %s\n", said(cancel(ctx, &iocbs[0], NULL)));
    printf("events: %s", said(reap(1)));
    printf(", POLLIN: %s\n", events[0].res & POLLIN ? "yes" : "no");
}

/* Eight writes that tell an eventfd; `how` to look at it afterwards. */
static void counter(const char *how)
{
    FILE *file = tmpfile();
    int flags = !strcmp(how, "semaphore") ? EFD_SEMAPHORE : 0;
    int fd = eventfd(0, EFD_NONBLOCK | flags);
    uint64_t count;

    need(file != NULL && fd != -1, "tmpfile, eventfd");
    for (int i = 0; i < 8; i++) {
        prepare(i, IOCB_CMD_PWRITE, fileno(file), "x", 1);
        iocbs[i].aio_flags = IOCB_FLAG_RESFD;
        iocbs[i].aio_resfd = fd;
        need(submit(&iocbs[i]) == 1, "io_submit");
    }
    if (!strcmp(how, "reaped"))
        printf("events: %ld\n", reap(8));
    for (;;) {
        long n = read(fd, &count, sizeof(count));

        printf("read: %s\n", said(n == -1 ? -1 : (long)count));
        if (n == -1)
            break;
    }
    if (strcmp(how, "reaped") != 0)
        printf("events: %ld\n", reap(8));
    printf("events left: %ld\n", reap(0));
}

/* A transfer that can't go on, through a pipe that waits. */
static void blocked(const char *direction)
{
    struct itimerval often = { { 0, 10000 }, { 0, 10000 } };
    struct itimerval never = { { 0, 0 }, { 0, 0 } };
    struct sigaction action = { .sa_handler = on_alarm };
    int reading = !strcmp(direction, "read"), ends[2];
    void *data = block();

    need(pipe(ends) == 0 && sigaction(SIGALRM, &action, NULL) == 0, "pipe");
    if (!reading) {
        fcntl(ends[1], F_SETFL, O_NONBLOCK);
        while (write(ends[1], data, BLOCK) > 0)
            ;
        fcntl(ends[1], F_SETFL, 0);
    }
    prepare(0, reading ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
            ends[!reading], data, BLOCK);

    /* Only the alarm ends io_submit(), however often it comes too early. */
    setitimer(ITIMER_REAL, &often, NULL);
    printf("io_submit: %s", said(submit(&iocbs[0])));
    setitimer(ITIMER_REAL, &never, NULL);
    printf(", after an alarm: %s\n", handled ? "yes" : "no");
    need(reap(0) == 1, "io_getevents");
    printf("event: %s\n", name(-events[0].res));
}

/* Reads that need not wait: all is done when io_submit returns. */
static void done(void)
{
    char data[8];
    int ends[2], pair[2];

    need(pipe2(ends, O_NONBLOCK) == 0, "pipe2");
    need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) == 0,
         "socketpair");
    for (int i = 0; i < 2; i++) {
        int *fds = i == 0 ? ends : pair;

        prepare(0, IOCB_CMD_PREAD, fds[0], data, sizeof(data));
        need(submit(&iocbs[0]) == 1 && reap(0) == 1, "io_submit");
        printf("%s, empty: %s\n", i == 0 ? "pipe" : "socket",
               name(-events[0].res));
        need(write(fds[1], "four", 4) == 4, "write");
        need(submit(&iocbs[0]) == 1 && reap(0) == 1, "io_submit");
        printf("%s, with data: %lld\n", i == 0 ? "pipe" : "socket",
               (long long)events[0].res);
    }
}

/* POLL: what is true now is told at once, else when it comes true. */
static void poll_masks(void)
{
    int pair[2];

    need(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
    prepare(0, IOCB_CMD_POLL, pair[0], (void *)(POLLIN | POLLOUT), 0);
    need(submit(&iocbs[0]) == 1 && reap(0) == 1, "io_submit");
    printf("POLLIN|POLLOUT: POLLIN %d, POLLOUT %d\n",
           !!(events[0].res & POLLIN), !!(events[0].res & POLLOUT));

    prepare(0, IOCB_CMD_POLL, pair[0], (void *)POLLIN, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    printf("POLLIN, nothing there: %ld events\n", reap(0));
    need(write(pair[1], "x", 1) == 1 && reap(1) == 1, "io_getevents");
    printf("POLLIN, written to: POLLIN %d\n", !!(events[0].res & POLLIN));

    /* POLLHUP and POLLERR need not be asked for. */
    prepare(0, IOCB_CMD_POLL, pair[0], (void *)0, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    printf("no events asked for: %ld events\n", reap(0));
    close(pair[1]);
    need(reap(1) == 1, "io_getevents");
    printf("the other end closed: POLLHUP %d\n",
           !!(events[0].res & POLLHUP));
}

/* An eventfd and a context need not belong to each other alone. */
static void shared_eventfd(void)
{
    int fds[] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
    aio_context_t first = ctx, second = 0;
    uint64_t count[2] = { 0 };
    int ends[2];

    need(fds[0] != -1 && fds[1] != -1 && pipe(ends) == 0, "eventfd");
    need(syscall(SYS_io_setup, 1L, &second) == 0, "io_setup");
    for (int i = 0; i < 3; i++) {       /* the third in the second context */
        prepare(i, IOCB_CMD_POLL, ends[1], (void *)POLLOUT, 0);
        iocbs[i].aio_flags = IOCB_FLAG_RESFD;
        iocbs[i].aio_resfd = fds[i == 1];
        ctx = i == 2 ? second : first;
        need(submit(&iocbs[i]) == 1 && reap(1) == 1, "io_submit");
    }
    for (int i = 0; i < 2; i++)
        need(read(fds[i], &count[i], 8) == 8, "read");
    printf("of both contexts: %d, the other eventfd: %d\n", (int)count[0],
           (int)count[1]);
}

/* Pages in a pipe are the writer's, until they are read; a gift is not. */
static void vmspliced(void)
{
    size_t size = sysconf(_SC_PAGESIZE);
    char first[3] = "";

    for (int gift = 0; gift < 2; gift++) {
        char *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct iovec segment = { page, size };
        int ends[2];

        need(page != MAP_FAILED && pipe(ends) == 0, "mmap");
        memset(page, 'a', size);
        need(vmsplice(ends[1], &segment, 1, gift ? SPLICE_F_GIFT : 0) ==
             (ssize_t)size, "vmsplice");
        if (gift)
            need(munmap(page, size) == 0, "munmap");
        else
            memset(page, 'b', size);
        need(read(ends[0], &first[gift], 1) == 1, "read");
    }
    printf("changed later: %c, unmapped: %c\n", first[0], first[1]);
}

/* connect() to somebody who listens, without waiting for it. */
static void connecting(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
    socklen_t size = sizeof(to);
    int error = -1, n;

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(bind(listening, (void *)&to, size) == 0, "bind");
    need(getsockname(listening, (void *)&to, &size) == 0, "getsockname");
    close(listening);                   /* so nobody does */
    n = connect(fd, (void *)&to, size);
    printf("connect: %s", said(n));
    need(poll(&pollfd, 1, 10000) == 1, "poll");
    size = sizeof(error);
    need(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0,
         "getsockopt");
    printf(", SO_ERROR: %s\n", name(error));
}

int main(int argc, char **argv)
{
    const char *question = argc > 1 ? argv[1] : "";
    const char *argument = argc > 2 ? argv[2] : "";

    if (!strcmp(question, "reason")) {
        reason(argument);
        return 0;
    }
    if (!strcmp(question, "direct")) {
        direct(argument);
        return 0;
    }
    need(syscall(SYS_io_setup, MANY, &ctx) == 0, "io_setup");
    if (!strcmp(question, "cancel-checks"))
        cancel_checks();
    else if (!strcmp(question, "cancel-file"))
        cancel_file(argument);
    else if (!strcmp(question, "cancel-poll"))
        cancel_poll();
    else if (!strcmp(question, "counter"))
        counter(argument);
    else if (!strcmp(question, "blocked"))
        blocked(argument);
    else if (!strcmp(question, "done"))
        done();
    else if (!strcmp(question, "shared-eventfd"))
        shared_eventfd();
    else if (!strcmp(question, "vmspliced"))
        vmspliced();
    else if (!strcmp(question, "connecting"))
        connecting();
    else if (!strcmp(question, "poll-masks"))
        poll_masks();
    else
        return 2;
    return 0;
}
