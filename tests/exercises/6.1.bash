# shellcheck shell=bash disable=SC2034,SC2154
name=1-scatter
chapter=06-vectored
kind='extend'
title='header and body, read to where they belong'
reason='*expected: one request, a PREADV of 64 and 4096 bytes*PREAD:0:4160@*'

# in_place: the last run had one request, a PREADV, whose segments are header[]
# and body[] themselves. Both begin a page, and nothing else that there is does.
# Where a part is cut in two, the second half lies behind the first.
in_place() {
    requests | awk '
    $1 != "submit" { next }
    NF > 2 || ++nr > 1 || !sub(/^PREADV:0:/, "", $2) { exit wrong = 1 }
    {
        n = split($2, part, /[@\/]/)
        for (i = 1; i < n; i += 2) {
            if (part[i] && part[i + 1] != (at < 64 ? at : at - 64))
                wrong = 1
            at += part[i]
            header += at == 64
        }
    }
    END { exit wrong || !header || at != 4160 }'
}

check() {
    given "{ printf '%-63s\\n' 'record 7'; seq 2000 | head -c 4096; } >demo.dat"

    situation 'A record, with a body of 1040 lines:'
    watch=all run demo.dat
    if ! in_place; then
        [[ $(requests) == *PREAD:0:4160* ]] || hint 2
        [[ $(requests) != *PREADV:0:* ]] || hint 3
        [[ $(requests | grep submit) == 'submit PREADV:0:64@'*/4096@* &&
            $(requests | grep -c submit) == 1 ]] ||
            fail 'one request, a PREADV of 64 and 4096 bytes' "$(trace)"
        fail 'the kernel puts the parts into header[] and body[] themselves,
    which are at 0 modulo 4096: no copying' "$(trace)"
    fi
    expect_success
    expect_output "header: $(printf '%-63s' 'record 7')
lines in the body: $(tail -c +65 demo.dat | wc -l)"

    situation 'Another record:' 3
    given "{ printf '%-63s\\n' 'record 8'
      seq 7 10000 | head -c 4096; } >demo.dat"
    run demo.dat
    expect_success
    expect_output "header: $(printf '%-63s' 'record 8')
lines in the body: $(tail -c +65 demo.dat | wc -l)"

    situation 'A record that ends too early:' 3
    given "seq 2000 | head -c 4000 >demo.dat"
    run demo.dat
    expect_error 'IOCB_CMD_PREADV demo.dat: *'

    situation 'The read fails:' 3
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
notice='The array has done its work when io_submit() returns, and the two
buffers when the event is there. And res counts bytes, of both parts together:
a record that is not whole is seen as before.'

wrong=(
    'nbytes in bytes, as ever|s/\.aio_nbytes = 2/.aio_nbytes = HEADER + BODY/'
    'the body comes first|s/{ header, HEADER }/{ body, BODY }/; s/segments\[1\] = .*/segments[1] = (struct iovec){ header, HEADER };/'
    'two plain reads, with no vectors|s/= IOCB_CMD_PREADV/= IOCB_CMD_PREAD/; s/(uintptr_t)segments/(uintptr_t)header/; s/\.aio_nbytes = 2/.aio_nbytes = HEADER/; s/event.res != HEADER + BODY/pread(fd, body, BODY, HEADER) != BODY/'
    'it scatters elsewhere, and copies with memcpy()|s/^    struct iovec segments.*/&\n    char h[HEADER], b[BODY];/; s/{ header, HEADER }/{ h, HEADER }/; s/{ body, BODY }/{ b, BODY }/; s/^    for (int i = 0; i < BODY; i++)/    memcpy(header, h, HEADER);\n    memcpy(body, b, BODY);\n&/'
    'it scatters elsewhere, and copies in a loop|s/^    struct iovec segments.*/&\n    char b[BODY];/; s/{ body, BODY }/{ b, BODY }/; s/^    for (int i = 0; i < BODY; i++)/    for (int i = 0; i < BODY; i++)\n        body[i] = b[i];\n&/'
    'the body one byte too far|s/{ body, BODY }/{ body + 1, BODY }/'
    'a short record is fine @short|s/event.res != HEADER + BODY/event.res < 0/'
)
right=(
    'the vector is static, and filled in at once|s/^    struct iovec segments.*/    static const struct iovec segments[2] = { { header, HEADER }, { body, BODY } };/; /^    segments\[[01]\] = /d'
    'lines counted by memchr()|s/^    for (int i = 0; i < BODY; i++)/    for (char *at = body; (at = memchr(at, 10, body + BODY - at)) != NULL; at++)/; s/lines += body\[i\] == .\\n.;/lines++;/'
    'the body in two halves, and an empty segment|s/^    struct iovec segments.*/    struct iovec segments[4] = { { header, HEADER }, { NULL, 0 }, { body, BODY \/ 2 }, { body + BODY \/ 2, BODY \/ 2 } };/; /^    segments\[[01]\] = /d; s/\.aio_nbytes = 2/.aio_nbytes = 4/'
    'the header is copied to print it|s/^    printf("header: .*/    char text[HEADER + 1] = "";\n    memcpy(text, header, HEADER);\n    text[strcspn(text, "\\n")] = 0;\n    printf("header: %s\\n", text);/'
)
