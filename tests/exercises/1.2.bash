# shellcheck shell=bash disable=SC2034
name=2-twice
chapter=01-setup-destroy
kind='find the bug'
title='use the variable of a context again'
reason='*expected: status 0*got: status 1*round 1*io_setup: Invalid argument*'

check() {
    situation 'Two contexts, one after the other:'
    run
    expect_success
    expect_output $'round 1: made and destroyed\nround 2: made and destroyed'
    expect_calls io_setup 2
    expect_calls io_destroy 2

    situation 'Five of them:'
    run 5
    expect_success
    expect_calls io_setup 5
    expect_calls io_destroy 5

    situation 'No context is left in the second round:' 0
    AIO_FAULT='io_setup@2=EAGAIN' run 3
    expect_error 'io_setup: Resource temporarily unavailable'
    expect_output 'round 1: made and destroyed'

    situation 'The kernel refuses what it is asked for:' 2
    AIO_FAULT='io_setup@1=EINVAL' run
    expect_error 'io_setup: Invalid argument'

    situation 'The second context cannot be destroyed:' 0
    AIO_FAULT='io_destroy@2=EINVAL' run
    expect_error 'io_destroy: Invalid argument'
    expect_output 'round 1: made and destroyed'
}

hints=(
    'What is in ctx when io_setup() is called for the second time? Print it:
printf("%lx\n", ctx).'
    'io_destroy() does not change ctx, and io_setup() wants it to be 0. Set it
to 0 ahead of each io_setup(), or declare it inside of the loop.'
)
notice='the variable lives as long as its context. So nobody has to remember to
set it to 0.'

wrong=(
    'EINVAL is taken for no error|
        s/== -1)/== -1 \&\& errno != EINVAL)/'
    'one context for all rounds|
        s/aio_context_t ctx = 0;/static aio_context_t ctx = 0;/
        s/if (io_setup/if (round == 1 \&\& io_setup/
        s/if (io_destroy/if (round == rounds \&\& io_destroy/'
    'never destroyed @as-it-is|
        s/if (io_destroy(ctx) == -1)/if (0)/'
    'all are destroyed, but in the end|
        s/^    long rounds = 2;/&\n    static aio_context_t all[1001];/
        s/if (io_destroy(ctx) == -1)/if ((all[round] = ctx) == 0)/
        s/^    return EXIT_SUCCESS;/    for (long i = 1; i <= rounds; i++)\
        if (io_destroy(all[i]) == -1)\
            err(1, "io_destroy");\n&/'
    'said before it is done|
        s/if (io_destroy(ctx) == -1)/fprintf(stdout, \
            "round %ld: made and destroyed\\n", round);\n&/
        s/^        printf("round/        0 \&\& printf("round/'
    'io_setup is not checked|
        s/io_setup(8, &ctx) == -1/io_setup(8, \&ctx) == 1/'
)
right=(
    'one variable, set to 0 when its context is destroyed|
        s/^    long rounds = 2;/&\n    aio_context_t ctx = 0;/
        s/^        aio_context_t ctx = 0;//
        s/^        printf("round/        ctx = 0;\n&/'
    'one variable, set to 0 ahead of each context|
        s/^    long rounds = 2;/&\n    aio_context_t ctx;/
        s/^        aio_context_t ctx = 0;/        memset(\&ctx, 0,\
            sizeof(ctx));/'
)
