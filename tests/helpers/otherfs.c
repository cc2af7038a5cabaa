/*
 * otherfs.c - pretends that a file is on another filesystem
 *
 * A library to preload.
 *
 *     AIO_DIOALIGN='MEMORY OFFSET'     statx() made with syscall() says that
 *                                      these are the rules for O_DIRECT
 *     AIO_FSTYPE=0xMAGIC               fstatfs() says that this is the type
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
#include <sys/vfs.h>
#include <unistd.h>

int fstatfs(int fd, struct statfs *statfs)
{
    const char *magic = getenv("AIO_FSTYPE");
    int (*next)(int, struct statfs *);
    int result;

    *(void **)&next = dlsym(RTLD_NEXT, "fstatfs");
    result = next(fd, statfs);
    if (magic != NULL)
        statfs->f_type = strtoul(magic, NULL, 16);
    return result;
}

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
        char *stx = (char *)a[4];       /* struct statx, of 256 bytes */
        const uint32_t mask = 0x2000;
        uint32_t memory = 0, offset = 0;

        sscanf(rules, "%u %u", &memory, &offset);
        memset(stx, 0, 256);
        memcpy(stx, &mask, 4);
        memcpy(stx + 0x98, &memory, 4);
        memcpy(stx + 0x9c, &offset, 4);
        return 0;
    }
    *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
