/*
 * posix-probe.h - what the probes of POSIX AIO share: requests, pipes, and how
 * a question is asked
 *
 * Each question is a function, named as on the command line; it answers in
 * lines. Files that it needs are made in the current folder.
 */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MUCH = 2 << 20 }; /* bytes, more than any pipe holds */

static const struct timespec limit = { 10, 0 };

static inline const char *name_of(int error)
{
    switch (error) {
    case 0:
        return "0";
    case EAGAIN:
        return "EAGAIN";
    case EBADF:
        return "EBADF";
    case ECANCELED:
        return "ECANCELED";
    case EINPROGRESS:
        return "EINPROGRESS";
    case EINTR:
        return "EINTR";
    case EINVAL:
        return "EINVAL";
    case EIO:
        return "EIO";
    case EFAULT:
        return "EFAULT";
    case EFBIG:
        return "EFBIG";
    case EISDIR:
        return "EISDIR";
    case ENOSPC:
        return "ENOSPC";
    case EPIPE:
        return "EPIPE";
    default:
        return strerror(error);
    }
}

/* Prints what a call returned. */
static inline void answer(const char *call, long result)
{
    if (result == -1)
        printf("%s: -1 %s\n", call, name_of(errno));
    else
        printf("%s: %ld\n", call, result);
}

static inline void prepare(struct aiocb *aiocb, int fd, void *data,
                           size_t nbytes)
{
    *aiocb = (struct aiocb){
        .aio_fildes = fd,
        .aio_buf = data,
        .aio_nbytes = nbytes,
        .aio_sigevent.sigev_notify = SIGEV_NONE,
    };
}

static inline void wait_for(const struct aiocb *aiocb)
{
    const struct aiocb *const list[1] = { aiocb };

    while (aio_error(aiocb) == EINPROGRESS)
        if (aio_suspend(list, 1, &limit) == -1 && errno != EINTR)
            err(1, "aio_suspend");
}

static inline void start_read(struct aiocb *aiocb, int fd, char *letter)
{
    prepare(aiocb, fd, letter, 1);
    if (aio_read(aiocb) == -1)
        err(1, "aio_read");
}

static inline void start_write(struct aiocb *aiocb, int fd, void *data,
                               size_t nbytes)
{
    prepare(aiocb, fd, data, nbytes);
    if (aio_write(aiocb) == -1)
        err(1, "aio_write");
}

static inline int scratch_file(void)
{
    int fd = open("probe-file", O_RDWR | O_CREAT | O_TRUNC, 0666);

    if (fd == -1)
        err(1, "open");
    return fd;
}

static inline void make_pipe(int ends[2])
{
    if (pipe(ends) == -1)
        err(1, "pipe");
}

static inline void write_byte(int fd)
{
    if (write(fd, "!", 1) != 1)
        err(1, "write");
}

static inline int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int threads = 0;

    if (dir == NULL)
        err(1, "opendir");
    while ((entry = readdir(dir)) != NULL)
        threads += entry->d_name[0] != '.';
    closedir(dir);
    return threads;
}

static inline void on_signal(int signo)
{
    (void)signo;
}

/* From now on a signal comes, and again and again; or no more. */
static inline void ticking(int on)
{
    struct itimerval ticks = { { 0, on * 1000 }, { 0, on * 1000 } };
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    if (sigaction(SIGALRM, &action, NULL) == -1)
        err(1, "sigaction");
    if (setitimer(ITIMER_REAL, &ticks, NULL) == -1)
        err(1, "setitimer");
}

/* A callback that waits for a word, and says when it is done. */
static sem_t go, ran;

static inline void on_completion(union sigval value)
{
    (void)value;
    if (sem_wait(&go) == 0)
        sem_post(&ran);
}

struct question {
    const char *name;
    void (*ask)(void);
};

/* clang-format off */
#define Q(name) { #name, name }
/* clang-format on */

/* main(): asks what the command line says. The last of them has no name. */
static inline int answer_one(int argc, char **argv,
                             const struct question *questions)
{
    for (int i = 0; questions[i].name != NULL; i++)
        if (argc == 2 && !strcmp(argv[1], questions[i].name)) {
            questions[i].ask();
            return EXIT_SUCCESS;
        }
    fprintf(stderr, "Usage: %s QUESTION, one of\n",
            program_invocation_short_name);
    for (int i = 0; questions[i].name != NULL; i++)
        fprintf(stderr, "    %s\n", questions[i].name);
    return 2;
}
