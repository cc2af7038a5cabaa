/*
 * whose-context.c - who owns a context
 *
 * Makes contexts, and then others try to use them: the thread that made one
 * is gone, a child shares the memory or has a copy, another program takes
 * over. All try the same: to submit no request at all. That is an error only
 * where the context is not theirs.
 *
 * Build:  cc -o whose-context whose-context.c (glibc before 2.34: add -pthread)
 * Usage:  ./whose-context [CONTEXT]
 * SPDX-License-Identifier: MIT-0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int try(aio_context_t ctx), status_of(pid_t child);
static void show(const char *who, int error);
static void *make_context(void *ctx);
static void become_another_program(const char *name, aio_context_t ctx);
static aio_context_t context(const char *text);
static void start(int argc, char **argv, int min, int max);
static int io_destroy(aio_context_t ctx);
static int io_setup(unsigned nr_events, aio_context_t *ctxp);
static int io_submit(aio_context_t ctx, long nr, struct iocb **list);

int main(int argc, char **argv)
{
    aio_context_t first = 0, second = 0;
    pthread_t thread;
    pid_t child;

    start(argc, argv, 0, 1);
    if (argc > 1) { /* only to see whether that one is ours */
        show("another program", try(context(argv[1])));
        return EXIT_SUCCESS;
    }

    /* A process can have several. Each has a life of its own. */
    if (io_setup(8, &first) == -1)
        err(1, "io_setup");
    errno = pthread_create(&thread, NULL, make_context, &second);
    if (errno != 0)
        err(1, "pthread_create");
    errno = pthread_join(thread, NULL);
    if (errno != 0)
        err(1, "pthread_join");
    show("main, its own context", try(first));
    show("main, one made by a thread that has ended", try(second));
    if (io_destroy(first) == -1)
        err(1, "io_destroy");
    show("main, its own after io_destroy", try(first));
    show("main, the other one", try(second));

    signal(SIGCHLD, SIG_DFL); /* ignored, a child's status would be lost */

    /* vfork() lends the child our memory, fork() gives it a copy. */
    child = vfork();
    if (child == 0)
        _exit(try(second));
    show("a vfork() child", status_of(child));
    child = fork();
    if (child == 0)
        _exit(try(second));
    show("a fork() child", status_of(child));
    show("its parent", try(second));

    become_another_program(argv[0], second);
}

/* 0, or the error that the kernel reports. */
static int try(aio_context_t ctx)
{
    return io_submit(ctx, 0, NULL) == -1 ? errno : 0;
}

static void show(const char *who, int error)
{
    printf("%s: %s\n", who, error == 0 ? "can use it" : strerror(error));
}

/* The thread ends. What it made is not its own, and stays. */
static void *make_context(void *ctx)
{
    if (io_setup(8, ctx) == -1)
        err(1, "io_setup");
    return NULL;
}

/* What the child could do: its exit status is the error, or 0. */
static int status_of(pid_t child)
{
    int status;

    if (child == -1)
        err(1, "fork");
    if (waitpid(child, &status, 0) == -1)
        err(1, "waitpid");
    if (WIFSIGNALED(status))
        errx(1, "child: %s", strsignal(WTERMSIG(status)));
    return WEXITSTATUS(status);
}

/*
 * The same process with other memory: this program once more, which knows
 * the context's number. Nobody needs to destroy it: exec has done so.
 */
static void become_another_program(const char *name, aio_context_t ctx)
{
    char number[32];

    snprintf(number, sizeof(number), "%lu", (unsigned long)ctx);
    execlp(name, name, number, (char *)NULL);
    err(1, "exec %s", name);
}

/*
 * No C library has functions for these system calls. The types matter:
 * syscall() converts nothing. All return -1 and set errno on error.
 */
static int io_setup(unsigned nr_events, aio_context_t *ctxp)
{
    return syscall(SYS_io_setup, nr_events, ctxp);
}

static int io_destroy(aio_context_t ctx)
{
    return syscall(SYS_io_destroy, ctx);
}

static int io_submit(aio_context_t ctx, long nr, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, nr, list);
}

static const char usage[] =
    "Usage: whose-context [CONTEXT]\n"
    "Shows who can use a context. Given CONTEXT, the number of one, it only\n"
    "says whether this program can use that.\n";

/* At exit: output that did not arrive (a full disk, say) is a failure too. */
static void check_output(void)
{
    if (ferror(stdout) && putchar('\n') != EOF && fflush(stdout) == 0)
        errno = EIO; /* else it failed again, and errno says why */
    if (ferror(stdout) || fflush(stdout) != 0) {
        warn("standard output");
        _exit(EXIT_FAILURE);
    }
}

/* What every program does first; status 2 if its arguments are not right. */
static void start(int argc, char **argv, int min, int max)
{
    const char *first = argc > 1 ? argv[1] : "";
    int help = !strcmp(first, "-h") || !strcmp(first, "--help");

    for (int fd = 0; fd <= 2; fd++) /* closed, it would become FILE's */
        if (fcntl(fd, F_GETFD) == -1)
            open("/dev/null", O_RDONLY);
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    atexit(check_output);
    signal(SIGXFSZ, SIG_IGN); /* over `ulimit -f`: an error, no kill */
    if (help || argc <= min || argc > max + 1 || first[0] == '-') {
        fputs(usage, help ? stdout : stderr);
        exit(help ? EXIT_SUCCESS : 2);
    }
}

/* A context is a number, an address. */
static aio_context_t context(const char *text)
{
    char *end;
    unsigned long ctx = strtoul(text, &end, 10);

    if (end != text && *end == '\0')
        return ctx;
    warnx("'%s' is not the number of a context", text);
    fputs(usage, stderr);
    exit(2);
}
