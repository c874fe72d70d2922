/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/bounces21.h"

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

#define PREFIX    "bounce-events-"
#define SUFFIX    ".pck"
#define NAME_SIZE 48u

static void name_of(pid_t pid, char ret[NAME_SIZE])
{
    (void)snprintf(ret, NAME_SIZE, PREFIX "%05d" SUFFIX, (int)pid);
}

bool bounces21_name(const char *name, pid_t *ret_pid)
{
    char     digits[16], again[NAME_SIZE];
    size_t   len = strlen(name), fixed = strlen(PREFIX) + strlen(SUFFIX);
    uint32_t pid;

    if (len <= fixed || len - fixed >= sizeof digits || strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    memcpy(digits, name + strlen(PREFIX), len - fixed);
    digits[len - fixed] = '\0';
    size_t zeros = strspn(digits, "0");
    if (num_parse_u32(digits + zeros, 1, INT32_MAX, &pid) != 0)
        return false;
    name_of((pid_t)pid, again); /* written as Mailman writes it, suffix and all */
    if (strcmp(again, name) != 0)
        return false;
    *ret_pid = (pid_t)pid;
    return true;
}

/* The runner may have made its own meanwhile: link(2) never takes its place, and both names of one file are a hand-over that
 * was cut off. */
static int give(const struct bounces21 *b, const char *name, const struct stat *st, struct bounces21_result *ret)
{
    char        mine[NAME_SIZE];
    struct stat there;

    if (b->runner == 0 || !b->change) {
        ret->left++;
        return 0;
    }
    name_of(b->runner, mine);
    if (linkat(b->datafd, name, b->datafd, mine, 0) < 0 && errno != EEXIST)
        return errno == ENOENT ? 0 : -errno;
    if (fstatat(b->datafd, mine, &there, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    if (!quarantine_same_file(&there, st)) {
        ret->left++;
        return 0;
    }
    if (unlinkat(b->datafd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    ret->handed++;
    return fsync(b->datafd) < 0 ? -errno : 0;
}

static int broken_put_aside(const struct bounces21 *b, const char *name, const struct stat *st, struct bounces21_result *ret)
{
    ret->broken++;
    if (!b->change)
        return 0;
    int quarantine = quarantine_open(b->datafd);
    if (quarantine < 0)
        return quarantine;
    int rc = quarantine_move(b->datafd, name, quarantine, b->epoch, "data.", st);
    (void)close(quarantine);
    return rc == -ENOENT ? 0 : rc;
}

static int file_treat(const struct bounces21 *b, const char *name, struct bounces21_result *ret)
{
    enum pickle_shape shape;
    struct stat       st;
    pid_t             pid;

    if (!bounces21_name(name, &pid) || pid == b->runner || b->alive(b->ctx, pid))
        return 0;
    int rc = pickle_look(b->datafd, name, &shape, &st);
    if (rc || shape == PICKLE_ABSENT)
        return rc;
    return shape == PICKLE_BROKEN ? broken_put_aside(b, name, &st, ret) : give(b, name, &st, ret);
}

int bounces21_hand_over(const struct bounces21 *b, struct bounces21_result *ret)
{
    int fd = openat(b->datafd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *d;

    *ret = (struct bounces21_result){ 0 };
    if (!dir) {
        rc = -errno;
        if (fd >= 0)
            (void)close(fd);
        return rc;
    }
    while (!rc && (errno = 0, d = readdir(dir)))
        rc = file_treat(b, d->d_name, ret);
    if (!rc && errno)
        rc = -errno;
    (void)closedir(dir);
    return rc;
}
