/*
 * masks.c - how carefully a program treats the requests of a list
 *
 * A library to preload. It says on stderr, or adds to the file MASKS_LOG,
 *
 *     LIO_WAIT: 11           lio_listio() is called, in this mode (or
 *     another: 00            "another"); 1 if SIGINT is blocked, SIGALRM is
 *     aio_return first       aio_return() is called though aio_error() has
 *                            not said that the request is over
 *
 * Build:  cc -shared -fPIC -o masks.so masks.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

/* As <aio.h> has them, but that differs between C libraries. */
typedef int listio_function(int mode, void *list, int n, void *event);
typedef int error_function(const void *aiocb);
typedef ssize_t return_function(void *aiocb);
listio_function lio_listio;
error_function aio_error;
return_function aio_return;

static const void *over[64]; /* the last requests said to be over */
static unsigned nr_over;

static void *next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static void say(const char *format, const char *what, int one, int other)
{
    const char *log = getenv("MASKS_LOG");
    int fd = log ? open(log, O_WRONLY | O_CREAT | O_APPEND, 0666) : 2;

    dprintf(fd, format, what, one, other);
    if (log)
        close(fd);
}

int lio_listio(int mode, void *list, int n, void *event)
{
    listio_function *call = (listio_function *)(uintptr_t)next("lio_listio");
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    say("%s: %d%d\n", mode == 0 ? "LIO_WAIT" : "another",
        sigismember(&mask, SIGINT), sigismember(&mask, SIGALRM));
    return call(mode, list, n, event);
}

int aio_error(const void *aiocb)
{
    error_function *call = (error_function *)(uintptr_t)next("aio_error");
    int error = call(aiocb);

    if (error != EINPROGRESS)
        over[nr_over++ % 64] = aiocb;
    return error;
}

ssize_t aio_return(void *aiocb)
{
    return_function *call = (return_function *)(uintptr_t)next("aio_return");
    unsigned i = 0;

    while (i < 64 && over[i] != aiocb)
        i++;
    if (i == 64)
        say("%s", "aio_return first\n", 0, 0);
    return call(aiocb);
}
