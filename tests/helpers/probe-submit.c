/*
 * probe-submit.c - what the tests of chapter 3 ask: lists, limits, io_cancel
 *
 * See probe.h.
 *
 * Build:  cc -o probe-submit probe-submit.c
 * Usage:  ./probe-submit QUESTION [ARGUMENT]
 */
#include "probe.h"
#include <poll.h>
#include <sched.h>

/* A new file, open for reading and writing, past the page cache if it can. */
static int scratch(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0666);

    if (fd == -1)
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
    need(fd != -1, path);
    return fd;
}

/* What stands ahead of a bad request is taken and done, what stands behind
 * it is not looked at. */
static void bad_in_the_middle(const char *path)
{
    struct iocb *list[4], *missing = (struct iocb *)8;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);

    need(fd != -1, path);
    for (int i = 0; i < 4; i++) {
        list[i] = prepare(i, IOCB_CMD_PWRITE, fd, "x", 1);
        iocbs[i].aio_offset = i;
    }
    list[2] = missing;
    printf("four, and the third can't be read: %s\n",
           said(submit_list(4, list)));
    printf("events: %s", said(reap(2)));
    printf(", res %d and %d\n", (int)events[0].res, (int)events[1].res);
    printf("the rest: %s\n", said(submit_list(2, list + 2)));
    printf("the rest without it: %s\n", said(submit_list(1, list + 3)));
    need(reap(1) == 1, "io_getevents");
}

/* 2000 requests that wait, in one call. The kernel keeps the places of the
 * ring in portions for the CPUs; what is less than a portion stays unused. */
static void two_thousand(const char *cpus)
{
    static struct iocb *list[2000];
    unsigned nr = ((unsigned *)(uintptr_t)ctx)[1], portion;
    cpu_set_t here;
    int ends[2];

    CPU_ZERO(&here);
    CPU_SET(sched_getcpu(), &here);
    sched_setaffinity(0, sizeof(here), &here);
    need(pipe(ends) == 0, "pipe");
    prepare(0, IOCB_CMD_POLL, ends[0], (void *)(uintptr_t)POLLIN, 0);
    for (int i = 0; i < 2000; i++)
        list[i] = &iocbs[0];
    portion = (nr - 1) / (4 * atoi(cpus));
    if (portion == 0)
        portion = 1;
    printf("places %u, computed %u", nr, (nr - 1) / portion * portion);
    printf(", taken %s", said(submit_list(2000, list)));
    printf(", then %s\n", said(submit_list(1, list)));
}

/* Closing a descriptor does nothing to the requests that were made with it,
 * nor does a new one that gets its number. */
static void closed(const char *path)
{
    int fd = scratch(path), other, ends[2], whole = 0;
    void *data = block();
    char text[2] = "";

    for (int i = 0; i < MANY; i++) {
        prepare(i, IOCB_CMD_PWRITE, fd, data, BLOCK);
        iocbs[i].aio_offset = (long long)i * BLOCK;
        need(submit(&iocbs[i]) == 1, "io_submit");
    }
    close(fd);
    other = open("/dev/null", O_RDONLY);
    printf("the same number: %s\n", other == fd ? "yes" : "no");
    for (int n, reaped = 0; reaped < MANY; reaped += n) {
        n = reap(1);
        need(n > 0, "io_getevents");
        for (int i = 0; i < n; i++)
            whole += events[i].res == BLOCK;
    }
    printf("whole: %d of %d\n", whole, MANY);

    /* POLL: nobody else could know that this pipe can be read. */
    need(pipe(ends) == 0, "pipe");
    prepare(0, IOCB_CMD_POLL, ends[0], (void *)(uintptr_t)POLLIN, 0);
    need(submit(&iocbs[0]) == 1, "io_submit");
    close(ends[0]);
    need(reap(0) == 0, "an event");
    printf("write to a pipe that only a POLL reads: %s\n",
           said(write(ends[1], text, 1)));
    need(reap(1) == 1, "io_getevents");
    printf("its event: POLLIN %d\n", !!(events[0].res & POLLIN));
}

/* Which of io_cancel's checks comes first. */
static void cancel_checks(const char *unused)
{
    struct iocb *iocb = prepare(0, IOCB_CMD_POLL, 0, NULL, 0);
    struct iocb *unreadable = (struct iocb *)8;

    (void)unused;
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
    int fd = scratch(path), refused = 0, whole = 0;
    void *data = block();

    for (int i = 0; i < MANY; i++)
        need(pwrite(fd, data, BLOCK, (off_t)i * BLOCK) == BLOCK, "pwrite");
    for (int i = 0; i < MANY; i++) {
        struct iocb *iocb = prepare(i, i % 2 ? IOCB_CMD_PREAD : IOCB_CMD_PWRITE,
                                    fd, data, BLOCK);

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
static void cancel_poll(const char *unused)
{
    struct iocb copy;
    int ends[2];

    (void)unused;
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

int main(int argc, char **argv)
{
    static const struct question questions[] = {
        { "reason", reason },
        { "direct", direct },
        { "bad-in-the-middle", bad_in_the_middle },
        { "two-thousand", two_thousand },
        { "closed", closed },
        { "cancel-checks", cancel_checks },
        { "cancel-file", cancel_file },
        { "cancel-poll", cancel_poll },
        { NULL, NULL },
    };

    return ask(questions, argc, argv);
}
