/*
 * life.c - one whole life of an AIO context, call by call, for make doctor
 *
 * A sandbox may filter each call by itself, and an emulator may know some and
 * not others. So each is made once, and each has its line: "CALL ok", or
 * "CALL" and the reason. A line that ends behind CALL is that of a call that
 * did not come back. Last, whether FILE's folder can be asynchronous at all:
 * "async yes" or "async no".
 *
 * Build:  cc -o life life.c
 * Usage:  ./life FILE        (made, and removed)
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 65536, TRIES = 32 };

static aio_context_t ctx;

static int is_async(const char *path);
static void begin(const char *call);
static long ended(long result);

int main(int argc, char **argv)
{
    struct iocb poll = { .aio_lio_opcode = IOCB_CMD_POLL, .aio_buf = POLLIN };
    struct iocb *list[1] = { &poll };
    struct io_event event;
    long two_seconds[2] = { 2, 0 }; /* the kernel's timespec */
    long taken;
    int ends[2];

    if (argc != 2)
        errx(2, "Usage: life FILE");
    if (pipe(ends) == -1)
        err(1, "pipe");
    poll.aio_fildes = ends[0];

    begin("io_setup");
    if (ended(syscall(SYS_io_setup, 4, &ctx)) == -1)
        return 1;
    begin("io_submit");
    taken = ended(syscall(SYS_io_submit, ctx, 1L, list)) == 1;
    if (taken) {
        begin("io_cancel");
        if (syscall(SYS_io_cancel, ctx, &poll, &event) == -1 &&
            errno == EINPROGRESS)
            ended(0);
        else
            ended(-1);
    }
    if (write(ends[1], "", 1) == -1) /* the request ends in any case */
        err(1, "write");
#ifdef SYS_io_pgetevents
    begin("io_pgetevents");
    ended(syscall(SYS_io_pgetevents, ctx, 0L, 0L, NULL, NULL, NULL));
#endif
    begin("io_getevents");
    ended(syscall(SYS_io_getevents, ctx, taken, 1L, &event, two_seconds));
    printf("async %s\n", is_async(argv[1]) ? "yes" : "no");
    begin("io_destroy");
    ended(syscall(SYS_io_destroy, ctx));
    return 0;
}

/* Is any overwrite past the page cache still under way after io_submit()? */
static int is_async(const char *path)
{
    unsigned *ring = (void *)(uintptr_t)ctx; /* id, nr, head, tail, magic */
    int fd = open(path, O_RDWR | O_CREAT | O_DIRECT, 0666);
    void *data = NULL;
    int later = 0;

    if (fd == -1)
        return 0;
    if (posix_memalign(&data, BLOCK, BLOCK) != 0)
        errx(1, "posix_memalign");
    memset(data, 'x', BLOCK);
    for (int i = 0; i < TRIES && !later; i++) {
        struct iocb iocb = {
            .aio_lio_opcode = IOCB_CMD_PWRITE,
            .aio_fildes = fd,
            .aio_buf = (uintptr_t)data,
            .aio_nbytes = BLOCK,
        };
        struct iocb *list[1] = { &iocb };
        struct io_event event;

        /* The first one makes the block that the others overwrite. */
        if (syscall(SYS_io_submit, ctx, 1L, list) != 1)
            break;
        later = i > 0 && ring[4] == 0xa10a10a1 &&
                __atomic_load_n(&ring[3], __ATOMIC_ACQUIRE) == ring[2];
        if (syscall(SYS_io_getevents, ctx, 1L, 1L, &event, NULL) != 1 ||
            event.res != BLOCK)
            break;
    }
    close(fd); /* and not free(data): a request may be in flight */
    unlink(path);
    return later;
}

static void begin(const char *call)
{
    printf("%s", call);
    fflush(stdout);
}

static long ended(long result)
{
    printf(" %s\n", result == -1 ? strerror(errno) : "ok");
    fflush(stdout);
    return result;
}
