/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_ignored.h"

#include <errno.h>

#include "common/banned.h"

#define SAY_EVERY_MS 60000u

static enum ignored_kind kind_of(int rc)
{
    if (rc == -EPROTONOSUPPORT)
        return IGNORED_VERSION;
    if (rc == -EXDEV)
        return IGNORED_CLUSTER;
    if (rc == -EACCES)
        return IGNORED_SENDER;
    return rc == -EALREADY || rc == -ESTALE ? IGNORED_REPEATED : IGNORED_MALFORMED;
}

bool ignored_count(struct ignored *i, int rc, uint64_t now_ms)
{
    enum ignored_kind k = kind_of(rc);
    bool say;

    i->n[k] += i->n[k] < UINT32_MAX;
    i->last = k;
    i->last_ms = now_ms;
    if (i->said_ms == 0 || now_ms >= i->said_ms + SAY_EVERY_MS) {
        i->said = 0;
        i->said_ms = now_ms;
    }
    say = (i->said & 1u << k) == 0;
    i->said |= 1u << k;
    return say;
}

const char *ignored_name(enum ignored_kind k)
{
    static const char *const names[IGNORED_N] = {
        [IGNORED_VERSION] = "version", [IGNORED_MALFORMED] = "malformed", [IGNORED_CLUSTER] = "cluster",
        [IGNORED_SENDER] = "sender", [IGNORED_REPEATED] = "repeated",
    };

    return k < IGNORED_N ? names[k] : "-";
}

const char *ignored_text(enum ignored_kind k)
{
    static const char *const texts[IGNORED_N] = {
        [IGNORED_VERSION] = "of another version of understudy; install the same on all nodes",
        [IGNORED_MALFORMED] = "not to be read; see whether something else uses corosync's group \"understudy\"",
        [IGNORED_CLUSTER] = "of another cluster name; make the configurations equal, or give each cluster a corosync of its own",
        [IGNORED_SENDER] = "of a sender that is not configured or is not whom it says; compare the ids with corosync.conf",
        [IGNORED_REPEATED] = "said before; somebody repeats messages: let corosync encrypt",
    };

    return k < IGNORED_N ? texts[k] : "-";
}
