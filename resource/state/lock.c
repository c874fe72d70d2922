/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/banned.h"

#define TEXT_MAX    4096
#define MASTER_NAME "master.lck"

bool lock_is_master(const struct lock_file *f)
{
    return !f->claim && !strcmp(f->name, MASTER_NAME);
}

static ssize_t text_read(int fd, char *buf, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t n = pread(fd, buf + len, size - len, (off_t)len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* A claim file's name alone says whose it is: it is made by one open(), and its text comes later. */
static enum lock_fault claim_judge(struct lock_file *f, const char *text, size_t len)
{
    char named[LOCK_NAME_MAX];
    struct lock_claim said;

    if (lock_claim_parse(f->name, strlen(f->name), &f->owner))
        return LOCK_BAD_NAME;
    if (len > 0 && (lock_text_parse(text, len, &said, named) || strcmp(named, f->name)))
        return LOCK_TORN;
    return LOCK_SOUND;
}

static enum lock_fault lock_judge(struct lock_file *f, const char *text, size_t len)
{
    char named[LOCK_NAME_MAX];

    if (len == 0)
        return LOCK_EMPTY;
    if (lock_text_parse(text, len, &f->owner, named) || strcmp(f->owner.lock, f->name))
        return LOCK_TORN;
    return LOCK_SOUND;
}

static int fault_find(int fd, uid_t uid, struct lock_file *f)
{
    char text[TEXT_MAX];

    if (fstat(fd, &f->st) < 0)
        return -errno;
    if (!S_ISREG(f->st.st_mode))
        f->fault = LOCK_NOT_REGULAR;
    else if (f->st.st_uid != uid)
        f->fault = LOCK_FOREIGN_OWNER;
    else if (f->st.st_nlink != 1 && f->st.st_nlink != 2)
        f->fault = LOCK_LINKS;
    else if (f->st.st_size > TEXT_MAX)
        f->fault = LOCK_OVERSIZED;
    else {
        ssize_t len = text_read(fd, text, sizeof text);
        if (len < 0)
            return (int)len;
        f->fault = f->claim ? claim_judge(f, text, (size_t)len) : lock_judge(f, text, (size_t)len);
    }
    return 0;
}

int lock_file_read(int dirfd, const char *name, uid_t uid, struct lock_file *ret, int *ret_fd)
{
    int fd, rc = 0;

    *ret_fd = -1;
    memset(ret, 0, sizeof *ret);
    if (strlen(name) >= sizeof ret->name)
        return -ENAMETOOLONG;
    memcpy(ret->name, name, strlen(name) + 1);
    ret->claim = lock_name_is_claim(name);
    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return -ENOENT;
    if (fd < 0 && (errno == ELOOP || errno == ENXIO))
        ret->fault = LOCK_NOT_REGULAR;
    else if (fd < 0 && (errno == EACCES || errno == EPERM))
        ret->fault = LOCK_FOREIGN_OWNER;
    else if (fd < 0)
        return -errno;
    else
        rc = fault_find(fd, uid, ret);
    if (rc)
        (void)close(fd);
    else
        *ret_fd = fd;
    return rc;
}

static void verdict_set(struct lock_file *f, enum lock_verdict verdict, const char *why)
{
    f->verdict = verdict;
    f->why = why;
}

/* The list server cannot start over a master lock that we may not touch; any other lock can wait. */
static enum lock_verdict verdict_not_ours(const struct lock_file *f)
{
    return lock_is_master(f) ? LOCK_REFUSE : LOCK_KEEP;
}

static void odd_judge(const struct lock_circumstances *c, struct lock_file *f)
{
    static const char *const words[LOCK_FAULT_N] = {
        [LOCK_EMPTY] = "empty", [LOCK_TORN] = "torn", [LOCK_OVERSIZED] = "oversized", [LOCK_LINKS] = "link-count",
        [LOCK_BAD_NAME] = "bad-name", [LOCK_NOT_REGULAR] = "not-a-regular-file", [LOCK_FOREIGN_OWNER] = "foreign-owner",
    };
    bool mailmans = f->fault != LOCK_NOT_REGULAR && f->fault != LOCK_FOREIGN_OWNER;

    if (mailmans && c->all_others_harmless && !c->service_here)
        verdict_set(f, LOCK_CLEAR, words[f->fault]);
    else
        verdict_set(f, verdict_not_ours(f), words[f->fault]);
}

void lock_file_judge(const struct lock_circumstances *c, struct lock_file *f)
{
    const struct config *cfg = c->ctx->cfg;
    unsigned node = 0;

    if (f->fault != LOCK_SOUND && c->ctx->own_only) {
        verdict_set(f, LOCK_KEEP, "not-of-this-node");
        return;
    }
    if (f->fault != LOCK_SOUND) {
        odd_judge(c, f);
        return;
    }
    while (node < cfg->n_nodes && strcasecmp(cfg->nodes[node].fqdn, f->owner.host))
        node++;
    if (node != c->ctx->self && c->ctx->own_only)
        verdict_set(f, LOCK_KEEP, "not-of-this-node");
    else if (node == cfg->n_nodes)
        verdict_set(f, verdict_not_ours(f), "unknown-host");
    else if (node == c->ctx->self && state_pid_alive(c->ctx, f->owner.pid))
        verdict_set(f, LOCK_REFUSE, "process-alive");
    else if (node == c->ctx->self)
        verdict_set(f, LOCK_CLEAR, "process-dead");
    else if (c->ctx->harmless >> node & 1u)
        verdict_set(f, LOCK_CLEAR, "owner-harmless");
    else
        verdict_set(f, verdict_not_ours(f), "owner-not-proven-harmless");
}
