# shellcheck shell=bash disable=SC2034,SC2154
name=2-head
chapter=06-vectored
kind='find the bug'
title='a ring that fills up though it is read'
reason='*expected: status 0*got: status 1*io_submit: Resource temporarily*'

check() {
    local round

    situation 'Ten thousand requests, more than any ring has places here:'
    run demo.dat 10000
    [[ $errors != *'another request'* ]] || hint 3
    expect_success
    expect_line 'requests: 10000, calls of io_getevents: *' \
        'requests: 10000, calls of io_getevents: (any number)'
    expect_calls io_submit 10000
    printf '%04096d' 0 | tr 0 x >expected
    expect_same demo.dat expected

    situation 'Writes to the page cache are done at once: the ring has all:' 3
    run demo.dat
    expect_success
    expect_output 'requests: 1000, calls of io_getevents: 0'
    expect_calls io_submit 1000
    expect_calls io_getevents 0

    situation 'On a slow disk the ring is empty, and it has to wait:' 3
    late=newest run demo.dat 300
    expect_success
    expect_line 'requests: 300, calls of io_getevents: *' \
        'requests: 300, calls of io_getevents: (any number)'
    expect_calls io_getevents 1+

    situation 'No file may get any size:' 0
    file_limit=0 run demo.dat 10
    expect_error 'IOCB_CMD_PWRITE demo.dat: File too large'
}

hints=(
    'The kernel must know which places are free again. Which of the two words
in the ring says so, and who writes it?'
    'ring->head is ours to move. A variable of our own moves, but nobody looks
at it.'
    'Load head from the ring (relaxed: only we write it), copy the event, and
store the new head with memory_order_release. io_getevents() moves the head,
too: so a copy of it that you keep from call to call goes stale.'
)
notice='The event is copied first, and then the head is stored. Here, with one
request in flight, nobody would see the difference: with many, the kernel may
have put another event there in between.'

wrong=(
    'it is never back at place 0|s/head = (head + 1) % ring->nr;/head = head + 1;/'
    'io_getevents() does it all|s/if (head == atomic_load.*/if (1)/'
    'the head runs up to the tail, whatever is there|s/head = (head + 1) % ring->nr;/head = atomic_load_explicit(\&ring->tail, memory_order_acquire) + 1;/'
    'a head of its own, which is stored as well: io_getevents() moves that in the ring @late-newest|s/    unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);/    static unsigned head;/'
    'the events are not copied, but counted|s/^    \*event = places\[head\];/    event->res = 4096;\n    event->data = 0;/'
    'all is asked for by a call when the ring has wrapped|s/head = (head + 1) % ring->nr;/if (++head == ring->nr)\n        return 1;/'
)
right=(
    'an if instead of a remainder|s/head = (head + 1) % ring->nr;/if (++head == ring->nr)\n        head = 0;/'
    'everything in one order|s/memory_order_relaxed/memory_order_seq_cst/; s/memory_order_acquire/memory_order_seq_cst/; s/memory_order_release/memory_order_seq_cst/'
    'no memory_order at all: plain use of atomics|s/atomic_load_explicit(&ring->head, memory_order_relaxed)/ring->head/; s/atomic_store_explicit(&ring->head, head, memory_order_release)/ring->head = head/'
)
