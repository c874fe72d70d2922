/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Mailman can not queue its LMTP server refuses for good (550, facts: mailman C): so the list share is asked first. */
#include <config.h>

#include "resource/state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

#define PROBE_BYTES 8192u   /* more than a file system keeps inside an inode */
#define MIN_FILES   1000u   /* that can still be made; a file system without a fixed number says 0 of 0 */

/* One call that failed, and of what. */
struct failure { const char *doing; int error; };

static bool all_written(int fd, struct failure *f)
{
    static const char block[PROBE_BYTES] = "understudy: can the list server store mail?\n";
    size_t            done = 0;

    f->doing = "writing a file in";
    while (done < sizeof block) {
        ssize_t n = write(fd, block + done, sizeof block - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            f->error = n < 0 ? errno : ENOSPC;
            return false;
        }
        done += (size_t)n;
    }
    if (fsync(fd) == 0)
        return true;
    *f = (struct failure){ "syncing a file in", errno };
    return false;
}

static int code_of(int error) { return error == ENOSPC || error == EDQUOT ? EXIT_FULL : EXIT_FAILED; }

/* A lost reply says ENOENT of a removal that was done. */
static bool removed(int dirfd, const char *name)
{
    return unlinkat(dirfd, name, 0) == 0 || errno == ENOENT;
}

/* What a probe that was killed has left behind is removed, whatever it is, and never followed. */
static int file_make(int dirfd, const char *name, struct failure *f)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fd = openat(dirfd, name, flags, 0600);

    *f = (struct failure){ "making a file in", errno };
    if (fd >= 0 || errno != EEXIST)
        return fd;
    if (!removed(dirfd, name)) {
        *f = (struct failure){ "removing the file of an earlier probe in", errno };
        return -1;
    }
    fd = openat(dirfd, name, flags, 0600);
    f->error = errno;
    return fd;
}

static bool takes_a_file(int dirfd, const char *name, struct failure *f)
{
    int fd = file_make(dirfd, name, f);

    if (fd < 0)
        return false;
    bool ok = all_written(fd, f);
    if (close(fd) < 0 && ok) {
        *f = (struct failure){ "closing a file in", errno };
        ok = false;
    }
    if (!removed(dirfd, name) && ok) {
        *f = (struct failure){ "removing a file in", errno };
        ok = false;
    }
    return ok;
}

static int reserve_check(const struct state_ctx *ctx, int dirfd, const char *path, struct state_room *room)
{
    struct statvfs v;

    if (fstatvfs(dirfd, &v) < 0)
        return state_fail(EXIT_FAILED, "asking for the space of %s: %s", path, strerror(errno));
    uint64_t free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    room->free_bytes = free_bytes < room->free_bytes ? free_bytes : room->free_bytes;
    if (v.f_files != 0)
        room->free_files = v.f_favail < room->free_files ? v.f_favail : room->free_files;
    if (ctx->cfg->list_reserve_mib == 0)
        return EXIT_DONE;
    if (free_bytes >> 20 < ctx->cfg->list_reserve_mib)
        return state_fail(EXIT_FULL, "the file system of %s has %" PRIu64 " MiB left for the list user, less than list_reserve = "
                          "%" PRIu32 "M", path, free_bytes >> 20, ctx->cfg->list_reserve_mib);
    if (v.f_files != 0 && v.f_favail < MIN_FILES)
        return state_fail(EXIT_FULL, "the file system of %s has inodes for %" PRIu64 " files left, less than %u", path,
                          (uint64_t)v.f_favail, MIN_FILES);
    return EXIT_DONE;
}

static int directory_probe(const struct state_ctx *ctx, const char *path, struct state_room *room, dev_t *dev)
{
    struct stat    st;
    struct failure f = { "opening", 0 };
    char           name[CONFIG_NAME_MAX + 32];
    int            fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code = EXIT_DONE;

    if (fd < 0 || fstat(fd, &st) < 0) {
        f.error = errno;
        if (fd >= 0)
            (void)close(fd);
        return state_fail(EXIT_FAILED, "opening %s: %s", path, strerror(f.error));
    }
    if (st.st_dev != *dev) {
        (void)snprintf(name, sizeof name, ".understudy-probe.%s", ctx->cfg->nodes[ctx->self].name);
        if (!takes_a_file(fd, name, &f))
            code = state_fail(code_of(f.error), "%s %s: %s", f.doing, path, strerror(f.error));
        if (code == EXIT_DONE)
            code = reserve_check(ctx, fd, path, room);
    }
    *dev = st.st_dev;
    (void)close(fd);
    return code;
}

int state_probe(const struct state_ctx *ctx, bool tell)
{
    struct state_room room = { UINT64_MAX, UINT64_MAX };
    uint64_t          begin_ms = clock_now_ms();
    dev_t             dev = 0;
    int               code = directory_probe(ctx, ctx->cfg->list.queue_dir, &room, &dev);

    if (code == EXIT_DONE)
        code = directory_probe(ctx, ctx->cfg->list.lock_dir, &room, &dev);
    if (code == EXIT_DONE && tell)
        state_out_room(&room, clock_now_ms() - begin_ms);
    return code;
}
