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
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static volatile sig_atomic_t handled;

static void on_alarm(int signo)
{
    (void)signo;
    handled = 1;
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
        { "vmspliced", vmspliced },
        { "connecting", connecting },
        { NULL, NULL },
    };

    return ask(questions, argc, argv);
}
