/*
 * within.c - runs a program that may take so long, and no longer
 *
 * Usage:  within SECONDS [NAME=VALUE]... PROGRAM [ARGUMENT...]
 *
 * What timeout(1) and env(1) do, but in one process and without a fork: the
 * tests run hundreds of programs. The alarm stays set over execve(), and
 * SIGALRM ends the program (status 142 of the shell). One that sets alarms of
 * its own has no limit any more. Signals that are ignored here (by nohup make
 * test, say) are not ignored in the program.
 */
#define _GNU_SOURCE

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char *argv[])
{
    int i;

    for (i = 2; i < argc && strchr(argv[i], '=') != NULL; i++)
        putenv(argv[i]);
    if (argc <= i) {
        fprintf(stderr, "Usage: within SECONDS [NAME=VALUE]... PROGRAM\n");
        return 2;
    }

    for (int signo = 1; signo < NSIG; signo++)
        signal(signo, SIG_DFL);
    alarm((unsigned)atoi(argv[1]));
    execvp(argv[i], argv + i);
    perror(argv[i]);
    return 127;
}
