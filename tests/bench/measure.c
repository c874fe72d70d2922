/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a command with its output thrown away; one line of JSON says how long it took, by the wall and by the processor, and how
 * much memory it had at most. A program of its own, because a child begins with the memory of whoever makes it. */
#include <config.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t us_of(const struct timeval *t)
{
    return (int64_t)t->tv_sec * 1000000 + t->tv_usec;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    int64_t begin = now_us();
    int status = 0;

    if (argc < 2)
        return 2;
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(null, 1);
        (void)execv(argv[1], argv + 1);
        _exit(127);
    }
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return 1;
    (void)printf("{\"us\": %" PRId64 ", \"user_us\": %" PRId64 ", \"system_us\": %" PRId64 ", \"rss_kib\": %ld, \"exit\": %d}\n",
                 now_us() - begin, us_of(&usage.ru_utime), us_of(&usage.ru_stime), usage.ru_maxrss,
                 WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 0;
}
