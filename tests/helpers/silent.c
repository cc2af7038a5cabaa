/*
 * silent.c - a program that says too little, for exercise 2.4
 *
 * Whoever starts it has opened three files: it copies descriptor 3 to 4, and
 * notes in 5 how many bytes that were. Each of these is a request of AIO's.
 * Whatever goes wrong, it says "failed". (You do the exercise? Then do not
 * read on: most programs that say too little come without their source.)
 *
 * Build:  cc -o silent silent.c
 * Usage:  ./silent 3<IN 4>OUT 5>LOG
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IN = 3, OUT, LOG };

static aio_context_t ctx;
static char data[4096];

static long request(int opcode, int fd, long length, long long offset);

int main(void)
{
    long long copied = 0;
    long n;

    if (syscall(SYS_io_setup, 1, &ctx) == -1)
        n = -1;
    else
        while ((n = request(IOCB_CMD_PREAD, IN, sizeof(data), copied)) > 0) {
            if (request(IOCB_CMD_PWRITE, OUT, n, copied) != n) {
                n = -1;
                break;
            }
            copied += n;
        }
    if (n == 0) {
        n = snprintf(data, sizeof(data), "%lld bytes\n", copied);
        if (request(IOCB_CMD_PWRITE, LOG, n, 0) == n)
            return EXIT_SUCCESS;
    }
    fputs("failed\n", stderr);
    return EXIT_FAILURE;
}

/* Makes a request, and returns what came of it; -1 if none could be made. */
static long request(int opcode, int fd, long length, long long offset)
{
    struct iocb iocb = { .aio_lio_opcode = opcode,
                         .aio_fildes = fd,
                         .aio_buf = (uintptr_t)data,
                         .aio_nbytes = length,
                         .aio_offset = offset };
    struct iocb *list[1] = { &iocb };
    struct io_event event;
    long n;

    do
        n = syscall(SYS_io_submit, ctx, 1L, list);
    while (n == -1 && errno == EINTR);
    if (n != 1)
        return -1;
    do
        n = syscall(SYS_io_getevents, ctx, 1L, 1L, &event, NULL);
    while (n == -1 && errno == EINTR);
    return n == 1 ? (long)event.res : -1;
}
