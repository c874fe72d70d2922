/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/banned.h"

#define TEXT_MAX 4096

bool lock_is_master(enum lock_grammar grammar, const struct lock_file *f)
{
    return !f->claim && !strcmp(f->name, lock_name_master(grammar));
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

static enum lock_fault fault_of(int rc, enum lock_fault bad)
{
    return rc == -ENOTUNIQ ? LOCK_AMBIGUOUS : rc ? bad : LOCK_SOUND;
}

static bool same_owner(const struct lock_claim *a, const struct lock_claim *b)
{
    return a->pid == b->pid && !strcasecmp(a->host, b->host);
}

/* A claim file's name alone says whose it is: it is made by one open(), and its text comes later. The text names it, or
 * another claim of its owner while that one lets go of its lock. */
static enum lock_fault claim_judge(const struct lock_names *names, struct lock_file *f, const char *text, size_t len)
{
    char named[LOCK_NAME_MAX];
    struct lock_claim said;
    int rc = lock_claim_parse(names, f->name, strlen(f->name), NULL, &f->owner);

    if (rc)
        return fault_of(rc, LOCK_BAD_NAME);
    if (len > 0 && (lock_text_parse(names, text, len, f->owner.lock, &said, named) || !same_owner(&said, &f->owner)))
        return LOCK_TORN;
    return LOCK_SOUND;
}

static enum lock_fault lock_judge(const struct lock_names *names, struct lock_file *f, const char *text, size_t len)
{
    if (len == 0)
        return LOCK_EMPTY;
    return fault_of(lock_text_parse(names, text, len, f->name, &f->owner, f->named), LOCK_TORN);
}

/* In the grammars of Mailman 2 a lock may be named like a claim file: its text names another file, one of its own claims. */
static bool text_is_of_lock(const struct lock_names *names, const struct lock_file *f, const char *text, size_t len)
{
    char named[LOCK_NAME_MAX];
    struct lock_claim said;

    return names->grammar != LOCK_MAILMAN_3 && lock_text_parse(names, text, len, f->name, &said, named) != -EBADMSG;
}

static void text_judge(const struct lock_names *names, struct lock_file *f, const char *text, size_t len)
{
    f->claim = f->claim && !text_is_of_lock(names, f, text, len);
    f->fault = f->claim ? claim_judge(names, f, text, len) : lock_judge(names, f, text, len);
}

static int fault_find(int fd, uid_t uid, const struct lock_names *names, struct lock_file *f)
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
        text_judge(names, f, text, (size_t)len);
    }
    return 0;
}

/* Between dots a text that was cut off still names somebody. What it names must be the other link of this file. */
static void link_judge(int dirfd, const struct lock_names *names, struct lock_file *f)
{
    struct stat st;

    if (names->grammar == LOCK_MAILMAN_3 || f->claim || f->fault != LOCK_SOUND || f->st.st_nlink != 2)
        return;
    if (fstatat(dirfd, f->named, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_dev != f->st.st_dev || st.st_ino != f->st.st_ino)
        f->fault = LOCK_TORN;
}

int lock_file_read(int dirfd, const char *name, uid_t uid, const struct lock_names *names, struct lock_file *ret, int *ret_fd)
{
    int fd, rc = 0;

    *ret_fd = -1;
    memset(ret, 0, sizeof *ret);
    if (strlen(name) >= sizeof ret->name)
        return -ENAMETOOLONG;
    memcpy(ret->name, name, strlen(name) + 1);
    ret->claim = lock_name_is_claim(names, name);
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
        rc = fault_find(fd, uid, names, ret);
    if (!rc)
        link_judge(dirfd, names, ret);
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
static enum lock_verdict verdict_not_ours(const struct lock_circumstances *c, const struct lock_file *f)
{
    return lock_is_master(c->ctx->grammar, f) ? LOCK_REFUSE : LOCK_KEEP;
}

/* In Mailman 2 every lock but the master's is a list's, or of one command: what holds it holds back that list alone. */
static bool is_of_list(enum lock_grammar grammar, const struct lock_file *f)
{
    return grammar != LOCK_MAILMAN_3 && strcmp(f->claim ? f->owner.lock : f->name, lock_name_master(grammar)) != 0;
}

static void odd_judge(const struct lock_circumstances *c, struct lock_file *f)
{
    static const char *const words[LOCK_FAULT_N] = {
        [LOCK_EMPTY] = "empty", [LOCK_TORN] = "torn", [LOCK_OVERSIZED] = "oversized", [LOCK_LINKS] = "link-count",
        [LOCK_BAD_NAME] = "bad-name", [LOCK_AMBIGUOUS] = "ambiguous", [LOCK_NOT_REGULAR] = "not-a-regular-file",
        [LOCK_FOREIGN_OWNER] = "foreign-owner",
    };
    bool mailmans = f->fault != LOCK_NOT_REGULAR && f->fault != LOCK_FOREIGN_OWNER;

    if (mailmans && c->all_others_harmless && !c->service_here)
        verdict_set(f, LOCK_CLEAR, words[f->fault]);
    else
        verdict_set(f, verdict_not_ours(c, f), words[f->fault]);
}

void lock_file_judge(const struct lock_circumstances *c, struct lock_file *f)
{
    struct lock_names names;
    int node, self = (int)c->ctx->self;

    if (f->fault != LOCK_SOUND && c->ctx->own_only) {
        verdict_set(f, LOCK_KEEP, "not-of-this-node");
        return;
    }
    if (f->fault != LOCK_SOUND) {
        odd_judge(c, f);
        return;
    }
    lock_names_of(c->ctx->cfg, c->ctx->grammar, &names);
    node = lock_names_node(&names, f->owner.host);
    if (node != self && c->ctx->own_only)
        verdict_set(f, LOCK_KEEP, "not-of-this-node");
    else if (node < 0)
        verdict_set(f, verdict_not_ours(c, f), "unknown-host");
    else if (node == self && state_pid_alive(c->ctx, f->owner.pid))
        verdict_set(f, is_of_list(c->ctx->grammar, f) ? LOCK_KEEP : LOCK_REFUSE, "process-alive");
    else if (node == self)
        verdict_set(f, LOCK_CLEAR, "process-dead");
    else if (c->ctx->harmless >> (unsigned)node & 1u)
        verdict_set(f, LOCK_CLEAR, "owner-harmless");
    else
        verdict_set(f, verdict_not_ours(c, f), "owner-not-proven-harmless");
}
