/*
 * callback.c - work done in the callbacks of completions
 *
 * First a chain: the callback of each write to FILE starts the next one, and
 * that of the last wakes main. Then all at once: the callbacks run side by
 * side, in threads that main did not make, so what they share is atomic.
 *
 * Build:  cc -o callback callback.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./callback FILE
 * SPDX-License-Identifier: MIT-0
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS = 4, BLOCK = 4096 /* bytes a request */ };

/*
 * What main and the callbacks share. Main looks at it after wait_until_told()
 * only, when no callback does any more: that needs no lock. The counters do,
 * because two callbacks may run at the same time.
 */
static struct aiocb aiocbs[REQUESTS];
static const char *path;
static sem_t told;
static atomic_int callbacks, in_main, error_in_chain;
static pthread_t main_thread;
static int threads, blocked; /* as the first callback saw it */

static void prepare_all(int fd, int first, void (*callback)(union sigval));
static void on_link(union sigval value), on_one_of_many(union sigval value);
static void wait_until_told(void), finish(const char *way);
static int count_threads(void);
static void check(struct aiocb *aiocb, const char *call, const char *path);
static void start(int argc, char **argv, int min, int max);
static int create(int flags);

int main(int argc, char **argv)
{
    sigset_t set;
    int fd, before;

    start(argc, argv, 1, 1);
    path = argv[1];
    fd = create(O_WRONLY);
    if (fd == -1)
        err(1, "open %s", path);
    if (sem_init(&told, 0, 0) == -1)
        err(1, "sem_init");

    /* SIGUSR1 is blocked to see whether callbacks inherit that. */
    main_thread = pthread_self();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        err(1, "sigprocmask");
    before = count_threads();
#ifdef __GLIBC__
    /* A worker of glibc leaves after a second without work. Not here: it is
     * to be counted. */
    aio_init(&(struct aioinit){
        .aio_threads = 20, .aio_num = 64, .aio_idle_time = 60 /* s */ });
#endif

    /* The chain: start the first link, wait for the last. */
    prepare_all(fd, 0, on_link);
    if (aio_write(&aiocbs[0]) == -1)
        err(1, "aio_write %s", path);
    wait_until_told();
    errno = error_in_chain;
    if (errno != 0)
        err(1, "aio_write %s", path);
    finish("chain");

    /* glibc: a worker for FILE, and a thread for each callback, where all
     * signals come through. musl: the worker, where none does. */
    printf("threads in the first callback: %d more\n", threads - before);
    printf("SIGUSR1, which main has blocked, in a callback: %s\n",
           blocked ? "blocked" : "not blocked");

    /* All at once. */
    prepare_all(fd, REQUESTS, on_one_of_many);
    for (int i = 0; i < REQUESTS; i++)
        if (aio_write(&aiocbs[i]) == -1)
            err(1, "aio_write %s", path);
    wait_until_told();
    finish("all at once");

    if (sem_destroy(&told) == -1)
        err(1, "sem_destroy");
    if (close(fd) == -1)
        err(1, "close %s", path);
    return EXIT_SUCCESS;
}

/* Makes the requests ready to write the blocks from `first` on. */
static void prepare_all(int fd, int first, void (*callback)(union sigval))
{
    static char data[REQUESTS][BLOCK];

    callbacks = 0;
    for (int i = 0; i < REQUESTS; i++) {
        memset(data[i], 'a' + first + i, BLOCK);
        aiocbs[i] = (struct aiocb){
            .aio_fildes = fd,
            .aio_buf = data[i],
            .aio_nbytes = BLOCK,
            .aio_offset = (off_t)(first + i) * BLOCK,
            .aio_sigevent = { .sigev_notify = SIGEV_THREAD,
                              .sigev_notify_function = callback,
                              .sigev_value.sival_ptr = &aiocbs[i] },
        };
    }
}

static void wake_main(void)
{
    if (sem_post(&told) == -1)
        err(1, "sem_post");
}

/* One link of the chain. */
static void on_link(union sigval value)
{
    struct aiocb *aiocb = value.sival_ptr;
    sigset_t mask;

    in_main += pthread_equal(main_thread, pthread_self());
    if (callbacks++ == 0) {
        threads = count_threads();
        pthread_sigmask(SIG_BLOCK, NULL, &mask);
        blocked = sigismember(&mask, SIGUSR1);
    }

    /* The next one, unless this was the last or has failed. Once it is
     * started, its callback may run before this one returns. */
    if (aio_error(aiocb) != 0 || aiocb == &aiocbs[REQUESTS - 1]) {
        wake_main();
    } else if (aio_write(aiocb + 1) == -1) {
        error_in_chain = errno;
        wake_main();
    }
}

/* One of many: whoever is the last wakes main. */
static void on_one_of_many(union sigval value)
{
    (void)value;
    in_main += pthread_equal(main_thread, pthread_self());
    if (++callbacks == REQUESTS)
        wake_main();
}

/*
 * Sleeps until sem_post(&told), ten seconds at most: a callback may fail to
 * come. There may be no memory for a thread to run it, and nobody says so.
 */
static void wait_until_told(void)
{
    struct timespec end;

    if (clock_gettime(CLOCK_REALTIME, &end) == -1)
        err(1, "clock_gettime");
    end.tv_sec += 10;
    while (sem_timedwait(&told, &end) == -1)
        if (errno != EINTR)
            err(1, "sem_timedwait");
}

/* A callback has no one to report to: main looks how the requests ended. */
static void finish(const char *way)
{
    for (int i = 0; i < REQUESTS; i++)
        check(&aiocbs[i], "aio_write", path);
    printf("%s: %d callbacks, %d in main's thread\n", way, callbacks, in_main);
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);  /* returned: errno is not set */
    ssize_t n = aio_return(aiocb); /* once for each request */

    if (error != 0) {
        errno = error;
        err(1, "%s %s", call, path);
    }
    if (n == -1)
        err(1, "aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        err(1, "%s %s: only %zd of %zu bytes", call, path, n,
            aiocb->aio_nbytes);
    }
}

/* The threads that this process has, main's included. */
static int count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int threads = 0;

    if (dir == NULL)
        err(1, "opendir /proc/self/task");
    while ((entry = readdir(dir)) != NULL)
        threads += entry->d_name[0] != '.';
    closedir(dir);
    return threads;
}

/* open() that makes FILE or empties it, but leaves devices and pipes alone. */
static int create(int flags)
{
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        errx(1, "open %s: not a regular file", path);
    return open(path, flags | O_CREAT | O_TRUNC, 0666);
}

static const char usage[] =
    "Usage: callback FILE\n"
    "Makes FILE, or empties it, and writes 8 blocks of 4096 bytes to it.\n";

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
