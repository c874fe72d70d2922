/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/privileges.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "daemon/jobs.h"

#include "common/banned.h"

#define BIT(name) (UINT64_C(1) << (name))

/* Files of other users: what the daemon's user and the list user have, and may not be trusted with. */
#define FILES (BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_DAC_OVERRIDE))
#define USERS (BIT(CAP_SETUID) | BIT(CAP_SETGID))

/* In the executor itself: children of other users are started and killed, directories given away, the socket's buffer
 * forced, secrets locked, the bounding sets of children narrowed, and this node rebooted. */
#define EXECUTOR (FILES | USERS | BIT(CAP_KILL) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_BOOT) | BIT(CAP_NET_ADMIN) | BIT(CAP_IPC_LOCK))

/* The address: rtnetlink and ARP. Intake: nft. */
#define NETWORK (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW))

/* The list service: started as its user, traced at the safe point, killed; the LMTP probe passes a closed intake by a mark. */
#define SERVICE (FILES | USERS | BIT(CAP_KILL) | BIT(CAP_SYS_PTRACE) | BIT(CAP_NET_ADMIN))

/* Other people's programs, which talk to a device: whatever helpers they start, but neither this node's network nor its mounts,
 * its processes' memory or its power. */
#define FENCE (FILES | USERS | BIT(CAP_KILL) | BIT(CAP_NET_RAW) | BIT(CAP_NET_BIND_SERVICE))

/* mount(8) with its helpers for NFS, and who keeps a share busy. */
#define MOUNTS (FILES | USERS | BIT(CAP_SYS_ADMIN) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_PTRACE))

uint64_t privileges_of_job(enum job j)
{
    switch (j) {
    case JOB_INTAKE_OPEN: case JOB_INTAKE_CLOSE:
    case JOB_ADDRESS_START: case JOB_ADDRESS_STOP: case JOB_ADDRESS_MONITOR: return NETWORK;
    case JOB_SERVICE_START: case JOB_SERVICE_STOP: case JOB_SERVICE_MONITOR: case JOB_SERVICE_RELEASE:
    case JOB_SERVICE_RESUME: return SERVICE;
    case JOB_FENCE_OFF: case JOB_FENCE_ON: case JOB_FENCE_STATUS: return FENCE;
    case JOB_SHARE_MOUNT: case JOB_SHARE_UMOUNT: return MOUNTS;
    case JOB_EPOCH_WATCH: case JOB_EPOCH_CLAIM: case JOB_EPOCH_OWN: case JOB_EPOCH_END: case JOB_EPOCH_DRAIN:
    case JOB_EPOCH_INIT: case JOB_EPOCH_MAINTAIN: case JOB_EPOCH_UNMAINTAIN: case JOB_STATE_CHECK: case JOB_STATE_RECOVER:
    case JOB_STATE_RETRY: case JOB_STATE_SYNC: case JOB_STATE_PROBE: case JOB_POKE: /* not as root */
    case JOB_UNITS_START: case JOB_UNITS_STOP: /* systemd asks for the user alone */
    case JOB_NONE: case JOB_N: return 0;
    }
    return 0;
}

uint64_t privileges_of_executor(bool mounts)
{
    return EXECUTOR | NETWORK | SERVICE | FENCE | (mounts ? MOUNTS : 0);
}

static int get(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };

    return syscall(SYS_capget, &head, data) < 0 ? -errno : 0;
}

static bool may_bound(const struct __user_cap_data_struct data[2])
{
    return (data[0].effective & (uint32_t) BIT(CAP_SETPCAP)) != 0;
}

int privileges_bound(uint64_t keep)
{
    struct __user_cap_data_struct data[2];
    int in, rc = get(data);

    if (rc < 0 || !may_bound(data))
        return rc;
    for (unsigned long c = 0; c < 64 && (in = prctl(PR_CAPBSET_READ, c, 0, 0, 0)) >= 0; c++) /* -1: the kernel knows no more */
        if (in == 1 && !(keep >> c & 1) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
            return -errno;
    return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ? -errno : 0;
}

int privileges_keep(uint64_t keep)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    int rc = get(data);

    if (rc < 0 || !may_bound(data)) /* what is only not permitted now comes back with the next exec */
        return rc;
    rc = privileges_bound(keep);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t part = (uint32_t) (keep >> (32 * i));
        data[i].permitted &= part; /* as much as a child may have: one that gained any would outlive us (PR_SET_PDEATHSIG) */
        data[i].effective &= part & (uint32_t) (EXECUTOR >> (32 * i));
        data[i].inheritable = 0;
    }
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}
