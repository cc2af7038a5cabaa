# shellcheck shell=bash disable=SC2034,SC2154
name=4-which-failed
chapter=07-posix-aio
kind='extend'
title='one of four requests failed: which?'
reason='*one.txt folder*folder: Is a directory*got: status 1*lio_listio: I*'

check() {
    given 'mkdir -p folder; echo "12345" >six.txt; seq 1000 >one.txt'

    situation 'Four files, one of which is a folder:'
    run six.txt one.txt folder six.txt
    expect_output 'six.txt: 6 bytes
one.txt: 3893 bytes
folder: Is a directory
six.txt: 6 bytes'
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'
    expect_calls lio_listio 1
    expect_calls aio_error 3+
    expect_calls aio_read 0

    situation 'Four files that can be read:'
    run one.txt six.txt one.txt six.txt
    expect_success
    expect_output 'one.txt: 3893 bytes
six.txt: 6 bytes
one.txt: 3893 bytes
six.txt: 6 bytes'

    situation 'The first and the last are folders:'
    run folder six.txt folder
    expect_output 'folder: Is a directory
six.txt: 6 bytes
folder: Is a directory'
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'

    situation 'Requests fail because of the disk:'
    AIO_FAULT='lio_listio@1=EIO aio_error@*=ENOSPC' run one.txt six.txt
    expect_output 'one.txt: No space left on device
six.txt: No space left on device'
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'

    situation 'There is no room for the requests, so that none is started:'
    AIO_FAULT='lio_listio@1=EAGAIN' run one.txt six.txt
    expect_output ''
    expect_error 'lio_listio: Resource temporarily unavailable'
}

hints=(
    'What does lio_listio() return when a request fails, and with what errno?
See the experiment: this is no reason to end.'
    'After EIO all requests are done. Ask each with aio_error(): it returns an
error number, or 0. And with aio_return(), for the number of bytes.'
    'Die at once if lio_listio() returned -1 and errno is not EIO. In the loop,
print strerror(error) or the bytes, and count what failed. At the very end: if
some did, errno = EIO and die("lio_listio").'
)

wrong=(
    'all errors of lio_listio() are one|s/ && errno != EIO)/ \&\& errno == 0)/'
    'aio_return() and errno tell the error|s/if (error != 0) {/if (n == -1) {/; s/strerror(error)/strerror(errno)/'
    'one failed, so status 0|s/if (failed > 0) {/if (0) {/'
    'it ends at the first that failed|s/failed++;/failed++; break;/'
    'it asks each in turn, with no list|s/lio_listio(LIO_WAIT, list, nr, NULL) == -1/0/; s/int error = aio_error(&aiocbs\[i\]);/int error = aio_read(list[i]); while ((error = aio_error(list[i])) == EINPROGRESS);/'
)
