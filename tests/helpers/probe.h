/*
 * probe.h - what the probes share: errors by their names, a context, and how
 * a question is asked
 *
 * A probe is a program with a table of questions. Each is a word on the
 * command line; the answer goes to stdout, an errno by its name. What can't
 * be asked at all ends with status 1.
 */
#define _GNU_SOURCE
#include "direct.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/time_types.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BLOCK = 65536, MANY = 32 };

static const struct {
    int number;
    const char *name;
} errors[] = {
    { EAGAIN, "EAGAIN" },
    { EBADF, "EBADF" },
    { ECONNREFUSED, "ECONNREFUSED" },
    { EFAULT, "EFAULT" },
    { EFBIG, "EFBIG" },
    { EINPROGRESS, "EINPROGRESS" },
    { EINTR, "EINTR" },
    { EINVAL, "EINVAL" },
    { EIO, "EIO" },
    { EMFILE, "EMFILE" },
    { ENETUNREACH, "ENETUNREACH" },
    { ENOENT, "ENOENT" },
    { ENOMEM, "ENOMEM" },
    { ENOSPC, "ENOSPC" },
    { ENOSYS, "ENOSYS" },
    { EOPNOTSUPP, "EOPNOTSUPP" },
    { EPERM, "EPERM" },
    { EPIPE, "EPIPE" },
    { ESPIPE, "ESPIPE" },
    { ETIMEDOUT, "ETIMEDOUT" },
};

static aio_context_t ctx; /* for MANY requests */
static struct iocb iocbs[MANY];
static struct io_event events[MANY];

static inline const char *name(long error)
{
    static char number[32];

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].number == error)
            return errors[i].name;
    snprintf(number, sizeof(number), "errno %ld", error);
    return number;
}

/* A call's result as text: the number, or the error's name. */
static inline const char *said(long result)
{
    static char number[32];

    if (result == -1)
        return name(errno);
    snprintf(number, sizeof(number), "%ld", result);
    return number;
}

static inline void need(int fine, const char *what)
{
    if (fine)
        return;
    perror(what);
    exit(1);
}

static inline long submit_list(long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static inline long submit(struct iocb *iocb)
{
    return submit_list(1, &iocb);
}

static inline long cancel(aio_context_t in, void *iocb, void *result)
{
    return syscall(SYS_io_cancel, in, iocb, result);
}

/* Takes what there is, at least min_nr events, at most ten seconds long. */
static inline long reap(long min_nr)
{
    struct __kernel_old_timespec timeout = { .tv_sec = 10 };

    return syscall(SYS_io_getevents, ctx, min_nr, (long)MANY, events, &timeout);
}

static inline struct iocb *prepare(int i, int opcode, int fd, void *data,
                                   long bytes)
{
    iocbs[i] = (struct iocb){
        .aio_data = i,
        .aio_lio_opcode = opcode,
        .aio_fildes = fd,
        .aio_buf = (uintptr_t)data,
        .aio_nbytes = bytes,
    };
    return &iocbs[i];
}

static inline void *block(void)
{
    void *data = NULL;

    need(posix_memalign(&data, BLOCK, BLOCK) == 0, "posix_memalign");
    memset(data, 'p', BLOCK);
    return data;
}

/* The text of an error, as this C library has it. */
static inline void reason(const char *error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (!strcmp(errors[i].name, error))
            puts(strerror(errors[i].number));
}

/* Has this file O_DIRECT? */
static inline void direct(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0666);

    need(fd != -1, path);
    puts(go_direct(fd) ? "yes" : "no");
}

struct question {
    const char *name;
    void (*answer)(const char *argument);
};

/* Finds the question, and asks it. The last one has no name. */
static inline int ask(const struct question *question, int argc, char **argv)
{
    const char *argument = argc > 2 ? argv[2] : "";

    for (; argc > 1 && question->name != NULL; question++) {
        if (strcmp(question->name, argv[1]) != 0)
            continue;
        if (question->answer != reason && question->answer != direct)
            need(syscall(SYS_io_setup, MANY, &ctx) == 0, "io_setup");
        question->answer(argument);
        return 0;
    }
    return 2;
}
