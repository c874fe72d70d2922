/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "common/banned.h"

int wire_send(int fd, const struct wire_msg *m)
{
    ssize_t n;

    do
        n = send(fd, m, sizeof *m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n == (ssize_t) sizeof *m)
        return 0;
    if (n >= 0)
        return -EPROTO;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)
        return -EAGAIN;
    return errno == EPIPE || errno == ECONNRESET || errno == ENOTCONN ? -EPIPE : -errno;
}

int wire_recv(int fd, struct wire_msg *ret)
{
    struct wire_msg m;
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof m };
    struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1 };
    ssize_t n;

    do
        n = recvmsg(fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -EAGAIN;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return -EPIPE;
    if (n < 0)
        return -errno;
    if (n != (ssize_t) sizeof m || (h.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0)
        return -EPROTO;
    if (m.version != WIRE_VERSION || m.kind >= WIRE_KIND_N)
        return -EPROTO;
    *ret = m;
    return 0;
}

const char *job_name(enum job j)
{
    static const char *const names[JOB_N] = {
        [JOB_NONE] = "none",
        [JOB_EPOCH_WATCH] = "epoch-watch", [JOB_EPOCH_CLAIM] = "epoch-claim", [JOB_EPOCH_OWN] = "epoch-own",
        [JOB_EPOCH_END] = "epoch-end", [JOB_EPOCH_DRAIN] = "epoch-drain", [JOB_EPOCH_INIT] = "epoch-init",
        [JOB_EPOCH_MAINTAIN] = "epoch-maintain", [JOB_EPOCH_UNMAINTAIN] = "epoch-unmaintain",
        [JOB_STATE_CHECK] = "state-check", [JOB_STATE_RECOVER] = "state-recover", [JOB_STATE_SYNC] = "state-sync",
        [JOB_STATE_RETRY] = "state-retry", [JOB_STATE_PROBE] = "state-probe",
        [JOB_SHARE_MOUNT] = "share-mount", [JOB_SHARE_UMOUNT] = "share-umount",
        [JOB_INTAKE_OPEN] = "intake-open", [JOB_INTAKE_CLOSE] = "intake-close",
        [JOB_ADDRESS_START] = "address-start", [JOB_ADDRESS_STOP] = "address-stop",
        [JOB_ADDRESS_MONITOR] = "address-monitor",
        [JOB_SERVICE_START] = "service-start", [JOB_SERVICE_STOP] = "service-stop",
        [JOB_SERVICE_MONITOR] = "service-monitor", [JOB_SERVICE_RELEASE] = "service-release",
        [JOB_SERVICE_RESUME] = "service-resume",
        [JOB_FENCE_OFF] = "fence-off", [JOB_FENCE_ON] = "fence-on", [JOB_FENCE_STATUS] = "fence-status",
        [JOB_POKE] = "poke", [JOB_UNITS_START] = "units-start", [JOB_UNITS_STOP] = "units-stop",
    };

    return (unsigned) j < JOB_N ? names[j] : "unknown";
}

const char *wire_watchdog_name(enum wire_watchdog w)
{
    static const char *const names[] = {
        [WATCHDOG_UNKNOWN] = "unknown", [WATCHDOG_OFF] = "off", [WATCHDOG_ARMED] = "armed", [WATCHDOG_ABSENT] = "absent",
        [WATCHDOG_BUSY] = "busy", [WATCHDOG_FAILED] = "failed",
    };

    return (unsigned) w < sizeof names / sizeof names[0] ? names[w] : "unknown";
}

const char *wire_self_fence_name(enum wire_self_fence s)
{
    static const char *const names[] = {
        [SELF_FENCE_UNKNOWN] = "unknown", [SELF_FENCE_OFF] = "off", [SELF_FENCE_ON] = "on",
        [SELF_FENCE_UNABLE] = "unable", [SELF_FENCE_LIMIT] = "limit",
    };

    return (unsigned) s < sizeof names / sizeof names[0] ? names[s] : "unknown";
}
