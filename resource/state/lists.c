/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lists.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "resource/state/lock_take.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

#define LIFETIME_S 120u /* longer than one attempt may last; Mailman breaks a lock that is over */

/* The maker of a half-made save: HOST is as the nodes write it into their locks. */
static bool is_dead(void *data, const char *host, long pid)
{
    const struct state_ctx *ctx = data;
    struct lock_names       names;

    lock_names_of(ctx->cfg, ctx->grammar, &names);
    int node = lock_names_node(&names, host);
    if (node < 0)
        return false;
    return node == (int)ctx->self ? !state_pid_alive(ctx, (pid_t)pid) : (ctx->harmless >> (unsigned)node & 1u) != 0;
}

static bool is_list(int listfd)
{
    static const char *const names[] = { "config.pck", "config.pck.last", "config.pck.safety" };
    struct stat              st;

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (fstatat(listfd, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
            return true;
    return false;
}

static enum pass_result result_of(int rc, int *ret_error)
{
    *ret_error = rc < 0 && rc != -EBUSY && rc != -ESTALE ? -rc : 0;
    return rc == 0 ? PASS_DONE : rc == -EBUSY ? PASS_LOCKED : rc == -ESTALE ? PASS_BUSY : PASS_FAILED;
}

/* What was done under a lock that somebody has broken may not have been alone: once more. */
static int lock_let_go_of(const struct lock_place *place, struct lock_handle *h)
{
    int rc = lock_release(place, h);

    if (rc && rc != -ENOLCK)
        rc = lock_release(place, h);
    return rc == -ENOLCK ? -ESTALE : rc;
}

static int list_check(const struct state_ctx *ctx, int listfd, int locks, const char *name, enum list21_result *ret)
{
    struct lock_handle               h = LOCK_HANDLE_NONE;
    const struct lock_place          place = { .dirfd = locks, .path = ctx->cfg->list.lock_dir, .ctx = ctx };
    const struct lock_circumstances  c = { .ctx = ctx, .service_here = true };
    const struct list21_look         look = { .listfd = listfd, .epoch = ctx->epoch, .change = true, .is_dead = is_dead,
                                              .ctx = (void *)(uintptr_t)ctx };
    char                             lock[LOCK_NAME_MAX];
    int                              n = snprintf(lock, sizeof lock, "%s.lock", name);

    if (n < 0 || (size_t)n >= sizeof lock)
        return -ENAMETOOLONG;
    int rc = lock_take(&place, lock, LIFETIME_S, &c, &h, NULL);
    if (rc)
        return rc;
    rc = list21_check(&look, ret);
    int left = lock_let_go_of(&place, &h);
    return rc ? rc : left;
}

enum pass_result list_treat(const struct state_ctx *ctx, int lists, int locks, const char *name, enum list21_result *ret,
                            int *ret_error)
{
    int listfd = openat(lists, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = 0;

    *ret = LIST21_SOUND;
    if (listfd < 0 && (errno == ENOTDIR || errno == ELOOP || errno == ENOENT))
        return PASS_DONE; /* removed meanwhile, or none */
    if (listfd < 0)
        rc = -errno;
    else if (is_list(listfd))
        rc = list_check(ctx, listfd, locks, name, ret);
    if (listfd >= 0)
        (void)close(listfd);
    if (rc && rc != -EBUSY && rc != -ESTALE)
        (void)state_fail(EXIT_DONE, "list %s: %s", name, strerror(-rc));
    return result_of(rc, ret_error);
}

void list_tell(const char *name, enum list21_result r, struct list_counts *counts)
{
    counts->n[r]++;
    if (r == LIST21_GONE)
        (void)state_fail(EXIT_DONE, "list %s: neither config.pck nor config.pck.last nor config.pck.safety is whole: Mailman does "
                         "not know the list, and refuses its mail; restore its config.pck from a backup", name);
    else if (r == LIST21_RESTORED_OLD)
        (void)state_fail(EXIT_DONE, "list %s: config.pck is what config.pck.safety was, perhaps months old: compare it with a "
                         "backup", name);
    if (r != LIST21_SOUND)
        state_out_list(name, list21_result_name(r));
}
