/*
 * otherfs.c - pretends that a file is on another filesystem
 *
 * A library to preload.
 *
 *     AIO_DIOALIGN='MEMORY OFFSET'     statx() made with syscall() says that
 *                                      these are the rules for O_DIRECT
 *
 * Build:  cc -shared -fPIC -o otherfs.so otherfs.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* struct statx of the kernel, as far as needed: not every libc's has it all. */
struct kernel_statx {
    uint32_t mask, others[37];
    uint32_t dio_mem_align, dio_offset_align;
    uint32_t more[24];
};

long syscall(long number, ...)
{
    const char *rules = getenv("AIO_DIOALIGN");
    long (*next)(long, ...);
    long a[6];
    va_list args;

    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);

    if (number == SYS_statx && rules != NULL) {
        struct kernel_statx *stx = (void *)a[4];

        memset(stx, 0, sizeof(*stx));
        stx->mask = 0x2000; /* STATX_DIOALIGN */
        sscanf(rules, "%u %u", &stx->dio_mem_align, &stx->dio_offset_align);
        return 0;
    }
    *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
