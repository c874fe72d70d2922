/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/list21.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/num.h"
#include "resource/state/pickle.h"
#include "resource/state/quarantine.h"

#include "common/banned.h"

#define CONFIG  "config.pck"
#define LAST    "config.pck.last"
#define SAFETY  "config.pck.safety"
#define HALF    "config.pck.tmp."
#define NEW     ".understudy-new"   /* of ours, between link and rename; under the list's lock there is one at most */
#define HOST_SIZE 256

struct file { enum pickle_shape shape; struct stat st; };

const char *list21_result_name(enum list21_result r)
{
    static const char *const names[LIST21_RESULT_N] = { "sound", "tidied", "restored", "restored-old", "gone" };

    return (unsigned)r < LIST21_RESULT_N ? names[r] : "?";
}

bool list21_half_parse(const char *name, char *ret_host, unsigned size, long *ret_pid)
{
    const char *host = name + strlen(HALF), *dot;
    uint32_t    pid;

    if (strncmp(name, HALF, strlen(HALF)) != 0 || !(dot = strrchr(host, '.')) || dot == host || (size_t)(dot - host) >= size)
        return false;
    if (num_parse_u32(dot + 1, 1, INT32_MAX, &pid) != 0)
        return false;
    memcpy(ret_host, host, (size_t)(dot - host));
    ret_host[dot - host] = '\0';
    *ret_pid = (long)pid;
    return true;
}

static int bytes_copy(int in, int out)
{
    static char block[65536];
    ssize_t     got;

    while ((got = read(in, block, sizeof block)) > 0)
        for (ssize_t done = 0, n; done < got; done += n)
            if ((n = write(out, block + done, (size_t)(got - done))) <= 0)
                return n < 0 ? -errno : -ENOSPC;
    return got < 0 ? -errno : fsync(out) < 0 ? -errno : 0;
}

/* NEW becomes a copy of `from`. */
static int new_copy(int dirfd, const char *from)
{
    int in = openat(dirfd, from, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int out = openat(dirfd, NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0660);
    int rc = in < 0 || out < 0 ? -errno : bytes_copy(in, out);

    if (in >= 0)
        (void)close(in);
    if (out >= 0 && close(out) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* NEW becomes another link of `from`. Not of the .safety: Mailman writes that in place. */
static int new_make(int dirfd, const char *from)
{
    struct stat made, wanted;
    int         rc = 0;

    if (unlinkat(dirfd, NEW, 0) < 0 && errno != ENOENT)
        return -errno;
    if (strcmp(from, SAFETY) == 0)
        return new_copy(dirfd, from);
    if (linkat(dirfd, from, dirfd, NEW, 0) < 0)
        rc = -errno;
    if (fstatat(dirfd, NEW, &made, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(dirfd, from, &wanted, AT_SYMLINK_NOFOLLOW) < 0)
        return rc ? rc : -errno;
    return quarantine_same_file(&made, &wanted) ? 0 : rc ? rc : -ESTALE;
}

/* What `to` was is kept in the quarantine. */
static int old_keep(const struct list21_look *l, const char *to, const struct file *old)
{
    int quarantine = old->shape == PICKLE_ABSENT ? 0 : quarantine_open(l->listfd), rc;

    if (old->shape == PICKLE_ABSENT || quarantine < 0)
        return quarantine;
    rc = quarantine_keep(l->listfd, to, quarantine, l->epoch, "", &old->st);
    (void)close(quarantine);
    return rc;
}

/* `to` becomes what `from` is, in one step. A reply can be lost: what counts is what is there afterwards. */
static int replace(const struct list21_look *l, const char *from, const char *to, const struct file *old)
{
    struct stat wanted, found;
    int         rc = old_keep(l, to, old);

    if (rc == 0)
        rc = new_make(l->listfd, from);
    if (rc != 0)
        return rc;
    if (fstatat(l->listfd, NEW, &wanted, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (renameat(l->listfd, NEW, l->listfd, to) < 0)
        rc = -errno;
    if (fstatat(l->listfd, to, &found, AT_SYMLINK_NOFOLLOW) < 0)
        return rc ? rc : -errno;
    return quarantine_same_file(&wanted, &found) ? 0 : rc ? rc : -ESTALE;
}

/* A save that a dead process had begun: the old configuration stands, nobody was told of the new one. */
static int half_put_aside(const struct list21_look *l, const char *name, bool *ret_found)
{
    char host[HOST_SIZE];
    long pid;
    int  rc = 0, quarantine;

    if (!list21_half_parse(name, host, sizeof host, &pid) || !l->is_dead(l->ctx, host, pid))
        return 0;
    *ret_found = true;
    if (!l->change)
        return 0;
    quarantine = quarantine_open(l->listfd);
    if (quarantine < 0)
        return quarantine;
    rc = quarantine_move(l->listfd, name, quarantine, l->epoch, "", NULL);
    (void)close(quarantine);
    return rc == -ENOENT ? 0 : rc;
}

static int halves_put_aside(const struct list21_look *l, bool *ret_found)
{
    int                  fd = openat(l->listfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR                 *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    *ret_found = false;
    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (rc == 0 && (errno = 0, d = readdir(dir)))
        rc = half_put_aside(l, d->d_name, ret_found);
    if (rc == 0 && errno)
        rc = -errno;
    (void)closedir(dir);
    return rc;
}

/* What is to be done, from what is there: from whom to whom, if anything. */
static enum list21_result plan(const struct file *config, const struct file *last, const struct file *safety, const char **ret_from,
                               const char **ret_to)
{
    *ret_from = *ret_to = NULL;
    if (config->shape == PICKLE_WHOLE && last->shape == PICKLE_WHOLE)
        return LIST21_SOUND;
    if (config->shape == PICKLE_WHOLE) {
        *ret_from = CONFIG;
        *ret_to = LAST;
        return LIST21_TIDIED;
    }
    *ret_from = last->shape == PICKLE_WHOLE ? LAST : safety->shape == PICKLE_WHOLE ? SAFETY : NULL;
    *ret_to = *ret_from ? CONFIG : NULL;
    return last->shape == PICKLE_WHOLE ? LIST21_RESTORED : safety->shape == PICKLE_WHOLE ? LIST21_RESTORED_OLD : LIST21_GONE;
}

int list21_check(const struct list21_look *l, enum list21_result *ret)
{
    struct file config, last, safety;
    const char *from, *to;
    bool        halves;
    int         rc = pickle_look(l->listfd, CONFIG, &config.shape, &config.st);

    if (rc == 0)
        rc = pickle_look(l->listfd, LAST, &last.shape, &last.st);
    if (rc == 0)
        rc = pickle_look(l->listfd, SAFETY, &safety.shape, &safety.st);
    if (rc != 0)
        return rc;
    *ret = plan(&config, &last, &safety, &from, &to);
    if (to && l->change)
        rc = replace(l, from, to, to[strlen(CONFIG)] ? &last : &config);
    if (rc == 0)
        rc = halves_put_aside(l, &halves);
    if (rc == 0 && halves && *ret == LIST21_SOUND)
        *ret = LIST21_TIDIED;
    return rc == 0 && l->change && *ret != LIST21_SOUND && *ret != LIST21_GONE && fsync(l->listfd) < 0 ? -errno : rc;
}
