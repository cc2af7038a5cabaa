# shellcheck shell=bash disable=SC2034,SC2154
name=4-refused
chapter=03-batch-submit
kind='extend'
title='a sandbox refuses one call: go on without AIO'
reason='*sandbox io_setup=EPERM*expected: status 0*io_setup: *not permitted*'

# filtered CALL=ERROR: runs it under that filter.
filtered() {
    EXERCISE_UNDER="$root/tests/helpers/sandbox $1 -- ${EXERCISE_UNDER-}" \
        try="seq 20000 >demo.txt
    tests/helpers/sandbox $1 -- \\
        $chapter/exercises/$name demo.txt" run demo.txt
}

# by WAY: it has counted all lines so, and has left no context.
by() {
    expect_success
    expect_output "lines: 20000, by $1"
    (($(calls io_destroy) == $(calls io_setup) - ${2-0})) ||
        fail 'a context that was made is destroyed, once' \
            "calls of io_destroy: $(calls io_destroy)"
    if [[ $1 == AIO ]]; then
        expect_calls pread 0
    else
        expect_calls pread 1+
    fi
}

check() {
    local call error

    "$root/tests/helpers/sandbox" io_setup=EPERM -- true 2>/dev/null ||
        skip 'filters for system calls (seccomp) cannot be used here'
    given 'seq 20000 >demo.txt'

    situation 'Nothing is refused:'
    run demo.txt
    by AIO
    expect_calls io_submit 7+

    for error in EPERM ENOSYS; do
        for call in io_setup io_submit io_getevents; do
            situation "A filter for $call(), a real one:"
            filtered "$call=$error"
            if [[ $call == io_setup ]]; then
                by pread 1
            else
                by pread
            fi
        done
    done

    situation 'The third batch is refused; two are counted already:' 2
    AIO_FAULT='io_submit@3+=EPERM' run demo.txt
    by pread
    (($(calls pread) <= 21)) ||
        fail 'what is counted is not read again: 20 calls of pread for the
    other 19 blocks, if each is for a block' "$(calls pread)"

    situation 'Two of four requests are taken, and then no more:' 2
    AIO_FAULT='io_submit@1=short=2 io_submit@2+=ENOSYS' run demo.txt
    by pread

    situation 'Two events are there; then it is refused, on a slow disk:' 3
    AIO_FAULT='io_getevents@1=short=1 io_getevents@2=short=1
        io_getevents@3+=EPERM' late=newest run demo.txt
    by pread

    situation 'In the second batch one event is there, and then no more:' 3
    AIO_FAULT='io_getevents@1=short=1 io_getevents@2=short=1
        io_getevents@3=short=1 io_getevents@4=short=1 io_getevents@5=short=1
        io_getevents@6+=ENOSYS' run demo.txt
    by pread

    for call in io_submit io_getevents; do
        situation "$call() is refused, and then pread() fails:" 2
        AIO_FAULT="$call@1+=EPERM pread@1=EIO" run demo.txt
        expect_error 'read demo.txt: Input/output error'
        (($(calls io_destroy) == 1)) ||
            fail 'the context is destroyed by then: what is in flight is over' \
                "calls of io_destroy: $(calls io_destroy)"
    done

    situation 'Short reads and interrupted ones, by AIO and by pread():' 0
    AIO_FAULT='io_getevents@2=res=100 io_getevents@3=EINTR io_submit@2=EINTR' \
        run demo.txt
    by AIO
    AIO_FAULT='io_setup@1=ENOSYS pread@2=short=100 pread@3=EINTR' run demo.txt
    by pread 1

    situation 'EPERM comes from the file, in an event:' 0
    AIO_FAULT='io_getevents@2=res=-EPERM' run demo.txt
    expect_error 'read demo.txt: Operation not permitted'

    situation 'Errors of another kind are errors, as before:' 1
    AIO_FAULT='io_setup@1=EAGAIN' run demo.txt
    expect_error 'io_setup: Resource temporarily unavailable'
    AIO_FAULT='io_submit@2=EBADF' run demo.txt
    expect_error 'io_submit: Bad file descriptor'
    AIO_FAULT='io_getevents@2=EINVAL' run demo.txt
    expect_error 'io_getevents: Invalid argument'
}

hints=(
    'Three calls, and for each the same question: is errno EPERM or ENOSYS?
Make it a function. read_by_aio() must tell main() of it: it returns 1 and 0
already, so let it return -1.'
    'From at on nothing is counted yet, whatever was refused. So a loop of
pread() from there on is all. But the kernel may still be writing to data[]:
io_destroy() waits until it is not, so call that first.'
    'Do not count a block as soon as its event is there: if the next
event never comes, all of its batch is read again. Reap first, then count.'
)
notice='io_submit() may be allowed and io_getevents() not. Then the requests
are carried out, and nobody hears of it: io_destroy() is the only call left
that waits for them.'

wrong=(
    'only io_setup is asked|s/return refused("io_submit")/err(1, "io_submit")/
        s/return refused("io_getevents")/err(1, "io_getevents")/'
    'EPERM is all that a filter can say|s/ && errno != ENOSYS//'
    'whatever the error is|s/if (errno != EPERM.*/if (0)/'
    'events that never come are taken for full blocks @refused|
        s/return refused("io_getevents");/{ while (nr > 0) \
            res[--nr] = BLOCK; return 0; }/'
    'it begins again, and counts twice @refused|s/read_on(fd, at);/read_on(fd, 0);/'
    'it begins again, from nothing|
        s/read_on(fd, at);/lines = 0, read_on(fd, 0);/'
    'the context is left @refused|s/if (io_destroy(ctx) == -1)/if (by_aio \&\& \
        io_destroy(ctx) == -1)/'
    'the rest is read while requests are in flight @refused|
        s/^        if (io_destroy(ctx) == -1)/        if (!by_aio)\
            read_on(fd, at);\n&/
        s/^    if (!by_aio)$/    if (!by_aio \&\& ctx == 0)/'
    'an event with EPERM is taken for a refusal|
        /^static int read_by_aio.*)$/,/^}/s/err(1, "read %s", path);/return \
            refused("read");/'
    'AIO is never tried|s/by_aio = io_setup(BATCH, &ctx) == 0/by_aio = 0/
        s/^        refused("io_setup");/        ;/'
    'a short pread() is the end|s/at += n;/if ((at += n) % BLOCK) break;/'
    'a refused io_submit() is the end of the file @refused|
        s/return refused("io_submit");/return 0;/'
    'a block is counted with its event @refused|
        s/res\[event.data\] = event.res;/&\
        count(data[event.data], event.res); event.res = 0;/
        s/^        count(data\[i\], res\[i\]);//'
)
right=(
    'another buffer, and larger reads|
        s/pread(fd, data\[0\], BLOCK, at)/pread(fd, more, sizeof(more), at)/
        s/count(data\[0\], n);/count(more, n);/
        s/^    ssize_t n;/    static char more[65536];\n&/'
    'one wait for all that are in flight|
        s/^    struct io_event event;/    struct io_event events[BATCH];/
        s/io_getevents(ctx, 1, 1, &event, NULL)/\
            io_getevents(ctx, nr, nr, events, NULL)/
        s/^        res\[event.data\] = .*/        for (int i = 0; i < n; i++)\
            res[events[i].data] = events[i].res;/
        s/^        nr--;/        nr -= n;/'
    'each place asks for itself|
        s/return refused("io_submit");/{ if (errno == EPERM || \
            errno == ENOSYS) return -1; err(1, "io_submit"); }/'
)
