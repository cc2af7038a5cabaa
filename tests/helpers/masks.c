/*
 * masks.c - says which signals are blocked when lio_listio() is called
 *
 * A library to preload. For each call a line on stderr: the mode, then 1 or
 * 0 for SIGINT and for SIGALRM.
 *
 * Build:  cc -shared -fPIC -o masks.so masks.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>

/* As <aio.h> has it, but that differs between C libraries. */
typedef int function(int mode, void *list, int n, void *event);
function lio_listio;

int lio_listio(int mode, void *list, int n, void *event)
{
    function *next = (function *)(uintptr_t)dlsym(RTLD_NEXT, "lio_listio");
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    fprintf(stderr, "%s: %d%d\n", mode == 0 ? "LIO_WAIT" : "another",
            sigismember(&mask, SIGINT), sigismember(&mask, SIGALRM));
    return next(mode, list, n, event);
}
