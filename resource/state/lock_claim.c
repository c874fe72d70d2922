/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/fileio.h"

#include "common/banned.h"

#define MODE          0660 /* Mailman's programs of the list group touch it too */
#define LOOKS_MAX     3    /* ESTALE: the name was made again while it was looked up */

int lock_claim_new(const struct lock_place *place, const char *lock, char ret[LOCK_NAME_MAX])
{
    struct lock_names names;
    uint32_t random[4];

    lock_names_of(place->ctx->cfg, place->ctx->grammar, &names);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    return lock_claim_name(&names, lock, names.hosts[place->ctx->self], getpid(), random, ret);
}

/* Mailman compares it with the clock of whichever node looks: the later of ours and the server's is safe for both. */
int lock_claim_touch(int fd, unsigned lifetime_s, int64_t server_s)
{
    struct timespec now, times[2];

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -errno;
    times[0].tv_sec = (now.tv_sec > server_s ? now.tv_sec : server_s) + (time_t)lifetime_s;
    times[0].tv_nsec = 0;
    times[1] = times[0];
    return futimens(fd, times) < 0 ? -errno : 0;
}

static int claim_fill(const struct lock_place *place, unsigned lifetime_s, const struct lock_handle *h, int64_t *ret_server_s)
{
    char text[PATH_MAX];
    struct stat st;
    int n = snprintf(text, sizeof text, "%s/%s", place->path, h->claim);

    if (n < 0 || (size_t)n >= sizeof text)
        return -ENAMETOOLONG;
    int rc = fchmod(h->fd, MODE) < 0 ? -errno : fileio_write_all(h->fd, text, (size_t)n);
    if (!rc && (fsync(h->fd) < 0 || fstat(h->fd, &st) < 0))
        rc = -errno;
    if (rc)
        return rc;
    *ret_server_s = st.st_mtim.tv_sec; /* written without a time of ours: the server's (reliability L3) */
    rc = lock_claim_touch(h->fd, lifetime_s, *ret_server_s);
    if (!rc && (fsync(h->fd) < 0 || fsync(place->dirfd) < 0))
        rc = -errno;
    return rc;
}

int lock_claim_make(const struct lock_place *place, unsigned lifetime_s, struct lock_handle *h, int64_t *ret_server_s)
{
    int rc = lock_claim_new(place, h->lock, h->claim);

    if (rc)
        return rc;
    h->fd = openat(place->dirfd, h->claim, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE);
    if (h->fd < 0) {
        rc = -errno;
        (void)unlinkat(place->dirfd, h->claim, 0); /* the reply may have been lost; nobody else makes that name */
        return rc;
    }
    rc = claim_fill(place, lifetime_s, h, ret_server_s);
    if (rc)
        lock_claim_drop(place, h);
    return rc;
}

void lock_claim_drop(const struct lock_place *place, struct lock_handle *h)
{
    if (h->fd >= 0)
        (void)close(h->fd); /* first: an NFS client keeps what is removed while it is open */
    h->fd = -1;
    (void)unlinkat(place->dirfd, h->claim, 0);
}

/* Opens it anew, so that an NFS client asks the server, and fstat()s that. 1, 0 = there is none, or -errno. */
static int fresh_stat(int dirfd, const char *name, struct stat *ret)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC), rc = 1;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(fd, ret) < 0)
        rc = -errno;
    (void)close(fd);
    return rc;
}

static int link_look(const struct lock_place *place, const struct lock_handle *h, struct stat *ret)
{
    struct stat lock, claim;
    int has_lock = fresh_stat(place->dirfd, h->lock, &lock), has_claim;

    if (has_lock == -EACCES || has_lock == -ELOOP || has_lock == -ENXIO)
        return LOCK_LINK_OTHER; /* ours can be read, and is a file */
    if (has_lock <= 0)
        return has_lock < 0 ? has_lock : LOCK_LINK_NONE;
    has_claim = fresh_stat(place->dirfd, h->claim, &claim);
    if (has_claim < 0)
        return has_claim;
    if (!has_claim && fstat(h->fd, &claim) < 0)
        return errno == ESTALE ? LOCK_LINK_OTHER : -errno;
    if (lock.st_dev != claim.st_dev || lock.st_ino != claim.st_ino)
        return LOCK_LINK_OTHER;
    *ret = lock;
    return has_claim && lock.st_nlink == 2 && claim.st_nlink == 2 ? LOCK_LINK_OURS : LOCK_LINK_ODD;
}

int lock_claim_look(const struct lock_place *place, const struct lock_handle *h, struct stat *ret)
{
    int found = -ESTALE;

    for (unsigned i = 0; found == -ESTALE && i < LOOKS_MAX; i++)
        found = link_look(place, h, ret);
    return found;
}
