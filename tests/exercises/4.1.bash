# shellcheck shell=bash disable=SC2034,SC2154
name=1-misaligned
chapter=04-odirect
kind='find the bug'
title='O_DIRECT, and what it wants to be aligned'
# Where misaligned requests are refused it also misses bytes, and says so.
reason='*multiples of 4096*PWRITE:1024:1024*'

check() {
    local row

    pages_are_aligned
    for row in a b c d e f g h i j k l m n o p; do
        printf "%01024d" 0 | tr 0 "$row"
    done >expected

    situation 'All goes well:'
    watch=all run demo.dat
    [[ $errors != *'open demo.dat: Invalid argument' ]] ||
        skip 'there is no O_DIRECT on this filesystem'
    expect_aligned
    expect_success
    expect_output 'written: 16384 bytes'
    expect_same demo.dat expected
    expect_direct
    expect_calls io_submit 1+

    situation 'A write fails:' 3
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat: No space left on device'

    situation 'Only 512 bytes of the first write come through:' 3
    AIO_FAULT='io_getevents@1=res=512' run demo.dat
    expect_error 'IOCB_CMD_PWRITE demo.dat*: *' \
        'IOCB_CMD_PWRITE demo.dat (what you like): (any reason)'
}

hints=(
    'Print res of each event, as a signed number, and look it up: grep it in
/usr/include/asm-generic/errno-base.h (or errno -l, if you have moreutils).
What does chapter 4 say three things must be multiples of?'
    'calloc() does not align to 4096; posix_memalign() does. And a request of
1024 bytes is never a multiple of 4096: but the rows lie one behind the other
in memory, and so they do in the file.'
    'Four rows make one request: 4 requests of 4096 bytes. Compare res with
4096; if it is negative, errno = -res and err().'
)
notice='Rows that lie one behind the other, in memory and in the file, are one
request. And 4096 is the safe choice: what one disk or kernel takes (512, or 4
for memory, or anything within a page), the next refuses.'

wrong=(
    'without O_DIRECT there are no rules|s/ | O_DIRECT//'
    'O_DIRECT is taken back|s/^    errno = posix_memalign(/    fcntl(fd, F_SETFL, 0);\n&/'
    'the memory is a multiple of 512 only|s/ROWS \* ROW);/ROWS * ROW + 512);/; s/table = memory;/table = (char *)memory + 512;/; s/^    free(table);//'
    'requests of four rows, but the memory is any|s/errno = posix_memalign(&memory, BLOCK, ROWS \* ROW);/memory = malloc(ROWS * ROW + 16); errno = 0;/; s/table = memory;/table = (char *)memory + 16;/; s/^    free(table);//'
    'rows of 1024 bytes from aligned memory|s/BLOCK = 4096,/BLOCK = 1024,/; s/posix_memalign(&memory, BLOCK,/posix_memalign(\&memory, 4096,/'
    'a short write is fine @short|s/events\[i\].res != BLOCK/events[i].res < 0/'
    'an error is a short write|s/errno = events.*/errno = EINVAL;/'
)
right=(
    'one request for all|s/REQUESTS = ROWS \* ROW . BLOCK/REQUESTS = 1/; s/\.aio_nbytes = BLOCK/.aio_nbytes = ROWS * ROW/; s/events\[i\].res != BLOCK/events[i].res != ROWS * ROW/'
    'aligned_alloc()|s/errno = posix_memalign(&memory, BLOCK, ROWS \* ROW);/memory = aligned_alloc(BLOCK, ROWS * ROW); errno = memory ? 0 : ENOMEM;/'
    'aligned to 64 KiB, the last block first|s/posix_memalign(&memory, BLOCK,/posix_memalign(\&memory, 65536,/; s/list\[i\] = &iocbs\[i\];/list[REQUESTS - 1 - i] = \&iocbs[i];/'
)
