/*
 * direct.h - can a file that is open be gone past the page cache?
 *
 * Some filesystems take the flag and go through the page cache all the same:
 * ext4 for files whose data are in the journal, for one. statx() tells.
 */
#include <fcntl.h>
#include <sys/stat.h>
#ifndef STATX_TYPE /* a C library without statx() */
#include <linux/stat.h>
#endif
#include <sys/syscall.h>
#include <unistd.h>

/* Turns O_DIRECT on, if that is so. */
static inline int go_direct(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx stx = { 0 };

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_mem_align == 0)
        return 0;
#endif
    return fcntl(fd, F_SETFL, O_DIRECT) == 0;
}

/* What offsets and lengths must be multiples of: 1 through the page cache. */
static inline unsigned direct_align(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx stx = { 0 };
#endif

    if (!go_direct(fd))
        return 1;
#ifdef STATX_DIOALIGN
    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
        (stx.stx_mask & STATX_DIOALIGN))
        return stx.stx_dio_offset_align;
#endif
    return 512; /* not known: as most disks have it */
}
