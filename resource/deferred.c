/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/deferred.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "resource/ocf.h"
#include "resource/state/defer.h"

#include "common/banned.h"

static void units_record(const struct defer *d)
{
    struct timespec now;
    uint64_t        now_ms, oldest_ms = 0;
    uint32_t        tries = 0;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    now_ms = (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
    for (size_t i = 0; i < d->n; i++) {
        uint64_t age_ms = now_ms > d->v[i].first_ms ? now_ms - d->v[i].first_ms : 0;
        oldest_ms = age_ms > oldest_ms ? age_ms : oldest_ms;
        tries = d->v[i].tries > tries ? d->v[i].tries : tries;
    }
    if (d->n > 0)
        ocf_record("deferred units=%zu oldest_ms=%" PRIu64 " tries=%" PRIu32, d->n, oldest_ms, tries);
}

void deferred_record(const struct listuser *u, const char *dir)
{
    struct defer d = { 0 };
    int          fd, rc = listuser_files_enter(u);

    if (rc == 0) {
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        rc = fd < 0 ? -errno : defer_load(fd, u->uid, &d);
        if (fd >= 0)
            (void)close(fd);
    }
    listuser_files_leave();
    if (rc != 0 && rc != -ENOENT)
        ocf_record("deferred error=%d", -rc);
    else
        units_record(&d);
    defer_free(&d);
}
