# shellcheck shell=bash disable=SC2034,SC2154
name=3-timer
chapter=05-eventfd
kind='extend'
title='a loop that notices when nothing comes any more'
reason='*expected: status 0*got: status 1*epoll_wait: *timed out*'

# How many counters of 8 bytes were read before the first event was reaped.
counters_read() {
    awk '/^reap/ { exit } /^read 8$/ { n++ } END { print n + 0 }' "$work/watch"
}

check() {
    local n

    for n in 5 300; do
        situation "$n messages, and then silence:" $((n == 5 ? 1 : 3))
        watch=all run demo.txt $n
        expect_success
        expect_output "silence after $n messages
written: $n messages"
        seq 0 $((n - 1)) | xargs printf 'message %7d\n' >expected
        expect_same demo.txt expected
        expect_calls timerfd_create 1
        ((n > 5)) || hint 2
        ! grep '^timer ' "$work/watch" | grep -qvx 'timer 20000000' ||
            fail 'a timer of 20 milliseconds' \
                "$(grep -m 1 '^timer ' "$work/watch") (nanoseconds)"
        ! grep '^interval ' "$work/watch" | grep -qvx 'interval 0' ||
            fail 'a timer that expires once' "it_interval is not 0"
        (($(calls epoll_wait) <= 3 * n + 20)) ||
            fail 'a loop that waits in epoll_wait(), and does not spin' \
                "calls of epoll_wait: $(calls epoll_wait)"
        ((n > 5)) || (($(calls timerfd_settime) >= 6)) ||
            fail 'the timer set once, and anew with each of 5 messages' \
                "calls of timerfd_settime: $(calls timerfd_settime)"
    done

    head -n 5 expected >five
    situation 'All is in flight when there is silence; a wait is interrupted:' 3
    AIO_FAULT='epoll_wait@2=EINTR' late=idle watch=all run demo.txt
    expect_success
    expect_output 'silence after 5 messages
written: 5 messages'
    expect_same demo.txt five
    (($(counters_read) >= 2)) ||
        fail 'a timer that has expired is read, as the eventfd is: 8 bytes
    each, ahead of the first event that is reaped' "$(counters_read) such reads"

    situation 'The timer has expired, but there are messages as well:' 3
    late=stall run demo.txt
    expect_success
    expect_output 'silence after 5 messages
written: 5 messages'

    situation 'One of the 5 messages is never sent:' 3
    AIO_FAULT='write@5=short=0' run demo.txt
    expect_success
    expect_output 'silence after 4 messages
written: 4 messages'

    situation 'A message cannot be written:' 0
    AIO_FAULT='io_getevents@1=res=-ENOSPC' run demo.txt
    expect_error 'IOCB_CMD_PWRITE demo.txt: No space left on device'

    situation 'The timer cannot be made:' 1
    AIO_FAULT='timerfd_create@1=EMFILE' run demo.txt
    expect_error 'timerfd_create: *'

    situation 'The timer cannot be set anew:' 2
    AIO_FAULT='timerfd_settime@3=EINVAL' run demo.txt
    expect_error 'timerfd_settime: Invalid argument'
}

hints=(
    'timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), of <sys/timerfd.h>, makes
the descriptor. Give it a bit of its own: TIMER = 4.'
    'timerfd_settime() takes a struct itimerspec: it_value is when to expire,
it_interval is 0 (once). Set it again, and it begins anew. Do so ahead of the
loop, and with each message.'
    'If the bit of the timer is there, and that of the pipe is not: read 8
bytes from it, print the line, and silent = 1. The loop then ends when what was
received is written. If both are there, it has been set anew: no silence.'
)
notice='One look can find both ready. Setting a timer anew takes back that it
has expired: then there is nothing to read from it. And the loop is not over
with the silence: it goes on for what is in flight.'

wrong=(
    'it is set once, so it tells of no silence|/^            set_timer(timer);/d'
    'no timer, only the limit of epoll_wait|s/epoll, told, 4, 10000/epoll, told, 4, QUIET/; s/timer = timerfd_create(.*/timer = eventfd(0, EFD_NONBLOCK);/; s/if (timerfd_settime(\(.*\)) == -1)/if (0 \&\& timerfd_settime(\1))/; s/errno = ETIMEDOUT;/return TIMER;/; s/if (read(timer, .*/if (0 \&\& read(timer, \&expirations, 8))/'
    'it asks again and again, without waiting|s/epoll, told, 4, 10000/epoll, told, 4, 0/; s/if (n == 0)/if (n == 0) return 0; if (0)/'
    'in flight or not, silence is the end @late-idle|s/while (!silent || written < received)/while (!silent)/'
    'silence, though a message is there|s/if ((ready & TIMER) && !(ready & PIPE))/if (ready \& TIMER)/'
    'nobody reads the timer|s/if (read(timer, .*/if (0 \&\& read(timer, \&expirations, 8))/'
    'nobody reads the timer, and silence is told once|s/if (read(timer, .*/if (0 \&\& read(timer, \&expirations, 8))/; s/if ((ready & TIMER) &&/if (!silent \&\& (ready \& TIMER) \&\&/'
    'silence is when nothing comes for most of a second|s/QUIET \* 1000000/900000000/'
    'what should have come is told, not what has|s/^static long received, written;/static long received, written, sent;/; s/^    char text\[32\];/&\n\n    sent = nr;/; s/silence after %ld messages.n", received/silence after %ld messages\\n", sent/'
    'it ticks again and again|s/\.it_value\.tv_nsec = QUIET \* 1000000/&, .it_interval.tv_nsec = QUIET * 1000000/'
    'a timer of 0 is one that is off|s/QUIET \* 1000000/0/'
    'nobody looks whether the timer could be set|s/if (timerfd_settime(timer, 0, &quiet, NULL) == -1)/if (timerfd_settime(timer, 0, \&quiet, NULL) == -2)/'
)
right=(
    'two descriptors at a time|s/epoll, told, 4, 10000/epoll, told, 2, -1/'
    'the timer is looked at ahead of the completions|
        s/^        if (ready & COMPLETIONS)/        if ((ready \& TIMER) \&\& \
            !(ready \& PIPE)) {\
            silence(timer);\
            silent = 1;\
        }\
        ready \&= ~TIMER;\n&/'
    'another clock|s/CLOCK_MONOTONIC/CLOCK_BOOTTIME/'
)
