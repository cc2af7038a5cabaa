# shellcheck shell=bash disable=SC2034,SC2154
name=1-scatter
chapter=06-vectored
kind='extend'
title='header and body, read to where they belong'
reason='*expected: one request, a PREADV of 64 and 4096 bytes*PREAD:0:4160@*'

check() {
    given "{ printf '%-63s\\n' 'record 7'; seq 2000 | head -c 4096; } >demo.dat"

    situation 'A record, with a body of 1040 lines:'
    watch=all run demo.dat
    [[ $(requests | grep submit) == 'submit PREADV:0:64@'*/4096@* &&
        $(requests | grep -c submit) == 1 ]] ||
        fail 'one request, a PREADV of 64 and 4096 bytes' "$(trace)"
    # header[] and body[] begin a page, and nothing else that there is does.
    [[ $(requests | grep submit) == 'submit PREADV:0:64@0/4096@0' ]] ||
        fail 'the kernel puts the parts into header[] and body[] themselves,
    which are at 0 modulo 4096: no copying' "$(trace)"
    expect_success
    expect_output "header: $(printf '%-63s' 'record 7')
lines in the body: $(tail -c +65 demo.dat | wc -l)"

    situation 'Another record:'
    given "{ printf '%-63s\\n' 'record 8'
      seq 7 10000 | head -c 4096; } >other.dat"
    run other.dat
    expect_success
    expect_output "header: $(printf '%-63s' 'record 8')
lines in the body: $(tail -c +65 other.dat | wc -l)"

    situation 'A record that ends too early:'
    given "seq 2000 | head -c 4000 >short.dat"
    run short.dat
    expect_error 'IOCB_CMD_PREADV short.dat: *'

    situation 'The read fails:'
    given=
    AIO_FAULT='io_getevents@1=res=-EISDIR' run demo.dat
    expect_error 'IOCB_CMD_PREADV demo.dat: Is a directory'
}

hints=(
    'struct iovec, of <sys/uio.h>, is an address and a length. The record has
two parts: an array of two.'
    'The opcode is IOCB_CMD_PREADV. aio_buf is the address of the array, and
aio_nbytes how many segments it has.'
    'record[] and both memcpy() go; and so does their reason to be: the data
is where it belongs when the event is there. Mind the name in err().'
)

wrong=(
    'nbytes in bytes, as ever|s/\.aio_nbytes = 2/.aio_nbytes = HEADER + BODY/'
    'the body comes first|s/{ header, HEADER }/{ body, BODY }/; s/segments\[1\] = .*/segments[1] = (struct iovec){ header, HEADER };/'
    'two plain reads, with no vectors|s/= IOCB_CMD_PREADV/= IOCB_CMD_PREAD/; s/(uintptr_t)segments/(uintptr_t)header/; s/\.aio_nbytes = 2/.aio_nbytes = HEADER/; s/event.res != HEADER + BODY/pread(fd, body, BODY, HEADER) != BODY/'
    'it scatters elsewhere, and copies with memcpy()|s/^    struct iovec segments.*/&\n    char h[HEADER], b[BODY];/; s/{ header, HEADER }/{ h, HEADER }/; s/{ body, BODY }/{ b, BODY }/; s/^    for (int i = 0; i < BODY; i++)/    memcpy(header, h, HEADER);\n    memcpy(body, b, BODY);\n&/'
    'it scatters elsewhere, and copies in a loop|s/^    struct iovec segments.*/&\n    char b[BODY];/; s/{ body, BODY }/{ b, BODY }/; s/^    for (int i = 0; i < BODY; i++)/    for (int i = 0; i < BODY; i++)\n        body[i] = b[i];\n&/'
    'a short record is fine|s/event.res != HEADER + BODY/event.res < 0/'
)
right=(
    'the vector is static, and filled in at once|s/^    struct iovec segments.*/    static const struct iovec segments[2] = { { header, HEADER }, { body, BODY } };/; /^    segments\[[01]\] = /d'
    'lines counted by memchr()|s/^    for (int i = 0; i < BODY; i++)/    for (char *at = body; (at = memchr(at, 10, body + BODY - at)) != NULL; at++)/; s/lines += body\[i\] == .\\n.;/lines++;/'
    'the header is copied to print it|s/^    printf("header: .*/    char text[HEADER + 1] = "";\n    memcpy(text, header, HEADER);\n    text[strcspn(text, "\\n")] = 0;\n    printf("header: %s\\n", text);/'
)
