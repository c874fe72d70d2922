/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "common/banned.h"

/* A pointer is less than PIPE_BUF: it is read and written whole. */
static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct worker_job *job;
    ssize_t n;

    for (;;) {
        n = read(w->job_fd[0], &job, sizeof job);
        if (n < 0 && errno == EINTR)
            continue;
        if (n != (ssize_t)sizeof job)
            return NULL;
        job->work(job);
        do
            n = write(w->done_fd[1], &job, sizeof job);
        while (n < 0 && errno == EINTR);
    }
}

static int nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int worker_start(struct worker *w)
{
    sigset_t all, before;
    int rc;

    if (pipe2(w->job_fd, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(w->done_fd, O_CLOEXEC) != 0) {
        rc = -errno;
        goto err_after_job_fd;
    }
    rc = nonblocking(w->job_fd[1]);
    if (!rc)
        rc = nonblocking(w->done_fd[0]);
    if (rc)
        goto err_after_done_fd;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the loop's */
    rc = -pthread_create(&w->thread, NULL, worker_main, w);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!rc)
        return 0;
err_after_done_fd:
    (void)close(w->done_fd[0]);
    (void)close(w->done_fd[1]);
err_after_job_fd:
    (void)close(w->job_fd[0]);
    (void)close(w->job_fd[1]);
    return rc;
}

int worker_post(struct worker *w, struct worker_job *job)
{
    ssize_t n;

    do
        n = write(w->job_fd[1], &job, sizeof job);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof job ? 0 : -EAGAIN;
}

int worker_fd(const struct worker *w)
{
    return w->done_fd[0];
}

void worker_collect(struct worker *w)
{
    struct worker_job *job;

    while (read(w->done_fd[0], &job, sizeof job) == (ssize_t)sizeof job)
        job->done(job);
}
