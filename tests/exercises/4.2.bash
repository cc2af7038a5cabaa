# shellcheck shell=bash disable=SC2034,SC2154
name=2-tail
chapter=04-odirect
kind='fill in'
title='the tail of a file that is no whole block'
reason='*expected: demo.dat holds 10000 bytes*8192 bytes*'

check() {
    local size

    pages_are_aligned
    for size in 10000 1 4095 4096 4097 0; do
        awk -v size="$size" 'BEGIN {
            for (i = 0; i < size; i++)
                printf "%c", 97 + i % 26
        }' >"expected.$size"
        situation "A file of $size bytes:"
        watch=all run demo.dat "$size"
        [[ $errors != *'open demo.dat: Invalid argument' ]] ||
            skip 'there is no O_DIRECT on this filesystem'
        expect_aligned
        expect_success
        (($(stat -c %s demo.dat 2>/dev/null || echo 0) < size)) || hint 2
        expect_same demo.dat "expected.$size"
        expect_output "written: $size bytes"
        ((size == 0)) || expect_calls io_submit 1+
        expect_calls open 1
        expect_direct
    done

    situation 'The file cannot be cut:' 2
    AIO_FAULT='ftruncate@1=EIO' run demo.dat
    expect_error 'ftruncate demo.dat: *'
    [[ -z $(tail -c +10001 demo.dat | tr -d '\0') ]] ||
        fail 'zeros behind the letters, until they are cut off' \
            "$(bytes demo.dat 10000)"
}

hints=(
    'Rounding down loses the tail. What if the length is rounded up to the next
multiple of BLOCK? (4096 is one.)'
    'Now the file is too long. ftruncate() cuts it, and may fail. And what is
in the buffer behind the last letter goes to the disk for a moment, and may stay
there if the power fails then: so clear it first.'
    'length = (size + BLOCK - 1) / BLOCK * BLOCK; fill() only size letters;
memset() the rest; after the event, ftruncate(fd, size).'
)
notice='The padding is cleared ahead of the write. For a moment it is in the
file, where all can read it; and if ftruncate() fails, or the power does, it
stays. A size that is whole blocks needs no ftruncate().'

wrong=(
    'the padding stays|/ftruncate(fd/,+1d'
    'O_DIRECT is taken back|s/^    errno = posix_memalign(/    fcntl(fd, F_SETFL, 0);\n&/'
    'the memory is a multiple of 512 only|s/BLOCK, length + BLOCK);/BLOCK, length + 2 * BLOCK); data = (char *)data + 512;/; s/^    free(data);//'
    'one block more, always|s/(size + BLOCK - 1)/(size + BLOCK)/; s/ftruncate(fd, size)/ftruncate(fd, size \& ~4095L ? size : length)/'
    'the tail is written as it is|s/iocb.aio_nbytes = length/iocb.aio_nbytes = size/; s/event.res != length/event.res != size/'
    'the padding is what was in memory before|/^    memset((char/d'
    'nobody looks whether it was cut|s/if (ftruncate(fd, size) == -1)/if (ftruncate(fd, size) == -2)/'
)
right=(
    'cleared before it is filled|s/^    memset((char \*)data + size, 0, length - size);//; s/^    fill(data, size);/    memset(data, 0, length);\n&/'
    'truncate() by its name|s/if (ftruncate(fd, size) == -1)/if (ftruncate(fd, (off_t)size) != 0)/'
    'block after block|s/^    iocb = (struct iocb){/    for (long at = 0; at < length || at == 0; at += BLOCK) {\n&/; s/\.aio_buf = (uintptr_t)data,/.aio_buf = (uintptr_t)data + at, .aio_offset = at,/; s/\.aio_nbytes = length/.aio_nbytes = length ? BLOCK : 0/; s/event.res != length/event.res != (length ? BLOCK : 0)/; s/^    .. The padding goes\. .*/    }\n&/'
)
