/*
 * callback.c - work done in the callbacks of completions
 *
 * First a chain: the callback of each write to FILE starts the next one, and
 * that of the last wakes main. Then all at once: the callbacks run side by
 * side, in threads that main did not make, so what they share is atomic.
 *
 * Build:  cc -o callback callback.c (glibc before 2.34: add -lrt -pthread)
 * Usage:  ./callback FILE
 */
#define _GNU_SOURCE
#include <aio.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

enum {
    REQUESTS = 4,
    BLOCK = 4096                /* bytes a request */
};

static const char usage[] =
    "Usage: callback FILE\n"
    "Makes FILE, or empties it, and writes 8 blocks of 4096 bytes to it.\n";

/*
 * What main and the callbacks share. Before sem_post(&told) main looks at
 * nothing of it, and after it no callback does: that needs no lock. The
 * counters do, for two callbacks may run at the same time.
 */
static struct aiocb aiocbs[REQUESTS];
static sem_t told;
static atomic_int callbacks, left, in_main, error_in_chain;
static pthread_t main_thread;
static int threads, blocked;    /* as the first callback saw it */

/*
 * Says "PROGRAM: CALL: reason" on stderr and ends the program with status 1.
 * The reason is errno's. `call` is a format like printf's, so that it can
 * name a file: die("open %s", path).
 */
static _Noreturn void die(const char *call, ...)
{
    int error = errno;
    va_list args;

    fflush(stdout);             /* what was printed first is seen first */
    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, call);
    vfprintf(stderr, call, args);
    va_end(args);
    fprintf(stderr, ": %s\n", strerror(error));
    exit(EXIT_FAILURE);
}

/* -h or --help: usage, status 0. Not min to max arguments: status 2. */
static void check_arguments(int argc, char **argv, int min, int max)
{
    int help = argc > 1 &&
               (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"));

    if (!help && argc > min && argc <= max + 1 &&
        (argc < 2 || argv[1][0] != '-'))
        return;
    fputs(usage, help ? stdout : stderr);
    if (help && (fflush(stdout) != 0 || ferror(stdout)))
        die("standard output");
    exit(help ? EXIT_SUCCESS : 2);
}

/* glibc says what it is. musl has no macro to be known by. */
static void show_library(void)
{
#ifdef __GLIBC__
    printf("C library: glibc %s\n", gnu_get_libc_version());
#else
    printf("C library: musl, or another\n");
#endif
}

/* A request that nobody is told about: SIGEV_NONE is not what 0 means. */
static void prepare(struct aiocb *aiocb, int fd, void *data, size_t nbytes,
                    off_t offset)
{
    memset(aiocb, 0, sizeof(*aiocb));
    aiocb->aio_fildes = fd;
    aiocb->aio_buf = data;
    aiocb->aio_nbytes = nbytes;
    aiocb->aio_offset = offset;
    aiocb->aio_sigevent.sigev_notify = SIGEV_NONE;
}

/* How a request ended. It must be done: both calls are useless before. */
static void check(struct aiocb *aiocb, const char *call, const char *path)
{
    int error = aio_error(aiocb);       /* returned: errno is not set */
    ssize_t n = aio_return(aiocb);      /* once for each request */

    if (error != 0) {
        errno = error;
        die("%s %s", call, path);
    }
    if (n == -1)
        die("aio_return");
    if ((size_t)n != aiocb->aio_nbytes) {
        errno = EIO;
        die("%s %s: only %zd of %zu bytes", call, path, n,
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
        die("opendir /proc/self/task");
    while ((entry = readdir(dir)) != NULL)
        threads += entry->d_name[0] != '.';
    closedir(dir);
    return threads;
}

/*
 * Sleeps until sem_post(&told). A callback may fail to come: there may be no
 * memory for a thread to run it. So there is a limit, of ten seconds.
 */
static void wait_until_told(void)
{
    struct timespec limit;

    if (clock_gettime(CLOCK_REALTIME, &limit) == -1)
        die("clock_gettime");
    limit.tv_sec += 10;
    while (sem_timedwait(&told, &limit) == -1)
        if (errno != EINTR)
            die("sem_timedwait");
}

static void wake_main(void)
{
    if (sem_post(&told) == -1)
        die("sem_post");
}

/* One link of the chain. */
static void on_link(union sigval value)
{
    struct aiocb *aiocb = value.sival_ptr;
    sigset_t mask;

    atomic_fetch_add(&in_main, pthread_equal(main_thread, pthread_self()));
    if (atomic_fetch_add(&callbacks, 1) == 0) {
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
    atomic_fetch_add(&in_main, pthread_equal(main_thread, pthread_self()));
    atomic_fetch_add(&callbacks, 1);
    if (atomic_fetch_sub(&left, 1) == 1)
        wake_main();
}

/* Makes the requests ready to write the blocks from `first` on. */
static void prepare_all(int fd, char data[][BLOCK], int first,
                        void (*callback)(union sigval))
{
    callbacks = 0;
    for (int i = 0; i < REQUESTS; i++) {
        memset(data[i], 'a' + first + i, BLOCK);
        prepare(&aiocbs[i], fd, data[i], BLOCK, (off_t)(first + i) * BLOCK);
        aiocbs[i].aio_sigevent.sigev_notify = SIGEV_THREAD;
        aiocbs[i].aio_sigevent.sigev_notify_function = callback;
        aiocbs[i].aio_sigevent.sigev_value.sival_ptr = &aiocbs[i];
    }
}

/* A callback has no one to report to: main looks how the requests ended. */
static void finish(const char *way, const char *path)
{
    for (int i = 0; i < REQUESTS; i++)
        check(&aiocbs[i], "aio_write", path);
    printf("%s: %d callbacks, %d in main's thread\n", way, (int)callbacks,
           (int)in_main);
}

int main(int argc, char **argv)
{
    const char *path = argv[1];
    static char data[REQUESTS][BLOCK];
    sigset_t set;
    int fd, before;

    check_arguments(argc, argv, 1, 1);
    signal(SIGXFSZ, SIG_IGN);   /* over `ulimit -f`: an error, no kill */
    show_library();

    /* Set up. SIGUSR1 is blocked to see whether callbacks inherit that. */
    main_thread = pthread_self();
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
        die("sigprocmask");
    if (sem_init(&told, 0, 0) == -1)
        die("sem_init");
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd == -1)
        die("open %s", path);

    before = count_threads();
#ifdef __GLIBC__
    /* A worker of glibc leaves after a second without work. Not here: it is
     * to be counted. */
    struct aioinit init = { .aio_threads = 20, .aio_num = 64,
                            .aio_idle_time = 60 /* seconds */ };
    aio_init(&init);
#endif

    /* The chain: start the first link, wait for the last. */
    prepare_all(fd, data, 0, on_link);
    if (aio_write(&aiocbs[0]) == -1)
        die("aio_write %s", path);
    wait_until_told();
    if (error_in_chain != 0) {
        errno = error_in_chain;
        die("aio_write %s", path);
    }
    finish("chain", path);

    /* glibc: a worker for FILE, and a thread for each callback, where all
     * signals come through. musl: the worker, where none does. */
    printf("threads in the first callback: %d more\n", threads - before);
    printf("SIGUSR1, which main has blocked, is there: %s\n",
           blocked ? "blocked" : "not blocked");

    /* All at once. */
    left = REQUESTS;
    prepare_all(fd, data, REQUESTS, on_one_of_many);
    for (int i = 0; i < REQUESTS; i++)
        if (aio_write(&aiocbs[i]) == -1)
            die("aio_write %s", path);
    wait_until_told();
    finish("all at once", path);

    /* Tear down. */
    if (sem_destroy(&told) == -1)
        die("sem_destroy");
    if (close(fd) == -1)
        die("close %s", path);

    /* Output that did not arrive (a full disk, say) is a failure too. */
    if (fflush(stdout) != 0 || ferror(stdout))
        die("standard output");
    return EXIT_SUCCESS;
}
