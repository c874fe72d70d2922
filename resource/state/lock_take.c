/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock_take.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "resource/state/lock_claim.h"
#include "resource/state/quarantine.h"

#include "common/banned.h"

/* Takes the lock's name off our file. By rename, to another name of ours: a request that the server carries out twice, or
 * that finds another's lock there, moves it and does not destroy it. Results of quarantine_rename(). */
static int lock_let_go(const struct lock_place *place, const char *lock, const struct stat *ours)
{
    char leave[LOCK_NAME_MAX];
    int rc = lock_claim_new(place, lock, leave);

    if (!rc)
        rc = quarantine_rename(place->dirfd, lock, place->dirfd, leave, ours);
    if (!rc)
        (void)unlinkat(place->dirfd, leave, 0);
    return rc;
}

static int other_read(const struct lock_place *place, const char *name, struct lock_file *ret, int *ret_fd)
{
    struct lock_names names;

    lock_names_of(place->ctx->cfg, place->ctx->grammar, &names);
    return lock_file_read(place->dirfd, name, place->ctx->uid, &names, ret, ret_fd);
}

/* `unseen`: nothing has said what became of its link. Of those the oldest gives way when there are too many. */
static void late_add(struct lock_handle *h, bool unseen)
{
    memcpy(h->late[unseen ? 1 + h->n_unseen++ % (LOCK_LATE_MAX - 1) : 0], h->claim, sizeof h->claim);
}

static bool late_has(const struct lock_handle *h, const char *claim)
{
    for (unsigned i = 0; i < LOCK_LATE_MAX; i++)
        if (!strcmp(h->late[i], claim))
            return true;
    return false;
}

/* A process that holds locks is no dead owner, though state_pid_alive() leaves ourselves out. */
static bool owner_is_us(const struct lock_place *place, const struct lock_file *f)
{
    struct lock_names names;

    lock_names_of(place->ctx->cfg, place->ctx->grammar, &names);
    return f->owner.pid == getpid() && lock_names_node(&names, f->owner.host) == (int)place->ctx->self;
}

static bool may_clear(const struct lock_place *place, const struct lock_circumstances *c, struct lock_file *f)
{
    if (!c)
        return false;
    lock_file_judge(c, f);
    return f->verdict == LOCK_CLEAR && f->fault == LOCK_SOUND && !f->claim && !owner_is_us(place, f);
}

/* Of a move: gone is gone, and what has come in its place is somebody's. */
static int moved_result(int rc)
{
    return rc == -ESTALE ? -EBUSY : rc == -ENOENT ? 0 : rc;
}

/* Judged with the right to clear, on the descriptor that is held while it is moved. */
int lock_clear(const struct lock_place *place, const char *name, const struct lock_circumstances *c)
{
    struct lock_file f;
    int quarantine = quarantine_open(place->dirfd), fd = -1;
    int rc = quarantine < 0 ? quarantine : quarantine_right(quarantine);

    if (!rc)
        rc = other_read(place, name, &f, &fd);
    if (!rc)
        rc = may_clear(place, c, &f) ? quarantine_move(place->dirfd, name, quarantine, place->ctx->epoch, "", &f.st) : -EBUSY;
    if (fd >= 0)
        (void)close(fd);
    if (quarantine >= 0)
        (void)close(quarantine);
    return moved_result(rc);
}

/* Somebody else has the lock. 0: not any more, try again; -EBUSY; or another -errno. */
static int other_treat(const struct lock_place *place, const struct lock_circumstances *c, const struct lock_handle *h,
                       int64_t server_s, struct lock_other *o)
{
    int fd, rc = other_read(place, h->lock, &o->file, &fd);

    if (rc == -ENOENT || rc == -ESTALE) {
        memset(o, 0, sizeof *o);
        return -EBUSY; /* it was let go: that is a moment later, and for the next attempt */
    }
    if (rc)
        return rc;
    o->expired_s = server_s - (int64_t)o->file.st.st_mtim.tv_sec;
    if (o->file.fault == LOCK_SOUND && late_has(h, o->file.named) && owner_is_us(place, &o->file))
        rc = moved_result(lock_let_go(place, h->lock, &o->file.st)); /* our own link of an earlier attempt */
    else
        rc = may_clear(place, c, &o->file) ? lock_clear(place, h->lock, c) : -EBUSY;
    if (fd >= 0)
        (void)close(fd);
    return rc;
}

/* One link, and what became of it. 0 = held; -EBUSY another's; or -errno. */
static int link_try(const struct lock_place *place, struct lock_handle *h, int *ret_why)
{
    struct stat st;
    int why = linkat(place->dirfd, h->claim, place->dirfd, h->lock, 0) < 0 ? errno : 0;
    int found = lock_claim_look(place, h, &st);

    *ret_why = why;
    if (found < 0)
        return found;
    switch ((enum lock_link)found) {
    case LOCK_LINK_OURS:
        return 0;
    case LOCK_LINK_ODD:
        (void)lock_let_go(place, h->lock, &st);
        return -EMLINK;
    case LOCK_LINK_OTHER:
        return -EBUSY;
    case LOCK_LINK_NONE:
        break;
    }
    if (why == EEXIST)
        return -EBUSY; /* it was let go meanwhile */
    return why ? -why : -EIO;
}

/* Whatever the last look said, the link may have been made. `why`: what link() said of it. */
static void attempt_end(const struct lock_place *place, struct lock_handle *h, int why)
{
    struct stat st;
    int found = lock_claim_look(place, h, &st);

    if (found == LOCK_LINK_OURS || found == LOCK_LINK_ODD)
        (void)lock_let_go(place, h->lock, &st);
    late_add(h, why != EEXIST || (found != LOCK_LINK_OTHER && found != LOCK_LINK_NONE));
    lock_claim_drop(place, h);
}

int lock_take(const struct lock_place *place, const char *name, unsigned lifetime_s, const struct lock_circumstances *c,
              struct lock_handle *h, struct lock_other *ret_other)
{
    struct lock_other other;
    int64_t server_s;
    int why;

    memset(&other, 0, sizeof other);
    if (h->held)
        return -EALREADY;
    if (strlen(name) >= sizeof h->lock)
        return -ENAMETOOLONG;
    if (strcmp(h->lock, name))
        memset(h->late, 0, sizeof h->late);
    memcpy(h->lock, name, strlen(name) + 1);
    int rc = lock_claim_make(place, lifetime_s, h, &server_s);
    if (rc)
        return rc;
    rc = link_try(place, h, &why);
    if (rc == -EBUSY) {
        rc = other_treat(place, c, h, server_s, &other);
        if (!rc)
            rc = link_try(place, h, &why);
    }
    h->held = !rc;
    if (rc)
        attempt_end(place, h, why);
    if (ret_other)
        *ret_other = other;
    return rc;
}

int lock_held(const struct lock_place *place, const struct lock_handle *h)
{
    struct stat st;
    int found = h->held ? lock_claim_look(place, h, &st) : LOCK_LINK_NONE;

    return found < 0 ? found : found == LOCK_LINK_OURS;
}

int lock_refresh(const struct lock_place *place, const struct lock_handle *h, unsigned lifetime_s)
{
    struct stat st;

    if (!h->held)
        return 0;
    /* Without a time of ours first, to hear the server's. */
    if (futimens(h->fd, NULL) < 0 || fstat(h->fd, &st) < 0)
        return errno == ESTALE ? 0 : -errno;
    int rc = lock_claim_touch(h->fd, lifetime_s, st.st_mtim.tv_sec);
    return rc ? rc : lock_held(place, h);
}

int lock_release(const struct lock_place *place, struct lock_handle *h)
{
    struct stat st;
    int rc = h->held && h->leaving ? 0 : -ENOLCK, found = h->held ? lock_claim_look(place, h, &st) : -EINVAL;

    if (found < 0)
        return found;
    if (found == LOCK_LINK_OURS || found == LOCK_LINK_ODD) {
        h->leaving = true;
        rc = lock_let_go(place, h->lock, &st);
    }
    if (rc == -ESTALE || rc == -ENOENT) { /* a server says so too of what it has not done */
        found = lock_claim_look(place, h, &st);
        rc = found < 0 ? found : found == LOCK_LINK_OURS || found == LOCK_LINK_ODD ? -EIO : -ENOLCK;
    }
    if (rc && rc != -ENOLCK)
        return rc;
    h->held = h->leaving = false;
    late_add(h, false);
    lock_claim_drop(place, h);
    return rc;
}
