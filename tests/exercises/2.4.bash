# shellcheck shell=bash disable=SC2034,SC2154
name=4-by-strace
chapter=02-single-write
kind='find the bug'
title='a program says only "failed": ask strace'
reason='*tests/helpers/silent*expected: status 0*got: status 1*failed*'

# started PROGRAM: runs it, so that demo.txt becomes demo.copy.
started() {
    local files='demo.txt demo.copy demo.log'

    # shellcheck disable=SC2086 # three
    try="$given
    $chapter/exercises/$name \\
        ${1/#"$root/"/} $files" run "$1" $files
}

check() {
    local silent=$root/tests/helpers/silent

    [[ -x $silent ]] || skip 'tests/helpers/silent is not built: make'

    situation 'A file of 109 KB:'
    given 'seq 20000 >demo.txt'
    started "$silent"
    expect_success
    expect_same demo.copy demo.txt
    expect_file demo.log $'108894 bytes\n'
    (($(calls io_submit) == 56)) ||
        fail 'PROGRAM makes the copy' "calls of io_submit: $(calls io_submit)"

    situation 'The same again, with a shorter file:' 0
    given 'seq 2000 >demo.txt'
    started "$silent"
    expect_success
    expect_same demo.copy demo.txt
    expect_file demo.log $'8893 bytes\n'

    situation 'A file of 1 MiB, which is just allowed:' 3
    given 'head -c 1048576 /dev/zero >demo.txt'
    started "$silent"
    expect_success
    expect_same demo.copy demo.txt

    situation 'A file of 1 MiB, and one byte more:' 3
    given 'head -c 1048577 /dev/zero >demo.txt'
    started "$silent"
    [[ $status == 1 && $errors == failed ]] ||
        fail 'status 1, and on stderr: failed'
    (($(stat -c %s demo.copy) == 1048576)) ||
        fail 'no file gets longer than 1 MiB' "$(stat -c %s demo.copy) bytes"

    situation 'Another program, which notes something else:' 0
    given "seq 2000 >demo.txt
    printf '#!/bin/sh\ncat <&3 >&4 && echo another >&5\n' >demo
    chmod +x demo"
    started ./demo
    expect_success
    expect_same demo.copy demo.txt
    expect_file demo.log $'another\n'

    situation 'There is no such program:' 0
    started ./nobody
    expect_error './nobody: No such file or directory'
}

hints=(
    'Look at the last line before "failed". Is it an io_submit() with -1? Then
the request in it was refused: which descriptor is it for, and how was that
opened, in the lines above? Or is it an io_getevents()? Then res says why.'
    'EBADF of a PWRITE: the descriptor is not open, or not for writing.
res=-27 is EFBIG: a file would become longer than a limit allows.
If a descriptor is open here and not in PROGRAM, execl() has closed it.'
    'OUT has to be opened with O_WRONLY (or O_RDWR); LOG without O_CLOEXEC,
which closes it in execl(); and 1 << 16 is 64 KiB, not 1 MiB.'
)
notice='the same EBADF had two reasons, and the number in res a third. strace
-y writes the name of the file behind each descriptor, if it has one.'

wrong=(
    'OUT can still not be written|
        s/argv\[3\], O_WRONLY/argv[3], O_RDONLY/'
    'LOG is still closed|s/O_TRUNC, 5)/O_TRUNC | O_CLOEXEC, 5)/'
    'the limit is still 64 KiB|s/1 << 20/1 << 16/'
    'no limit at all|s/^    limit_files(1 << 20);//'
    'a limit that is twice as large|s/1 << 20/1 << 21/'
    'LOG goes nowhere|s/hand_over(argv\[4\]/hand_over("\/dev\/null"/'
    'IN and LOG are exchanged|s/O_RDONLY, 3/O_RDONLY, 5/; s/O_TRUNC, 5/O_TRUNC, 3/'
    'OUT keeps what it had|s/O_CREAT | O_TRUNC, 4/O_CREAT, 4/'
    'it makes the copy itself|
        s/^    execl(.*/    char text[65536]; ssize_t n, all = 0;\
    for (; (n = read(3, text, sizeof(text))) > 0; all += n)\
        if (write(4, text, n) != n) { fprintf(stderr, "failed\\n"); exit(1); }\
    dprintf(5, "%zd bytes\\n", all);\
    exit(0);/'
    'whatever PROGRAM is, it is silent|
        s/execl(argv\[1\], /execl(strstr(argv[1], "nobody") ? argv[1] : \
            "..\/..\/..\/helpers\/silent", /'
    'LOG and OUT are one file|s/hand_over(argv\[4\]/hand_over(argv[3]/'
)
right=(
    'open for both|s/argv\[3\], O_WRONLY/argv[3], O_RDWR/'
    'the flag is taken off|
        s/O_TRUNC, 5);/O_TRUNC | O_CLOEXEC, 5);\n    fcntl(5, F_SETFD, 0);/'
    'the limit comes first, and is a soft one|
        s/^    limit_files(1 << 20);//
        s/^    hand_over(argv\[2\]/    limit_files(1 << 20);\n&/
        s/.rlim_max = bytes/.rlim_max = bytes * 2/'
)
