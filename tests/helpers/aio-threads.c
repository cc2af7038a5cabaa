/*
 * aio-threads.c - POSIX AIO made of plain threads, for the thread sanitizer
 *
 * The sanitizer follows the threads that it sees being made. It does not see
 * glibc make those of POSIX AIO, and crashes in their callbacks. A program
 * built together with this file has POSIX AIO of its own: a thread for each
 * request, in which the callback runs, too. It does what the programs of the
 * course need, for regular files, and no more.
 *
 * Build:  cc -fsanitize=thread -o program program.c aio-threads.c
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __GLIBC__ /* what follows uses its struct aiocb */

/* The requests of one lio_listio(): how many are left, and whom to tell. */
struct list {
    int left;
    struct sigevent event;
};

struct request {
    struct aiocb *aiocb;
    struct list *list;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;

static void notify(const struct sigevent *event)
{
    siginfo_t info = { .si_signo = event->sigev_signo };

    info.si_code = SI_ASYNCIO;
    info.si_pid = getpid();
    info.si_value = event->sigev_value;
    if (event->sigev_notify == SIGEV_SIGNAL && event->sigev_signo != 0)
        syscall(SYS_rt_sigqueueinfo, getpid(), event->sigev_signo, &info);
    if (event->sigev_notify == SIGEV_THREAD)
        event->sigev_notify_function(event->sigev_value);
}

static void *work(void *argument)
{
    struct request request = *(struct request *)argument;
    struct aiocb *aiocb = request.aiocb;
    struct sigevent event = aiocb->aio_sigevent;
    int last;
    ssize_t n;

    free(argument);
    if (aiocb->aio_lio_opcode == LIO_READ)
        n = pread(aiocb->aio_fildes, (void *)aiocb->aio_buf, aiocb->aio_nbytes,
                  aiocb->aio_offset);
    else
        n = pwrite(aiocb->aio_fildes, (void *)aiocb->aio_buf, aiocb->aio_nbytes,
                   aiocb->aio_offset);

    pthread_mutex_lock(&lock);
    aiocb->__return_value = n;
    aiocb->__error_code = n == -1 ? errno : 0;
    last = request.list != NULL && --request.list->left == 0;
    pthread_cond_broadcast(&done);
    pthread_mutex_unlock(&lock);

    notify(&event);
    if (last) {
        notify(&request.list->event);
        free(request.list);
    }
    return NULL;
}

static int start(struct aiocb *aiocb, int op, struct list *list)
{
    struct request *request = malloc(sizeof(*request));
    sigset_t all, old;
    pthread_t thread;

    request->aiocb = aiocb;
    request->list = list;
    aiocb->aio_lio_opcode = op;
    aiocb->__error_code = EINPROGRESS;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    errno = pthread_create(&thread, NULL, work, request);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (errno != 0)
        return -1;
    return pthread_detach(thread);
}

int aio_read(struct aiocb *aiocb)
{
    return start(aiocb, LIO_READ, NULL);
}

int aio_write(struct aiocb *aiocb)
{
    return start(aiocb, LIO_WRITE, NULL);
}

int aio_error(const struct aiocb *aiocb)
{
    int error;

    pthread_mutex_lock(&lock);
    error = aiocb->__error_code;
    pthread_mutex_unlock(&lock);
    return error;
}

ssize_t aio_return(struct aiocb *aiocb)
{
    return aiocb->__return_value;
}

int aio_suspend(const struct aiocb *const list[], int n,
                const struct timespec *timeout)
{
    (void)timeout;
    pthread_mutex_lock(&lock);
    for (int i = 0;; i = (i + 1) % n) {
        if (list[i] != NULL && list[i]->__error_code != EINPROGRESS)
            break;
        if (i == n - 1)
            pthread_cond_wait(&done, &lock);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int lio_listio(int mode, struct aiocb *const list[], int n,
               struct sigevent *event)
{
    struct list *all = NULL;
    int failed = 0;

    if (mode != LIO_WAIT && mode != LIO_NOWAIT) {
        errno = EINVAL;
        return -1;
    }
    if (mode == LIO_NOWAIT && event != NULL) {
        all = calloc(1, sizeof(*all));
        all->event = *event;
        for (int i = 0; i < n; i++)
            all->left += list[i] != NULL && list[i]->aio_lio_opcode != LIO_NOP;
    }
    for (int i = 0; i < n; i++)
        if (list[i] != NULL && list[i]->aio_lio_opcode != LIO_NOP)
            start(list[i], list[i]->aio_lio_opcode, all);
    for (int i = 0; mode == LIO_WAIT && i < n; i++)
        if (list[i] != NULL && list[i]->aio_lio_opcode != LIO_NOP) {
            while (aio_error(list[i]) == EINPROGRESS)
                aio_suspend((const struct aiocb *const *)&list[i], 1, NULL);
            failed |= aio_error(list[i]);
        }
    errno = EIO;
    return failed ? -1 : 0;
}

#else
typedef int needs_glibc;
#endif
