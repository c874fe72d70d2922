/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one way in which a file of the protocol comes to be, and what is swept up after processes that were killed. */
#include <config.h>

#include "resource/epoch/epoch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fileio.h"

#include "common/banned.h"

struct unique { char name[CONFIG_NAME_MAX + 96]; int fd; struct stat st; };

static int unique_name(const struct epoch_ctx *ctx, struct unique *u)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    (void)snprintf(u->name, sizeof u->name, ".new.%s.%016" PRIx64 ".%" PRIu64 ".%016" PRIx64, ctx->node, ctx->run, ctx->op,
                   random);
    return 0;
}

static int unique_write(const struct epoch_share *s, struct unique *u, const char *text, size_t len, const char **ret_call)
{
    int rc;

    *ret_call = "making a unique file";
    u->fd = openat(s->fd, u->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (u->fd < 0)
        return -errno;
    *ret_call = "writing a unique file";
    rc = fchmod(u->fd, 0644) < 0 ? -errno : fileio_write_all(u->fd, text, len);
    if (!rc && fsync(u->fd) < 0)
        rc = -errno;
    if (!rc && fstat(u->fd, &u->st) < 0)
        rc = -errno;
    return rc;
}

/* Is `name` our inode with our text? The unique file is still open, so that its inode number is nobody else's. */
static int link_verify(const struct epoch_share *s, const char *name, const struct unique *u, const char *text, size_t len,
                       int link_errno)
{
    char found[EPOCH_FILE_MAX];
    size_t found_len;
    struct stat st;
    int rc = fileio_read(s->fd, name, found, sizeof found, &found_len, &st);

    if (rc == -ENOENT) /* "it exists" of something that does not: nothing is known */
        return link_errno == EEXIST ? -EIO : link_errno ? -link_errno : -ENOENT;
    if (rc == -EFBIG || rc == -ENOTSUP || rc == -ELOOP)
        return -EEXIST;
    if (rc)
        return rc;
    if (st.st_dev != u->st.st_dev || st.st_ino != u->st.st_ino)
        return -EEXIST;
    return found_len == len && !memcmp(found, text, len) ? 0 : -EIO;
}

int epoch_make(const struct epoch_ctx *ctx, const struct epoch_share *s, const char *name, const struct epoch_file *f,
               const char **ret_call)
{
    char text[EPOCH_FILE_MAX];
    struct unique u = { .fd = -1 };
    size_t len = epoch_file_format(f, text);
    int rc = len ? unique_name(ctx, &u) : -EINVAL, link_errno = 0;

    *ret_call = "making the text of an epoch file";
    if (!rc)
        rc = unique_write(s, &u, text, len, ret_call);
    if (!rc) {
        /* A lost reply makes link() fail although it was done, or say EEXIST of our own: only the look counts. */
        link_errno = linkat(s->fd, u.name, s->fd, name, 0) < 0 ? errno : 0;
        *ret_call = "fsync of .understudy";
        rc = fsync(s->fd) < 0 ? -errno : 0;
    }
    if (!rc) {
        *ret_call = "reading an epoch file back";
        rc = link_verify(s, name, &u, text, len, link_errno);
    }
    if (u.fd >= 0) {
        (void)unlinkat(s->fd, u.name, 0);
        (void)close(u.fd);
    }
    return rc;
}

/* Does `name` read PREFIX NODE . FIELD . FIELD...? Node names may have dots, so the fields are counted from the end. */
static bool leftover_is_ours(const struct epoch_ctx *ctx, const char *name, const char *prefix, unsigned fields,
                             const char **ret_run)
{
    size_t plen = strlen(prefix), nlen = strlen(ctx->node);
    unsigned dots = 0;

    if (strncmp(name, prefix, plen) || strncmp(name + plen, ctx->node, nlen))
        return false;
    *ret_run = name + plen + nlen + 1;
    for (const char *p = name + plen + nlen; *p; p++)
        dots += *p == '.';
    return dots == fields && name[plen + nlen] == '.';
}

void epoch_clean(const struct epoch_ctx *ctx, const struct epoch_share *s)
{
    char run[20];
    const char *of;
    int fd = openat(s->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (!dir && fd >= 0)
        (void)close(fd);
    if (!dir)
        return;
    (void)snprintf(run, sizeof run, "%016" PRIx64, ctx->run);
    for (const struct dirent *d; (d = readdir(dir)) != NULL;) {
        bool left = leftover_is_ours(ctx, d->d_name, ".new.", 3, &of) || leftover_is_ours(ctx, d->d_name, ".probe.", 3, &of)
            || leftover_is_ours(ctx, d->d_name, ".beat.", 1, &of);
        /* Files of the present run may be in use by a command at this moment. */
        if (left && strncmp(of, run, 16))
            (void)unlinkat(s->fd, d->d_name, 0);
    }
    (void)closedir(dir);
}
