/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is on its way from a host to its server: held for a while, and done also when the host has gone meanwhile. */
#include "faultfs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/socket.h>

enum { DATA_MAX = 65536, NAME_SIZE = 1024 };

struct message {
    uint64_t id, due_ms;
    enum op op;
    unsigned int flags;
    off_t offset;
    uint32_t size;
    char path[NAME_SIZE], to[NAME_SIZE];
    char data[DATA_MAX];
};

struct answer {
    uint64_t id;
    int rc;
};

struct held {
    struct held *next;
    int fd;
    struct message m;
};

/* -- the process: what it holds is in the order in which it is due */
static int deliver(int root, const struct held *h)
{
    const struct call call = { .op = h->m.op, .path = h->m.path, .to = h->m.to, .flags = h->m.flags };

    if (h->m.op != OP_WRITE)
        return back_do(root, &call);
    for (uint32_t done = 0; done < h->m.size;) {
        ssize_t n = pwrite(h->fd, h->m.data + done, h->m.size - done, h->m.offset + done);
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (uint32_t)n : 0;
    }
    return 0;
}

static void deliver_due(int root, int socket, int log, struct held **queue, bool alone)
{
    while (*queue && (*queue)->m.due_ms <= now_ms()) {
        struct held *h = *queue;
        struct answer answer = { h->m.id, deliver(root, h) };
        char line[NAME_SIZE * 2 + 128];

        int length = snprintf(line, sizeof line, "{\"at_ms\":%llu,\"op\":\"%s\",\"path\":\"%s\",\"to\":\"%s\",\"rc\":%d,"
                              "\"alone\":%d}\n", (unsigned long long)now_ms(), op_name(h->m.op), h->m.path + 1,
                              h->m.to[0] ? h->m.to + 1 : "", answer.rc, alone);
        if (write(log, line, (size_t)length) != length)
            fputs("understudy-faultfs: the wire's log can not be written\n", stderr);
        (void)send(socket, &answer, sizeof answer, MSG_NOSIGNAL);
        *queue = h->next;
        if (h->fd >= 0)
            (void)close(h->fd);
        free(h);
    }
}

static void insert(struct held **queue, struct held *h)
{
    while (*queue && (*queue)->m.due_ms <= h->m.due_ms)
        queue = &(*queue)->next;
    h->next = *queue;
    *queue = h;
}

/* 1: one came, 0: the host has gone, -errno. */
static int receive(int socket, struct held **queue)
{
    struct held *h = calloc(1, sizeof *h);
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = { h ? &h->m : NULL, sizeof h->m };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

    if (!h)
        return -ENOMEM;
    ssize_t got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (got < (ssize_t)offsetof(struct message, data)) {
        free(h);
        return got < 0 && errno == EINTR ? 1 : 0;
    }
    const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    h->fd = -1;
    if (cmsg && cmsg->cmsg_type == SCM_RIGHTS)
        memcpy(&h->fd, CMSG_DATA(cmsg), sizeof h->fd);
    insert(queue, h);
    return 1;
}

int wire_main(const char *backing, const char *log_path, int socket)
{
    int root = open(backing, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct held *queue = NULL;
    bool host = true;

    if (root < 0 || log < 0)
        return -errno;
    umask(0);
    while (host || queue) {
        struct pollfd ready = { .fd = host ? socket : -1, .events = POLLIN };
        uint64_t now = now_ms();
        int left = !queue ? -1 : queue->m.due_ms > now ? (int)(queue->m.due_ms - now) : 0;

        if (poll(&ready, 1, left) > 0) {
            int rc = receive(socket, &queue);
            if (rc < 0)
                return rc;
            host = rc > 0;
        }
        deliver_due(root, socket, log, &queue, !host);
    }
    return 0;
}

/* -- the client */
struct pending {
    struct pending *next;
    uint64_t id;
    ino_t ino;                  /* 0: somebody waits for this very one */
    bool done;
    int rc;
};

static struct {
    pthread_mutex_t lock, sending;
    pthread_cond_t changed;
    int socket;
    uint64_t id;
    struct pending *first;      /* those of writes go when they have been done well, or when their error was told */
} wire = { .lock = PTHREAD_MUTEX_INITIALIZER, .sending = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER,
           .socket = -1 };

static void take(const struct answer *answer)
{
    (void)pthread_mutex_lock(&wire.lock);
    for (struct pending **at = &wire.first; *at; at = &(*at)->next) {
        struct pending *p = *at;

        if (p->id != answer->id)
            continue;
        p->done = true;
        p->rc = answer->rc;
        if (p->ino && p->rc == 0) {
            *at = p->next;
            free(p);
        }
        break;
    }
    (void)pthread_cond_broadcast(&wire.changed);
    (void)pthread_mutex_unlock(&wire.lock);
}

/* Without the other process nothing more is delivered, and nobody shall wait for it. */
static void fail_all(void)
{
    (void)pthread_mutex_lock(&wire.lock);
    for (struct pending *p = wire.first; p; p = p->next) {
        p->rc = p->done ? p->rc : -EIO;
        p->done = true;
    }
    (void)pthread_cond_broadcast(&wire.changed);
    (void)pthread_mutex_unlock(&wire.lock);
}

static void *answers_main(void *arg)
{
    struct answer answer;

    (void)arg;
    while (recv(wire.socket, &answer, sizeof answer, 0) == (ssize_t)sizeof answer)
        take(&answer);
    fail_all();
    return NULL;
}

int wire_open(int socket)
{
    pthread_t thread;
    int size = 1 << 20;

    wire.socket = socket;
    if (socket < 0)
        return 0;
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
    (void)fcntl(socket, F_SETFD, FD_CLOEXEC);
    return -pthread_create(&thread, NULL, answers_main, NULL);
}

static struct pending *remember(ino_t ino)
{
    struct pending *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    (void)pthread_mutex_lock(&wire.lock);
    p->id = ++wire.id;
    p->ino = ino;
    p->next = wire.first;
    wire.first = p;
    (void)pthread_mutex_unlock(&wire.lock);
    return p;
}

static void drop(struct pending *gone)
{
    struct pending **at = &wire.first;

    while (*at && *at != gone)
        at = &(*at)->next;
    if (*at)
        *at = gone->next;
    free(gone);
}

static int post(const struct message *m, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
    struct iovec part = { (void *)(uintptr_t)m, offsetof(struct message, data) + m->size };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
    }
    (void)pthread_mutex_lock(&wire.sending);
    ssize_t put = sendmsg(wire.socket, &message, MSG_NOSIGNAL);
    int rc = put < 0 ? -errno : 0;
    (void)pthread_mutex_unlock(&wire.sending);
    return rc;
}

/* Never early, though now_ms() has dropped a part of a millisecond. */
static uint64_t due_ms(uint64_t after_ms)
{
    return now_ms() + after_ms + 1;
}

int wire_change(const struct call *call, uint64_t ms)
{
    struct message *m = wire.socket < 0 ? NULL : calloc(1, sizeof *m);
    struct pending *p = m ? remember(0) : NULL;
    int rc = m && p ? 0 : -EIO;

    if (strlen(call->path) >= NAME_SIZE || (call->to && strlen(call->to) >= NAME_SIZE))
        rc = -ENAMETOOLONG;
    if (rc == 0) {
        m->id = p->id;
        m->due_ms = due_ms(ms);
        m->op = call->op;
        m->flags = call->flags;
        (void)snprintf(m->path, sizeof m->path, "%s", call->path);
        (void)snprintf(m->to, sizeof m->to, "%s", call->to ? call->to : "");
        rc = post(m, -1);
    }
    if (p) {
        (void)pthread_mutex_lock(&wire.lock);
        while (rc == 0 && !p->done)
            (void)pthread_cond_wait(&wire.changed, &wire.lock);
        rc = rc == 0 ? p->rc : rc;
        drop(p);
        (void)pthread_mutex_unlock(&wire.lock);
    }
    free(m);
    return rc;
}

ssize_t wire_write(const struct handle *h, const char *data, size_t size, off_t offset, uint64_t ms)
{
    struct message *m = wire.socket < 0 || size > DATA_MAX ? NULL : calloc(1, sizeof *m);
    struct pending *p = m ? remember(h->ino) : NULL;

    if (!m || !p) {
        free(m);
        return -EIO;
    }
    m->id = p->id;
    m->due_ms = due_ms(ms);
    m->op = OP_WRITE;
    m->offset = offset;
    m->size = (uint32_t)size;
    (void)snprintf(m->path, sizeof m->path, "%s", h->path);
    memcpy(m->data, data, size);
    int rc = post(m, h->fd);
    if (rc < 0) {
        (void)pthread_mutex_lock(&wire.lock);
        drop(p);
        (void)pthread_mutex_unlock(&wire.lock);
    }
    free(m);
    return rc < 0 ? rc : (ssize_t)size;
}

int wire_settle(ino_t ino)
{
    bool waiting = true;
    int rc = 0;

    (void)pthread_mutex_lock(&wire.lock);
    while (waiting) {
        waiting = false;
        for (struct pending *p = wire.first, *next; p; p = next) {
            next = p->next;
            if (p->ino != ino)
                continue;
            waiting = waiting || !p->done;
            if (p->done) {
                rc = p->rc;
                drop(p);
            }
        }
        if (waiting)
            (void)pthread_cond_wait(&wire.changed, &wire.lock);
    }
    (void)pthread_mutex_unlock(&wire.lock);
    return rc;
}
