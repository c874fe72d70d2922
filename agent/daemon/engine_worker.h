/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A thread for what may block although it should not (reading /proc, writing a report to the local disk), so that
 * the loop that decides never does. Jobs are passed by pointer, one owner at a time: poster, thread, poster. */
#ifndef UNDERSTUDY_ENGINE_WORKER_H
#define UNDERSTUDY_ENGINE_WORKER_H

#include <pthread.h>

struct worker_job {
    void (*work)(struct worker_job *job); /* in the thread: may block, touches nothing but the job */
    void (*done)(struct worker_job *job); /* in the loop, from worker_collect() */
};

struct worker {
    pthread_t thread;
    int       job_fd[2], done_fd[2];
};

int worker_start(struct worker *w);
/* 0; -EAGAIN when too many jobs wait. The job belongs to the worker until done() is called. */
int worker_post(struct worker *w, struct worker_job *job);
/* Readable when a job is done; then call worker_collect(). */
int worker_fd(const struct worker *w);
void worker_collect(struct worker *w);

#endif
