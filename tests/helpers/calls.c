/*
 * calls.c - makes calls for the tests of fault.c
 *
 * Makes each CALL named, once, in that order, and prints what it returned:
 * a number, or whether it is a pointer, and errno's name if it was set.
 * What is written and read goes to and comes from the file `calls.data`.
 *
 * Build:  cc -o calls calls.c -pthread
 * Usage:  ./calls CALL...
 */
#define _GNU_SOURCE
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not strerror()'s text: that is not the same in all C libraries. */
static const char *errno_name(void)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        { EACCES, "EACCES" },
        { EAGAIN, "EAGAIN" },
        { ECANCELED, "ECANCELED" },
        { EDEADLK, "EDEADLK" },
        { EINTR, "EINTR" },
        { EINVAL, "EINVAL" },
        { EIO, "EIO" },
        { EMFILE, "EMFILE" },
        { ENODEV, "ENODEV" },
        { ENOENT, "ENOENT" },
        { ENOMEM, "ENOMEM" },
        { ENOSPC, "ENOSPC" },
        { ENOSYS, "ENOSYS" },
        { EROFS, "EROFS" },
        { EXDEV, "EXDEV" },
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (errno == names[i].number)
            return names[i].name;
    return "another errno";
}

/* Forks a child that makes one call and exits. */
static int fork_and_wait(void)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0)
        exit(unlink("calls.data"));
    return pid == -1 || waitpid(pid, NULL, 0) == -1 ? -1 : 0;
}

#define NUMBER(call, expression)                                               \
    if (!strcmp(argv[i], call)) {                                              \
        errno = 0;                                                             \
        number = expression;                                                   \
        printf("%s: %ld", argv[i], number);                                    \
    }
#define POINTER(call, expression)                                              \
    if (!strcmp(argv[i], call)) {                                              \
        errno = 0;                                                             \
        pointer = expression;                                                  \
        printf("%s: %s", argv[i], pointer == NULL ? "NULL" : "a pointer");     \
    }

int main(int argc, char **argv)
{
    int fd = creat("calls.data", 0666);
    char data[] = "abcdefgh", *grown = NULL;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    struct aiocb aiocb = { .aio_fildes = -1 };
    sem_t sem;
    void *volatile pointer; /* volatile: no call is left out */
    void *block;
    long number;

    close(fd);
    fd = open("calls.data", O_RDWR);
    for (int i = 1; i < argc; i++) {
        NUMBER("open", open("calls.data", O_RDONLY) >= 0 ? 0 : -1)
        NUMBER("open:direct",
               open("calls.data", O_RDONLY | O_DIRECT) >= 0 ? 0 : -1)
        NUMBER("write", write(fd, data, 8))
        NUMBER("pwrite", pwrite(fd, data, 8, 0))
        NUMBER("pread", pread(fd, data, 8, 0))
        NUMBER("read", read(fd, data, 8))
        NUMBER("lseek", lseek(fd, 0, SEEK_CUR))
        NUMBER("size", lseek(fd, 0, SEEK_END))
        NUMBER("close", close(dup(fd)))
        NUMBER("rename", rename("calls.data", "calls.renamed"))
        NUMBER("access", access("calls.renamed", F_OK))
        NUMBER("fork", fork_and_wait())
        NUMBER("getrandom", syscall(SYS_getrandom, data, 8L, 0L))
        NUMBER("getpid", syscall(SYS_getpid) == getpid() ? 0 : -1)
        NUMBER("signal", signal(SIGUSR1, SIG_IGN) == SIG_ERR ? -1 : 0)
        NUMBER("posix_fallocate", posix_fallocate(fd, 0, 8))
        NUMBER("posix_memalign", posix_memalign(&block, 512, 512))
        NUMBER("pthread_mutex_lock", pthread_mutex_lock(&mutex))
        NUMBER("sem_init", sem_init(&sem, 0, 1))
        NUMBER("aio_error", aio_error(&aiocb))
        NUMBER("mmap", mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
                            -1, 0) == MAP_FAILED
                           ? -1
                           : 0)
        POINTER("malloc", malloc(8))
        POINTER("calloc", calloc(1, 8))
        POINTER("realloc", grown = realloc(grown, 8))
        POINTER("aligned_alloc", aligned_alloc(512, 512))
        POINTER("fopen", fopen("calls.data", "r"))
        printf("%s%s\n", errno ? ", " : "", errno ? errno_name() : "");
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
