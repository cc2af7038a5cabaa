# shellcheck shell=bash disable=SC2034,SC2154
name=3-per-thread
chapter=01-setup-destroy
kind='find the bug'
title='threads end, and their contexts do not'
reason='*expected: on stdout*contexts left: 0*got: *contexts left: 6*'

# How many contexts there were at the same time, at most.
most_contexts() {
    awk '
    /^io_setup .* = 0$/ { n++ }
    /^io_destroy = 0$/ { n-- }
    n > most { most = n }
    END { print most + 0 }' "$work/traced"
}

check() {
    local shown=/dev/stderr

    situation 'Six connections; the third and the sixth hang up:'
    run
    expect_success
    expect_output 'connections: 6, served: 4, contexts left: 0'
    expect_calls io_setup 6
    expect_calls io_submit 4
    expect_calls io_destroy 6

    situation 'Thirty connections, with each call shown:' 2
    : >"$work/traced"
    AIO_TRACE=$work/traced try="AIO_TRACE=$shown \\
        LD_PRELOAD=tests/helpers/fault.so $chapter/exercises/$name 30" run 30
    expect_success
    expect_output 'connections: 30, served: 20, contexts left: 0'
    (($(most_contexts) == 1)) ||
        fail 'one context at a time' "up to $(most_contexts)"

    situation 'The third context cannot be made:' 0
    AIO_FAULT='io_setup@3=EAGAIN' run
    expect_error 'io_setup: Resource temporarily unavailable'

    situation 'The second one cannot be used:' 0
    AIO_FAULT='io_submit@2=EINVAL' run
    expect_error 'io_submit: Invalid argument'

    situation 'The third one, whose connection hangs up, cannot be destroyed:' \
        0
    AIO_FAULT='io_destroy@3=EINVAL' run
    expect_error 'io_destroy: Invalid argument'

    situation 'The fourth one cannot be destroyed:' 0
    AIO_FAULT='io_destroy@4=EINVAL' run
    expect_error 'io_destroy: Invalid argument'
}

hints=(
    'To whom does a context belong: the thread, or the memory? What did
whose-context say of one whose thread had ended?'
    'Each io_setup() needs its io_destroy(), in the thread or after it. How
many ways are there out of serve()?'
    'Two. Put what is between io_setup() and io_destroy() into a function of
its own, which may return where it likes; or take the early return out.'
)
notice='work() can return wherever it likes: the one io_destroy() stands where
all its ways meet. pthread_cleanup_push() would hold even for threads that are
cancelled.'

wrong=(
    'those that hang up keep theirs @as-it-is|
        s/^    connection->served = work.*/&\
    if (connection->served == 0)\
        return NULL;/'
    'those that are served keep theirs @as-it-is|
        s/^    connection->served = work.*/&\
    if (connection->served == 1)\
        return NULL;/'
    'all are destroyed, but in the end|
        s/^static void \*serve/aio_context_t all[1000];\nint nr;\n&/
        s/^    if (io_destroy(ctx) == -1)/    all[nr++] = ctx;\n    if (0)/
        s/^    printf("connections/    extern aio_context_t all[];\
    for (int i = 0; i < connections; i++)\
        if (io_destroy(all[i]) == -1)\
            err(1, "io_destroy");\n&/
        s/^static int work/extern int nr;\n&/'
    'the one before is destroyed, and the last one in the end|
        s/^static void \*serve(void \*argument);/aio_context_t last;\n&/
        s/^    if (io_destroy(ctx) == -1)/    if (last \&\& io_destroy(last))/
        s/^    return NULL;/    last = ctx;\n&/
        s/^    printf("connections/    if (last != 0 \&\& io_destroy(last))\
        err(1, "io_destroy");\n&/'
    'one context for all @as-it-is|
        s/^    aio_context_t ctx = 0;/    static aio_context_t ctx;/
        s/if (io_setup(1, &ctx) == -1)/if (ctx == 0 \&\& io_setup(1, \&ctx))/
        s/^    if (io_destroy(ctx) == -1)/    if (0)/'
    'it says that none is left @as-it-is|
        s/^    if (io_destroy(ctx) == -1)/    if (0)/
        s/^    return n;/    return 0;/'
    'whether it could be destroyed is not looked at|
        s/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    'destroyed before it is used|
        s/^    connection->served = work.*/    if (io_destroy(ctx) < 0)\
        err(1, "io_destroy");\n&/
        s/^    if (io_destroy(ctx) == -1)/    if (0)/'
    'who hangs up does not get a context|
        s/^    if (io_setup(1/    if (connection->number % 3 == 0)\
        return NULL;\n&/'
)
right=(
    'destroyed on each way by itself|
        s/^    connection->served = work.*/\
    if (connection->number % 3 == 0) {\
        if (io_destroy(ctx) == -1)\
            err(1, "io_destroy");\
        return NULL;\
    }\n&/'
    'destroyed by main, when the thread has ended|
        s/^    int served;/&\n    aio_context_t ctx;/
        s/^    if (io_destroy(ctx) == -1)/    connection->ctx = ctx;\
    if (0)/
        s/^        served += .*/&\
        if (io_destroy(connection.ctx) == -1)\
            err(1, "io_destroy");/'
    'by what is run when a thread is cancelled, too|
        s/^    connection->served = work.*/    pthread_cleanup_push(over, ctx);\
    &\n    pthread_cleanup_pop(1);/
        s/^    if (io_destroy(ctx) == -1)/    if (0)/
        s/^static void \*serve(void \*argument)$/static int io_destroy();\
    static void over(void *a) { if (io_destroy(a)) err(1, "io_destroy"); }\n&/'
)
