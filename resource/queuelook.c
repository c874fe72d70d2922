/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/queuelook.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/listproc.h"
#include "resource/openfiles.h"
#include "resource/state/queue_name.h"

#include "common/banned.h"

#define TMP_YOUNG_MS 60000u
#define END_MS       100u
#define PAUSE_NS     1000000
#define GONE_NS      100000   /* an entry that is gone is to be known before the runner takes the next one */
#define ANSWER_MS    100u

enum look { LOOK_BAK, LOOK_GONE, LOOK_TMP, LOOK_LOCKS, LOOK_DEVICES };

struct ask {
    enum look look;
    unsigned  slice, count;
    uint64_t  until_ms;
    char      queue[LISTPROC_NAME_MAX], name[QUEUELOOK_NAME_MAX];
};

static uint64_t wall_ms(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_nsec / 1000000;
}

static uint32_t age_of(int dir, const char *name)
{
    struct timespec now;
    struct stat     st;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || wall_ms(&st.st_ctim) > wall_ms(&now))
        return 0;
    uint64_t age_ms = wall_ms(&now) - wall_ms(&st.st_ctim);
    return age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX;
}

static void entry_look(int dir, const struct ask *a, const char *name, struct queuelook_answer *ret)
{
    struct queue_name n;
    uint32_t          age_ms;

    if (a->look == LOOK_LOCKS && !strstr(name, a->name))
        return;
    queue_name_parse(name, &n);
    if (a->look != LOOK_LOCKS && n.kind != (a->look == LOOK_BAK ? QUEUE_BAK : QUEUE_TMP))
        return;
    if (a->look == LOOK_BAK && queue_name_slice(&n, a->count) != a->slice)
        return;
    age_ms = age_of(dir, name);
    if (a->look == LOOK_TMP && age_ms >= TMP_YOUNG_MS)
        return;
    if (ret->n++ > 0)
        return;
    ret->age_ms = age_ms;
    size_t len = strnlen(name, sizeof ret->name - 1);
    memcpy(ret->name, name, len);
    ret->name[len] = '\0';
}

static int queue_list(int top, const struct ask *a, struct queuelook_answer *ret)
{
    int                  fd = openat(top, a->queue, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;
    DIR                 *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (errno = 0, (d = readdir(dir)))
        entry_look(fd, a, d->d_name, ret);
    rc = -errno;
    (void)closedir(dir);
    return rc;
}

static int gone_wait(int top, const struct ask *a, struct queuelook_answer *ret)
{
    const struct timespec pause = { 0, GONE_NS };
    struct stat           st;
    int                   dir = openat(top, a->queue, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

    if (dir < 0)
        return -errno;
    ret->n = 1;
    while (rc == 0 && ret->n > 0 && clock_now_ms() < a->until_ms) {
        if (fstatat(dir, a->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            (void)nanosleep(&pause, NULL);
        else if (errno == ENOENT)
            ret->n = 0;
        else
            rc = -errno;
    }
    (void)close(dir);
    return rc;
}

static int device_find(const char *path, uint32_t *ret_major, uint32_t *ret_minor)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    rc = openfiles_device(getpid(), fd, ret_major, ret_minor);
    (void)close(fd);
    return rc;
}

static void look(const struct ask *a, const char *const *dirs, struct queuelook_answer *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a->look == LOOK_DEVICES) {
        for (unsigned i = 0; ret->rc == 0 && i < QUEUELOOK_DIRS && dirs[i]; i++, ret->n++)
            ret->rc = device_find(dirs[i], &ret->major[i], &ret->minor[i]);
        return;
    }
    int top = open(dirs[a->look == LOOK_LOCKS], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ret->rc = top < 0 ? -errno : a->look == LOOK_GONE ? gone_wait(top, a, ret) : queue_list(top, a, ret);
    if (top >= 0)
        (void)close(top);
}

static _Noreturn void child_run(const struct listuser *u, int fd, const char *const *dirs)
{
    struct queuelook_answer answer;
    struct ask              a;

    if (listuser_become(u) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || dup2(fd, 0) != 0
        || close_range(1, ~0U, 0) != 0 || chdir("/") != 0)
        _exit(1);
    while (recv(0, &a, sizeof a, 0) == (ssize_t)sizeof a) {
        look(&a, dirs, &answer);
        if (send(0, &answer, sizeof answer, MSG_NOSIGNAL) != (ssize_t)sizeof answer)
            break;
    }
    _exit(0);
}

int queuelook_begin(struct queuelook *q, const struct listuser *u, const char *queue_dir, const char *lock_dir,
                    const char *list_dir)
{
    const char *const dirs[QUEUELOOK_DIRS] = { queue_dir, lock_dir, list_dir };
    int               pair[2];

    *q = (struct queuelook){ .fd = -1 };
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return -errno;
    pid_t child = fork();
    if (child == 0)
        child_run(u, pair[1], dirs);
    int rc = child < 0 ? -errno : 0;
    (void)close(pair[1]);
    if (rc != 0) {
        (void)close(pair[0]);
        return rc;
    }
    q->fd = pair[0];
    q->child = child;
    return 0;
}

static int question(struct queuelook *q, const struct ask *a, uint64_t until_ms, struct queuelook_answer *ret)
{
    struct pollfd p = { .fd = q->fd, .events = POLLIN };

    if (q->fd < 0)
        return -ETIMEDOUT;
    if (send(q->fd, a, sizeof *a, MSG_NOSIGNAL) == (ssize_t)sizeof *a) {
        int ready;
        do
            ready = poll(&p, 1, clock_poll_ms(clock_now_ms(), until_ms));
        while (ready < 0 && errno == EINTR);
        if (ready > 0 && recv(q->fd, ret, sizeof *ret, 0) == (ssize_t)sizeof *ret) {
            ret->name[sizeof ret->name - 1] = '\0';
            return 0;
        }
    }
    (void)close(q->fd); /* a late answer would be taken for that to the next question */
    q->fd = -1;
    return -ETIMEDOUT;
}

int queuelook_bak(struct queuelook *q, const char *queue, unsigned slice, unsigned count, uint64_t until_ms,
                  struct queuelook_answer *ret)
{
    struct ask a = { .look = LOOK_BAK, .slice = slice, .count = count };

    (void)snprintf(a.queue, sizeof a.queue, "%s", queue);
    return question(q, &a, until_ms, ret);
}

int queuelook_gone(struct queuelook *q, const char *queue, const char *name, uint64_t until_ms,
                   struct queuelook_answer *ret)
{
    struct ask a = { .look = LOOK_GONE, .until_ms = until_ms };

    (void)snprintf(a.queue, sizeof a.queue, "%s", queue);
    (void)snprintf(a.name, sizeof a.name, "%s", name);
    return question(q, &a, until_ms + ANSWER_MS, ret);
}

int queuelook_tmp(struct queuelook *q, const char *queue, uint64_t until_ms, struct queuelook_answer *ret)
{
    struct ask a = { .look = LOOK_TMP };

    (void)snprintf(a.queue, sizeof a.queue, "%s", queue);
    return question(q, &a, until_ms, ret);
}

int queuelook_locks(struct queuelook *q, const char *host, pid_t pid, uint64_t until_ms, struct queuelook_answer *ret)
{
    struct ask a = { .look = LOOK_LOCKS };

    (void)snprintf(a.queue, sizeof a.queue, ".");
    (void)snprintf(a.name, sizeof a.name, ".%.200s.%ld.", host, (long)pid);
    return question(q, &a, until_ms, ret);
}

int queuelook_devices(struct queuelook *q, uint64_t until_ms, struct queuelook_answer *ret)
{
    const struct ask a = { .look = LOOK_DEVICES };

    return question(q, &a, until_ms, ret);
}

int queuelook_end(struct queuelook *q)
{
    const struct timespec pause = { 0, PAUSE_NS };
    uint64_t              until_ms = clock_now_ms() + END_MS;

    if (q->fd >= 0)
        (void)close(q->fd);
    q->fd = -1;
    if (q->child <= 0)
        return 0;
    (void)kill(q->child, SIGKILL);
    while (waitpid(q->child, NULL, WNOHANG) == 0) {
        if (clock_now_ms() >= until_ms)
            return -EBUSY;
        (void)nanosleep(&pause, NULL);
    }
    q->child = 0;
    return 0;
}
