/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of a planned release says that nothing of ours is on its way to the server any more (design: Release). */
#include <config.h>

#include "resource/state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/exitcodes.h"
#include "resource/state/state_out.h"

#include "common/banned.h"

static int directory_open(const char *path, dev_t *ret_dev)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0) {
        *ret_dev = st.st_dev;
        return fd;
    }
    rc = -errno;
    (void)close(fd);
    return rc;
}

int state_sync(const struct state_ctx *ctx)
{
    const char *paths[] = { ctx->cfg->list.queue_dir, ctx->cfg->list.lock_dir };
    uint64_t begin_ms = clock_now_ms();
    dev_t dev[2] = { 0, 0 };
    unsigned n = 0;

    for (unsigned i = 0; i < 2; i++) {
        int fd = directory_open(paths[i], &dev[i]), rc = 0;

        if (fd < 0)
            return state_fail(EXIT_FAILED, "opening %s: %s", paths[i], strerror(-fd));
        if (i == 0 || dev[i] != dev[0]) {
            rc = syncfs(fd) < 0 ? -errno : 0;
            n++;
        }
        (void)close(fd);
        if (rc)
            return state_fail(EXIT_FAILED, "syncing the file system of %s: %s; what was written last may not be on the "
                              "server", paths[i], strerror(-rc));
    }
    state_out_synced(n, clock_now_ms() - begin_ms);
    return EXIT_DONE;
}
