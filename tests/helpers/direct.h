/*
 * direct.h - can a file that is open be gone past the page cache?
 *
 * Some filesystems take the flag and go through the page cache all the same:
 * ext4 for files whose data are in the journal, for one. statx() tells.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* STATX_DIOALIGN. In stx[38] and stx[39]: memory's alignment, and offset's. */
static inline int dioalign(int fd, uint32_t stx[64])
{
    return syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0x2000, stx) == 0 &&
           (stx[0] & 0x2000);
}

/* Turns O_DIRECT on, if that is so. */
static inline int go_direct(int fd)
{
    uint32_t stx[64] = { 0 };

    if (dioalign(fd, stx) && stx[38] == 0)
        return 0;
    return fcntl(fd, F_SETFL, O_DIRECT) == 0;
}

/* What offsets and lengths must be multiples of: 1 through the page cache. */
static inline unsigned direct_align(int fd)
{
    uint32_t stx[64] = { 0 };

    if (!go_direct(fd))
        return 1;
    return dioalign(fd, stx) ? stx[39] : 512; /* as most disks have it */
}
