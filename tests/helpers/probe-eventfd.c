/*
 * probe-eventfd.c - what the tests of chapter 5 ask: eventfd, POLL, waits
 *
 * See probe.h.
 *
 * Build:  cc -o probe-eventfd probe-eventfd.c
 * Usage:  ./probe-eventfd QUESTION [ARGUMENT]
 */
#include "probe.h"
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

static volatile sig_atomic_t handled;

static void on_alarm(int signo)
{
    (void)signo;
    handled = 1;
}

static void usr1(int unused)
{
    (void)unused;
    need(raise(SIGUSR1) == 0, "raise");
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
    prepare(0, reading ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE, ends[!reading], data,
            BLOCK);

    /* Only the alarm ends io_submit(), however often it comes too early. */
    setitimer(ITIMER_REAL, &often, NULL);
    printf("io_submit: %s", said(submit(&iocbs[0])));
    setitimer(ITIMER_REAL, &never, NULL);
    printf(", after an alarm: %s\n", handled ? "yes" : "no");
    need(reap(0) == 1, "io_getevents");
    printf("event: %s\n", name(-events[0].res));
}

/* Reads that need not wait: all is done when io_submit returns. */
static void done(const char *unused)
{
    char data[8];
    int ends[2], pair[2];

    (void)unused;
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
static void poll_masks(const char *unused)
{
    int pair[2];

    (void)unused;
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
    printf("the other end closed: POLLHUP %d\n", !!(events[0].res & POLLHUP));
}

/* An eventfd and a context need not belong to each other alone. */
static void shared_eventfd(const char *unused)
{
    int fds[] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
    aio_context_t first = ctx, second = 0;
    uint64_t count[2] = { 0 };
    int ends[2];

    (void)unused;
    need(fds[0] != -1 && fds[1] != -1 && pipe(ends) == 0, "eventfd");
    need(syscall(SYS_io_setup, 1L, &second) == 0, "io_setup");
    for (int i = 0; i < 3; i++) { /* the third in the second context */
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

/* Numbers and places that io_pgetevents refuses; none loses the event. */
static void pgetevents(const char *unused)
{
    struct io_event *nowhere = (struct io_event *)8;
    const struct {
        long min_nr, nr;
        struct io_event *events;
    } calls[] = { { -1, 1, events },
                  { 0, -1, events },
                  { 2, 1, events },
                  { 1, 1, nowhere },
                  { 1, 1, events } };
    int ends[2];

    (void)unused;
    need(pipe(ends) == 0 && write(ends[1], "x", 1) == 1, "pipe");
    prepare(0, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        printf("min_nr %ld, nr %ld%s: %s\n", calls[i].min_nr, calls[i].nr,
               calls[i].events == nowhere ? ", nowhere to put it" : "",
               said(syscall(SYS_io_pgetevents, ctx, calls[i].min_nr,
                            calls[i].nr, calls[i].events, NULL, NULL)));
}

/* A counter that is full, and completions all the same. */
static void full(const char *unused)
{
    const uint64_t most = UINT64_MAX - 1; /* that a write may make it */
    int fd = eventfd(0, EFD_NONBLOCK), ends[2];
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };
    uint64_t count = 0;

    (void)unused;
    need(fd != -1 && write(fd, &most, 8) == 8 && pipe(ends) == 0, "eventfd");
    for (int i = 0; i < 2; i++) {
        prepare(i, IOCB_CMD_POLL, ends[1], (void *)POLLOUT, 0);
        iocbs[i].aio_flags = IOCB_FLAG_RESFD;
        iocbs[i].aio_resfd = fd;
        printf("io_submit: %s, ", said(submit(&iocbs[i])));
        need(poll(&pollfd, 1, 0) == 1, "poll");
        printf("POLLERR: %s\n", pollfd.revents & POLLERR ? "yes" : "no");
    }
    need(read(fd, &count, 8) == 8, "read");
    printf("read: %llu, then %s\n", (unsigned long long)count,
           said(read(fd, &count, 8)));
    printf("events: %ld\n", reap(0));
}

/* The request has a hold on its eventfd: who closes it has another one. */
static void closed_eventfd(const char *unused)
{
    int fd = eventfd(0, EFD_NONBLOCK), copy = dup(fd), ends[2];
    uint64_t count = 0;

    (void)unused;
    need(fd != -1 && copy != -1 && pipe(ends) == 0, "eventfd");
    prepare(0, IOCB_CMD_POLL, ends[0], (void *)POLLIN, 0);
    iocbs[0].aio_flags = IOCB_FLAG_RESFD;
    iocbs[0].aio_resfd = fd;
    need(submit(&iocbs[0]) == 1 && close(fd) == 0, "io_submit");
    need(write(ends[1], "x", 1) == 1 && reap(1) == 1, "io_getevents");
    need(poll(&(struct pollfd){ .fd = copy, .events = POLLIN }, 1, 10000) != -1,
         "poll");
    printf("read: %s, ", said(read(copy, &count, 8)));
    printf("count: %d\n", (int)count);
}

/* Something comes into the pipe that was not written to it. */
static void spliced(const char *unused)
{
    int from[2], to[2];

    (void)unused;
    need(pipe(from) == 0 && pipe(to) == 0, "pipe");
    prepare(0, IOCB_CMD_POLL, to[0], (void *)POLLIN, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    printf("an empty pipe: %ld events\n", reap(0));
    need(write(from[1], "x", 1) == 1 &&
             splice(from[0], NULL, to[1], NULL, 1, 0) == 1 && reap(1) == 1,
         "splice");
    printf("a byte is spliced: POLLIN %d\n", !!(events[0].res & POLLIN));
}

/* One transfer, what io_submit said, how the event ended, which signal came. */
static void transfer(const char *what, int opcode, int fd, long long offset)
{
    static char byte;

    prepare(0, opcode, fd, &byte, 1);
    iocbs[0].aio_offset = offset;
    handled = 0;
    printf("%s: io_submit %s", what, said(submit(&iocbs[0])));
    if (handled)
        printf(", a signal");
    if (reap(0) == 1)
        printf(", event %s", events[0].res < 0 ? name(-events[0].res)
                                               : said((long)events[0].res));
    printf("\n");
}

/* Transfers that a pipe or a socket can't make. */
static void ends(const char *unused)
{
    int nobody_reads[2], ended[2], dead[2], pair[2];

    (void)unused;
    need(pipe(nobody_reads) == 0 && pipe2(ended, O_NONBLOCK) == 0 &&
             socketpair(AF_UNIX, SOCK_STREAM, 0, dead) == 0 &&
             socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0,
         "pipe");
    need(close(nobody_reads[0]) == 0 && close(dead[0]) == 0, "close");
    need(write(ended[1], "xx", 2) == 2 && close(ended[1]) == 0 &&
             write(pair[1], "xx", 2) == 2,
         "write");
    signal(SIGPIPE, on_alarm);
    transfer("PWRITE, nobody reads the pipe", IOCB_CMD_PWRITE, nobody_reads[1],
             0);
    transfer("PWRITE, the socket is dead", IOCB_CMD_PWRITE, dead[1], 0);
    transfer("PREAD of a pipe, offset 7", IOCB_CMD_PREAD, ended[0], 7);
    transfer("PREAD of a pipe, offset -1", IOCB_CMD_PREAD, ended[0], -1);
    transfer("PREAD of a pipe", IOCB_CMD_PREAD, ended[0], 0);
    transfer("PREAD of a pipe at its end", IOCB_CMD_PREAD, ended[0], 0);
    transfer("PREAD of a socket, offset 7", IOCB_CMD_PREAD, pair[0], 7);
    transfer("PWRITE to a socket, offset -1", IOCB_CMD_PWRITE, pair[0], -1);
    transfer("PREAD of a socket", IOCB_CMD_PREAD, pair[0], 0);
}

/* Asks whether `fd` can be read; has it come true; is that told? */
static void pollable(const char *what, int fd, void (*happen)(int), int arg)
{
    need(fd != -1, what);
    prepare(0, IOCB_CMD_POLL, fd, (void *)POLLIN, 0);
    printf("%s: ", what);
    if (submit(&iocbs[0]) == -1) {
        printf("%s\n", name(errno));
        return;
    }
    printf("taken, ");
    if (reap(0) != 0) {
        printf("answered at once\n");
        return;
    }
    happen(arg);
    poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, 10000);
    if (happen != usr1)
        printf("%s\n", reap(1) == 1 ? "answered" : "not answered");
    else
        printf("%s\n", usleep(50000) == 0 && reap(0) == 1 ? "answered"
                                                          : "not answered");
    if (happen == usr1) /* it is pending now */
        need(cancel(ctx, &iocbs[0], &events[0]) == -1 && reap(1) == 1,
             "io_cancel");
}

static void write_one(int fd)
{
    const uint64_t one = 1;

    need(write(fd, &one, sizeof(one)) == sizeof(one), "write");
}

static void expire(int fd)
{
    const struct itimerspec soon = { .it_value.tv_nsec = 1000000 };

    need(timerfd_settime(fd, 0, &soon, NULL) == 0, "timerfd_settime");
}

static void end_child(int child)
{
    need(kill(child, SIGKILL) == 0, "kill");
}

static void make_file(int unused)
{
    (void)unused;
    need(creat("created", 0600) != -1, "creat");
}

static void knock(int listening)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    int type, fd;

    need(getsockname(listening, (void *)&to, &size) == 0, "getsockname");
    size = sizeof(type);
    need(getsockopt(listening, SOL_SOCKET, SO_TYPE, &type, &size) == 0,
         "getsockopt");
    fd = socket(AF_INET, type, 0);
    need(connect(fd, (void *)&to, sizeof(to)) == 0, "connect");
    need(type == SOCK_STREAM || send(fd, "x", 1, 0) == 1, "send");
}

/* A socket at any port of 127.0.0.1; 0 where there is no loopback network. */
static int local(int type)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    int fd = socket(AF_INET, type, 0);

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd == -1 || bind(fd, (void *)&at, sizeof(at)) == -1)
        return 0;
    need(type != SOCK_STREAM || listen(fd, 1) == 0, "listen");
    return fd;
}

/* Which descriptors does a POLL request wait for? */
static void descriptors(const char *unused)
{
    sigset_t set;
    int fd, other;

    (void)unused;
    fd = eventfd(0, 0);
    pollable("eventfd", fd, write_one, fd);
    fd = timerfd_create(CLOCK_MONOTONIC, 0);
    pollable("timerfd", fd, expire, fd);
    fd = inotify_init();
    need(inotify_add_watch(fd, ".", IN_CREATE) != -1, "inotify_add_watch");
    pollable("inotify", fd, make_file, 0);
    fd = epoll_create1(0);
    other = eventfd(0, 0);
    need(epoll_ctl(fd, EPOLL_CTL_ADD, other,
                   &(struct epoll_event){ .events = EPOLLIN }) == 0,
         "epoll_ctl");
    pollable("epoll", fd, write_one, other);
#ifdef SYS_pidfd_open /* Linux 5.3 */
    int child = fork();

    if (child == 0)
        for (;;)
            pause();
    pollable("pidfd", syscall(SYS_pidfd_open, child, 0), end_child, child);
#endif
    fd = local(SOCK_DGRAM);
    if (fd != 0)
        pollable("UDP socket", fd, knock, fd);
    fd = local(SOCK_STREAM);
    if (fd != 0)
        pollable("TCP listener", fd, knock, fd);
    need(mkfifo("fifo", 0600) == 0, "mkfifo");
    fd = open("fifo", O_RDWR);
    pollable("FIFO open for both", fd, write_one, fd);
    fd = posix_openpt(O_RDWR | O_NOCTTY);
    need(fd != -1 && grantpt(fd) == 0 && unlockpt(fd) == 0, "posix_openpt");
    other = open(ptsname(fd), O_RDWR | O_NOCTTY);
    pollable("terminal", other, write_one, fd);
    pollable("terminal's other side", fd, write_one, other);

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    need(sigprocmask(SIG_BLOCK, &set, NULL) == 0, "sigprocmask");
    fd = signalfd(-1, &set, 0);
    pollable("signalfd", fd, usr1, 0);
    pollable("signalfd, the signal is pending", fd, usr1, 0);
}

/* Pages in a pipe are the writer's, until they are read; a gift is not. */
static void vmspliced(const char *unused)
{
    size_t size = sysconf(_SC_PAGESIZE);
    char first[3] = "";

    (void)unused;
    for (int gift = 0; gift < 2; gift++) {
        char *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        struct iovec segment = { page, size };
        int ends[2];

        need(page != MAP_FAILED && pipe(ends) == 0, "mmap");
        memset(page, 'a', size);
        need(vmsplice(ends[1], &segment, 1, gift ? SPLICE_F_GIFT : 0) ==
                 (ssize_t)size,
             "vmsplice");
        if (gift)
            need(munmap(page, size) == 0, "munmap");
        else
            memset(page, 'b', size);
        need(read(ends[0], &first[gift], 1) == 1, "read");
    }
    printf("changed later: %c, unmapped: %c\n", first[0], first[1]);
}

/* connect() to somebody who listens, without waiting for it. */
static void connecting(const char *unused)
{
    struct sockaddr_in to = { .sin_family = AF_INET };
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct pollfd pollfd = { .fd = fd, .events = POLLOUT };
    socklen_t size = sizeof(to);
    int error = -1, n;

    (void)unused;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    need(bind(listening, (void *)&to, size) == 0, "bind");
    need(getsockname(listening, (void *)&to, &size) == 0, "getsockname");
    close(listening); /* so nobody does */
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
    static const struct question questions[] = {
        { "reason", reason },
        { "counter", counter },
        { "blocked", blocked },
        { "done", done },
        { "poll-masks", poll_masks },
        { "shared-eventfd", shared_eventfd },
        { "pgetevents", pgetevents },
        { "full", full },
        { "closed-eventfd", closed_eventfd },
        { "spliced", spliced },
        { "ends", ends },
        { "descriptors", descriptors },
        { "vmspliced", vmspliced },
        { "connecting", connecting },
        { NULL, NULL },
    };

    return ask(questions, argc, argv);
}
