/*
 * preload.h - what the parts of fault.so share
 *
 * fault.so stands between a program and the C library: a call comes by here
 * whatever name it is made by, once, and goes through these, in this order:
 *
 *     the program
 *        |  handlers: is it allowed in a signal handler?      trace.c
 *        |  faults: does it fail, or is it made shorter?      fault.c
 *        |  notes of what is asked for                        trace.c
 *        |  late: is it really made, or later?                late.c
 *     the C library, libaio, the kernel
 *        |  notes of what came of it                          trace.c
 *        |  faults: what is reported instead?                 fault.c
 *     the program
 *
 * The table of all calls, and how one is made, is preload.c.
 */
#ifndef PRELOAD_H
#define PRELOAD_H

#include <linux/aio_abi.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

/*
 * All arguments are numbers and pointers, each a long or two. So a function
 * need not know what it is given: it takes as many longs as the longest
 * list needs and passes them on. Those that the caller did not fill are
 * rubbish that nobody looks at. C does not promise that this works, but the
 * calling conventions of Linux do.
 */
typedef long long function(long, long, long, long, long, long, long);

/* What a call can do, and what it is. */
enum {
    FAIL = 1,        /* in its own way */
    AFTER = 2,       /* it is made, and then said to have failed */
    SHORT = 4,       /* for less than was asked */
    RES = 8,         /* the event says something else */
    BYTES = 16,      /* requests are for fewer bytes */
    KILL = 32,       /* a signal comes ahead of it, */
    THEN = 8192,     /* or behind it */
    EMPTY = 512,     /* it fails if there is no event */
    OVER = 1024,     /* it says how a request ended that is over */
    LAST = 2048,     /* as RES, and it is the last event */
    FULL = 4096,     /* it fails until somebody looks for events */
    UNSAFE = 64,     /* nothing for a signal handler */
    UNCOUNTED = 128, /* it has no faults */
    MEMORY = 256,    /* it counts only if the program itself makes it */
};

enum failure { MINUS_1, NULL_POINTER, RETURNED, NEGATIVE };

struct made;
struct call {
    const char *name;
    enum failure fails;
    int kinds;
    int at;       /* which argument is a size or count that can be smaller */
    int waits_at; /* and another, for how many it waits */
    void (*ahead)(struct made *);
    long long (*make)(struct made *); /* instead of make_it() */
    void (*behind)(struct made *);
    atomic_ulong count;
};

/* One call that is made. */
struct made {
    struct call *call;
    const char *name; /* pread64, say, of the call pread */
    long number;      /* if it is made with syscall(), else -1 */
    function *real;
    const void *caller;
    long args[7];
    int at;
    enum failure fails;
    int fault; /* NOTHING is 0 */
    long value;
    long long result; /* a negative errno, of system calls and libaio */
    int error;        /* what errno will be */
};

#pragma GCC visibility push(hidden)

/* preload.c */
extern struct call *__start_calls[], *__stop_calls[];
extern struct call call_open, call_open_direct, call_fcntl, call_aio_return;
extern struct call call_aio_error, call_lio_listio;
extern struct call call_io_pgetevents, call_io_cached;
long long make_it(struct made *made);
long raw(long number, ...); /* a system call that is nobody's */
function *find(const char *name);
int by_program(const void *caller);
void print(char *text, unsigned long size, const char *format, ...);
int time64(const struct made *made);

/* fault.c */
void fault_start(void), fault_end(void);
void fault_arm(struct made *made, struct call *call);
void fault_ahead(struct made *made), fault_behind(struct made *made);
long long fault_failure(struct made *made);
long long other_statx(struct made *made);

/* late.c */
void late_start(void);
long long late_submit(struct made *made), late_events(struct made *made);
long long late_cancel(struct made *made), late_destroy(struct made *made);
long long late_epoll(struct made *made), late_poll(struct made *made);
long long late_read(struct made *made);

/* trace.c */
void trace_start(void), trace_end(void);
void trace_unsafe(const char *name);
void trace_setup(struct made *made), trace_destroy(struct made *made);
void trace_before_submit(struct made *made), trace_submit(struct made *made);
void trace_events(struct made *made), trace_cancel(struct made *made);
void trace_open(struct made *made), trace_read(struct made *made);
void trace_fsync(struct made *made), trace_rename(struct made *made);
void trace_block(struct made *made), trace_memalign(struct made *made);
void trace_free(struct made *made), trace_setitimer(struct made *made);
void trace_timerfd(struct made *made), trace_wait(struct made *made);
void trace_signal(struct made *made), trace_sigaction(struct made *made);
void trace_sigprocmask(struct made *made);
long long trace_handle(struct made *made), trace_handle_plain(struct made *);
void trace_aio_return(struct made *made);
void trace_aio(struct made *made), trace_aio_fsync(struct made *made);
void trace_aio_begun(struct made *made), trace_aio_error(struct made *made);
void trace_aio_suspend(struct made *made), trace_aio_cancel(struct made *made);
void trace_lio_listio(struct made *made);

/* torment.c */
void torment_start(void), torment_end(void);
void torment_setup(struct made *made), torment_submit(struct made *made);
void torment_before_submit(struct made *made);
void torment_destroy(aio_context_t ctx), torment_events(void);
void *torment_add(aio_context_t ctx, const struct iocb *iocb, const void *obj,
                  const void *copy);
void torment_now(void *entry), torment_free(void *memory);
int torment_fails(const struct io_event *event);

#pragma GCC visibility pop

#endif
