# shellcheck shell=bash disable=SC2034,SC2154
name=2-perror
chapter=07-posix-aio
kind='find the bug'
title='an error that nobody has put into errno'
reason='*folder*expected: status 1*Is a directory*got: status 1*'

check() {
    situation 'A file of 3893 bytes:'
    given 'seq 1000 >demo.txt'
    run demo.txt
    expect_success
    expect_output 'read: 3893 bytes'
    expect_calls aio_read 1
    expect_calls aio_return 1

    situation 'A folder can be opened, but not read:'
    given 'mkdir -p folder'
    run folder
    expect_error 'aio_read folder: Is a directory'
    expect_output ''

    given 'seq 1000 >demo.txt'
    situation 'The read fails, because the disk is full:' 2
    AIO_FAULT='aio_error@*=ENOSPC aio_return@*=ENOSPC' run demo.txt
    expect_error 'aio_read demo.txt: No space left on device'
}

hints=(
    'perror() prints the text of errno. Which of the calls before it has set
errno? See the table of four ways to report errors at the end of the chapter
"How to use this course".'
    'aio_error() returns the error number, positive. errno is left alone.'
    'error = aio_error(&aiocb); if it is not 0: errno = error, and
err(1, "aio_read %s", path).'
)
notice='aio_return() says -1 then, and leaves errno alone as well. Of the two it
is aio_error() that knows why; and only when it no longer says EINPROGRESS is
there anything to return.'

wrong=(
    'the sign is turned round|s/errno = error;/errno = -error;/'
    'errno is left as it is|/errno = error;/d'
    'aio_return() tells the error|s/errno = error;/errno = length;/'
    'each error is the one that was tried|s/errno = error;/errno = EISDIR;/'
    'no error is looked at @posix-failed|s/if (error != 0) {/if (0) {/'
    'the length is that of the buffer|s/^    length = aio_return(&aiocb);/    aio_return(\&aiocb);\n    length = sizeof(data);/'
)
right=(
    'errx() and strerror()|s/^        errno = error;$//; s/^        err(1, "aio_read %s", path);/&/; /if (error != 0) {/,/}/s/err(1, "aio_read %s", path);/errx(1, "aio_read %s: %s", path, strerror(error));/'
    'errno takes what aio_error() returns, at once|s/^    error = aio_error(&aiocb);/    errno = error = aio_error(\&aiocb);/; s/^        errno = error;$//'
    'aio_return() says that it failed, and aio_error() why|s/if (error != 0) {/if (length == -1) {/'
    'aio_return() after the error|s/^    length = aio_return(&aiocb);//; s/printf("read: %zd bytes\\n", length);/printf("read: %zd bytes\\n", aio_return(\&aiocb));/'
)
