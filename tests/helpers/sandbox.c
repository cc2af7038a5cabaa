/*
 * sandbox.c - runs a program under a filter for system calls
 *
 * What containers, browsers and service managers do with seccomp: chosen calls
 * are answered by the filter, and the kernel's code for them never runs. The
 * program and its children cannot take the filter off again.
 *
 * Build:  cc -o sandbox sandbox.c
 * Usage:  ./sandbox CALL=ERROR... -- PROGRAM [ARGUMENT]...
 *         CALL is one of AIO's or io_uring's calls; ERROR is EPERM, ENOSYS,
 *         EACCES or EAGAIN, or `kill`, for SIGSYS
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct named {
    const char *name;
    unsigned value;
};

static const struct named calls[] = { { "io_setup", SYS_io_setup },
                                      { "io_destroy", SYS_io_destroy },
                                      { "io_submit", SYS_io_submit },
                                      { "io_getevents", SYS_io_getevents },
                                      { "io_cancel", SYS_io_cancel },
                                      { "clone", SYS_clone },
#ifdef SYS_clone3
                                      { "clone3", SYS_clone3 },
#endif
#ifdef SYS_io_pgetevents
                                      { "io_pgetevents", SYS_io_pgetevents },
#endif
#ifdef SYS_io_uring_setup
                                      { "io_uring_setup", SYS_io_uring_setup },
                                      { "io_uring_enter", SYS_io_uring_enter },
#endif
                                      { NULL, 0 } };

static const struct named answers[] = {
    { "EPERM", SECCOMP_RET_ERRNO | EPERM },
    { "ENOSYS", SECCOMP_RET_ERRNO | ENOSYS },
    { "EACCES", SECCOMP_RET_ERRNO | EACCES },
    { "EAGAIN", SECCOMP_RET_ERRNO | EAGAIN },
    { "kill", SECCOMP_RET_KILL },
    { NULL, 0 }
};

static unsigned find(const struct named *table, const char *name);

int main(int argc, char **argv)
{
    struct sock_filter code[64] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    };
    struct sock_fprog filter = { 1, code };
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        const char *call = strtok(argv[i], "=");
        const char *answer = strtok(NULL, "");

        if (call == NULL || answer == NULL || i > 30)
            errx(2, "Usage: sandbox CALL=ERROR... -- PROGRAM [ARGUMENT]...");

        /* If it is this call, go on; if not, leave out the answer. */
        code[filter.len++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, find(calls, call), 0, 1);
        code[filter.len++] = (struct sock_filter)BPF_STMT(
            BPF_RET | BPF_K, find(answers, answer));
    }
    if (i + 1 >= argc)
        errx(2, "Usage: sandbox CALL=ERROR... -- PROGRAM [ARGUMENT]...");
    code[filter.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
                                                      SECCOMP_RET_ALLOW);

    /* Without privileges a filter is for those who give up getting any. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == -1)
        err(1, "prctl");
    execvp(argv[i + 1], argv + i + 1);
    err(1, "%s", argv[i + 1]);
}

static unsigned find(const struct named *table, const char *name)
{
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return table->value;
    errx(2, "'%s' is not known here", name);
}
