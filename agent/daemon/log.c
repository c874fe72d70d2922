/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Not libqb's log: that one ends the process by an assertion when there is no memory for the place of a new message. */
#include <config.h>

#include "daemon/log.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/banned.h"

#define MESSAGES 256u
#define TEXT_MAX 1024u
#define CLOSE_S  2 /* for what still waits: a reader that hangs keeps no program from ending */

struct message {
    int             priority;
    struct timespec at;
    char            text[TEXT_MAX];
};

/* All the memory there ever is for it. One log a process. */
static struct {
    bool            open, threaded, closing, to_stderr;
    int             least;
    unsigned        first, n, lost;  /* the lock's */
    pthread_mutex_t lock;
    sem_t           filled;
    pthread_t       writer;
    char            program[32];
    struct message  ring[MESSAGES];
} the_log = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool stderr_leads_somewhere(void)
{
    struct stat err, null;

    if (fstat(STDERR_FILENO, &err) != 0)
        return false;
    return stat("/dev/null", &null) != 0 || err.st_rdev != null.st_rdev || !S_ISCHR(err.st_mode);
}

static void emit(const struct message *m)
{
    static const char *const names[] = { "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug" };
    char at[32] = "", line[TEXT_MAX + 128];
    struct tm tm;
    ssize_t rc;
    int n;

    if (!the_log.to_stderr) {
        syslog(m->priority, "%s", m->text);
        return;
    }
    if (localtime_r(&m->at.tv_sec, &tm))
        (void) strftime(at, sizeof at, "%b %d %H:%M:%S", &tm);
    n = snprintf(line, sizeof line, "%s.%03ld %s %s: %s\n", at, m->at.tv_nsec / 1000000, names[m->priority & LOG_PRIMASK],
                 the_log.program, m->text);
    for (const char *p = line; n > 0; p += rc, n -= (int) rc) {
        do
            rc = write(STDERR_FILENO, p, (size_t) n);
        while (rc < 0 && errno == EINTR);
        if (rc <= 0)
            return;
    }
}

/* Takes the oldest; false = there is none. */
static bool take(struct message *ret, unsigned *ret_lost)
{
    bool any;

    (void) pthread_mutex_lock(&the_log.lock);
    any = the_log.n > 0;
    if (any) {
        *ret = the_log.ring[the_log.first];
        the_log.first = (the_log.first + 1) % MESSAGES;
        the_log.n--;
    }
    *ret_lost = the_log.lost;
    the_log.lost = 0;
    (void) pthread_mutex_unlock(&the_log.lock);
    return any;
}

static void *writer_main(void *arg)
{
    static struct message m, note;
    unsigned lost;

    (void) arg;
    for (;;) {
        while (sem_wait(&the_log.filled) != 0)
            ;
        bool any = take(&m, &lost);
        if (any)
            emit(&m);
        if (lost > 0) {
            note = (struct message) { .priority = LOG_WARNING, .at = m.at };
            (void) snprintf(note.text, sizeof note.text, "%u messages were dropped: the log took them too slowly", lost);
            emit(&note);
        }
        if (!any && the_log.closing)
            return NULL;
    }
}

static bool writer_start(void)
{
    sigset_t all, before;
    bool ret;

    if (sem_init(&the_log.filled, 0, 0) != 0)
        return false;
    (void) sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the others */
    ret = pthread_create(&the_log.writer, NULL, writer_main, NULL) == 0;
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ret;
}

void log_open(const char *program, int least_priority)
{
    (void) snprintf(the_log.program, sizeof the_log.program, "%s", program);
    the_log.to_stderr = stderr_leads_somewhere();
    the_log.least = least_priority;
    tzset(); /* reads its file, for which there may be no memory later */
    if (!the_log.to_stderr)
        openlog(the_log.program, LOG_PID, LOG_DAEMON);
    the_log.closing = false;
    the_log.threaded = writer_start();
    the_log.open = true;
}

void log_close(void)
{
    struct timespec until;

    if (!the_log.open)
        return;
    the_log.open = false;
    if (!the_log.threaded)
        return;
    the_log.closing = true;
    (void) sem_post(&the_log.filled);
    if (clock_gettime(CLOCK_MONOTONIC, &until) == 0) {
        until.tv_sec += CLOSE_S;
        (void) pthread_clockjoin_np(the_log.writer, NULL, CLOCK_MONOTONIC, &until);
    }
}

static void put(const struct message *m)
{
    bool full;

    (void) pthread_mutex_lock(&the_log.lock);
    full = the_log.n == MESSAGES;
    if (full)
        the_log.lost++;
    else
        the_log.ring[(the_log.first + the_log.n++) % MESSAGES] = *m;
    (void) pthread_mutex_unlock(&the_log.lock);
    if (!full)
        (void) sem_post(&the_log.filled);
}

void log_write(int priority, const char *format, ...)
{
    struct message m;
    va_list ap;

    if (!the_log.open || priority > the_log.least)
        return;
    m.priority = priority;
    if (clock_gettime(CLOCK_REALTIME, &m.at) != 0)
        m.at = (struct timespec) { 0 };
    va_start(ap, format);
    (void) vsnprintf(m.text, sizeof m.text, format, ap);
    va_end(ap);
    if (the_log.threaded)
        put(&m);
    else
        emit(&m);
}
