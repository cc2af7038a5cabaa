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
    [[ $output != *six.txt* ]] || hint 2
    expect_output 'six.txt: 6 bytes
one.txt: 3893 bytes
folder: Is a directory
six.txt: 6 bytes'
    hint 3
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'
    expect_calls lio_listio 1
    expect_calls aio_error 3+
    expect_calls aio_read 0

    situation 'Four files, and of each request aio_error() is asked first:' 3
    watch=all run six.txt one.txt six.txt one.txt
    ! grep -q aio_return "$work/watch" ||
        fail 'aio_error() before aio_return(): only what is over has a result' \
            'aio_return() of a request that aio_error() was not asked about'

    situation 'Four files that can be read:' 3
    run one.txt six.txt one.txt six.txt
    expect_success
    expect_output 'one.txt: 3893 bytes
six.txt: 6 bytes
one.txt: 3893 bytes
six.txt: 6 bytes'

    situation 'The first and the last are folders:' 3
    run folder six.txt folder
    expect_output 'folder: Is a directory
six.txt: 6 bytes
folder: Is a directory'
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'

    situation 'Requests fail because of the disk:' 2
    AIO_FAULT='lio_listio@1=EIO aio_error@*=ENOSPC' run one.txt six.txt
    expect_output 'one.txt: No space left on device
six.txt: No space left on device'
    expect_error 'lio_listio: I*' 'lio_listio: (the text of EIO)'

    situation 'There is no room for the requests, so that none is started:' 3
    AIO_FAULT='lio_listio@1=EAGAIN' run one.txt six.txt
    expect_output ''
    expect_error 'lio_listio: Resource temporarily unavailable'
}

hints=(
    'What does lio_listio() return when a request fails, and with what errno?
See the experiment: this is no reason to end.'
    'After EIO all requests are done. Ask each with aio_error(): it returns an
error number, or 0. And with aio_return(), for the number of bytes.'
    'Keep what listio_wait() returned. Neither 0 nor EIO: err(1, "lio_listio")
at once. In the loop: reason = aio_error(), then n = aio_return(); print
strerror(reason) if there is one, or n. At the very end the same err(), if it
was EIO.'
)
notice='After EIO every request is over, so each can be asked. After another
error some may never have been started: they look as if they had succeeded,
with 0 bytes.'

wrong=(
    'all errors of lio_listio() are one|s/ && error != EIO)/ \&\& error == 0)/'
    'aio_return() and errno tell the error|s/if (reason != 0)/if (n == -1)/; s/strerror(reason)/strerror(errno)/'
    'aio_return() is asked before aio_error()|s/int reason = \(aio_error.*;\) .*/ssize_t n = aio_return(\&aiocbs[i]); int reason = \1/; /  ssize_t n = aio_return(&aiocbs.i.);$/d'
    'one failed, so status 0|s/if (error != 0) .*some failed.*/if (0)/'
    'it ends at the first that failed|s/printf("%s: %s.n", argv.1 + i., strerror(reason));/{ & break; }/'
    'it asks each in turn, with no list|s/error = listio_wait(list, nr);/error = 0;/; s/int reason = aio_error(&aiocbs\[i\]);/int reason = aio_read(list[i]); while ((reason = aio_error(list[i])) == EINPROGRESS);/'
)
right=(
    'first all are asked, then all is printed|s/^    for (int i = 0; i < nr; i++) {$/&/; s/^        int reason = aio_error(&aiocbs\[i\]);.*/        int reason = aio_error(list[i]);/; s/^        ssize_t n = aio_return(&aiocbs\[i\]);/        ssize_t n = aio_return(list[i]);/'
    'the reason by its number|s/strerror(reason))/(errno = reason, strerror(errno)))/'
    'from an array of results|s/^    error = listio_wait(list, nr);/&\n    int reasons[MAX];\n    for (int k = 0; k < nr; k++)\n        reasons[k] = aio_error(\&aiocbs[k]);/; s/^        int reason = aio_error(&aiocbs\[i\]);/        int reason = reasons[i];/'
)
