# shellcheck shell=bash disable=SC2034,SC2154
name=1-first-context
chapter=01-setup-destroy
kind='fill in'
title='make a context, check it, destroy it'
reason='*expected: calls of io_setup: 1*got: 0*'

check() {
    local max numbers held before i n=$((700 + RANDOM % 300))

    situation 'Five events, and all goes well:'
    run 5
    expect_success
    expect_output $'context for 5 events: made\ncontext: destroyed'
    expect_calls io_setup 1
    expect_calls io_destroy 1

    situation 'No events at all, which the kernel refuses:' 2
    run 0
    expect_error 'io_setup: Invalid argument'
    expect_output ''

    # Somebody else has a context meanwhile: so aio-nr is not 0.
    situation 'More events than are left in the system:' 3
    max=$(cat /proc/sys/fs/aio-max-nr)
    exec {held}< <("$root/tests/helpers/probe-call" hold "$n" 2>/dev/null)
    read -r -u "$held" _
    numbers="([0-9]+) and $max more are over aio-max-nr ([0-9]+)"
    for i in {1..10}; do        # others may come and go in between
        before=$(cat /proc/sys/fs/aio-nr)
        AIO_FAULT='io_setup@1=EAGAIN' run "$max"
        [[ $errors =~ $numbers ]] || break
        [[ ${BASH_REMATCH[1]} != @("$before"|$(</proc/sys/fs/aio-nr)) ]] ||
            break
    done
    exec {held}<&-
    [[ $status == 1 &&
        $errors == "$name: io_setup: "*unavailable$'\n'"aio-nr "* &&
        $errors =~ $numbers && ${BASH_REMATCH[2]} == "$max" &&
        ${BASH_REMATCH[1]} -ge $n && ${BASH_REMATCH[1]} -le $max &&
        $i -lt 10 ]] ||
        fail "status 1, and on stderr
    $name: io_setup: Resource temporarily unavailable
    aio-nr A and $max more are over aio-max-nr $max
with the number in /proc/sys/fs/aio-nr instead of A"

    situation 'The context cannot be destroyed:' 2
    AIO_FAULT='io_destroy@1=EINVAL' run 8
    expect_error 'io_destroy: Invalid argument'
    expect_output 'context for 8 events: made'
}

hints=(
    'Copy the wrappers io_setup() and io_destroy() from setup-destroy.c to where
the last EDIT HERE stands, and their prototypes to the top. In main() you need a
variable "aio_context_t ctx = 0;": its address goes to io_setup(), the variable
itself to io_destroy().'
    'Both calls return -1 and set errno when they fail. err(1, "io_destroy")
says so and ends the program.'
    'EAGAIN needs more than err(): read_number() and explain() of
setup-destroy.c do what the task asks for. Mind that explain() keeps errno
before it calls anything else.'
)
notice='errno is kept before the files of /proc are read: each call may change
it. And only EAGAIN has to do with the limit; the other errors have a line of
their own, or none.'

wrong=(
    'both numbers, but swapped|
        s/nr, nr_events, max_nr,/max_nr, nr_events, nr,/'
    'it is made before it is made|
        /    printf("context for/d
        s/    if (io_setup(/    printf("context for %u events: made\\n", \
            nr_events);\n&/'
    'never destroyed @as-it-is|
        s/if (io_destroy(ctx) == -1)/if (0)/'
    'numbers are made up|
        s/nr, nr_events, max_nr,/0L, nr_events, max_nr,/'
    'a number that was right once|
        s/nr, nr_events, max_nr,/322L, nr_events, max_nr,/'
    'the number is what it asked for itself|
        s/nr, nr_events, max_nr,/(long)nr_events, nr_events, max_nr,/'
    'io_destroy is not checked|
        s/io_destroy(ctx) == -1/io_destroy(ctx) == 1/'
    'io_setup is not checked|
        s/io_setup(nr_events, &ctx) == -1/io_setup(nr_events, \&ctx) == 1/'
    'each failure is taken for EAGAIN|
        s/if (error == EAGAIN)/if (error != 0)/'
)
right=(
    'without a function for the call, and without err()|
        s/io_destroy(ctx) == -1/syscall(SYS_io_destroy, ctx) != 0/
        s/err(1, "io_destroy");/{\
            fprintf(stderr, "1-first-context: io_destroy: %s\\n",\
                    strerror(errno));\
            return 1;\
        }/'
    'a variable that is 0 without saying so|
        s/aio_context_t ctx = 0;/static aio_context_t ctx;/'
    'the numbers come with other advice|
        s/: sudo "/; "/
        s/"sysctl -w fs.aio-max-nr=%ld (in a container: on its host)/\
            "that would make %ld/'
)
