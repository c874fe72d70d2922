/* SPDX-License-Identifier: GPL-2.0-or-later */
/* epoch.max: the highest epoch that this node has ever seen, on its own disk, so that a share which has lost epochs is
 * noticed; and the identity of the share that they were seen on (design: Epochs). */
#ifndef UNDERSTUDY_EPOCH_LOCAL_H
#define UNDERSTUDY_EPOCH_LOCAL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/cpgmsg.h"

struct epoch_local {
    uint64_t     max;   /* 0 also when nothing was ever seen */
    struct id128 uuid;  /* zero = none was ever seen */
};

/* 0 (all zero when there is no such file), -EBADMSG malformed, or another -errno. */
int epoch_local_read(const char *dir, struct epoch_local *ret);

/* Makes it at least `n`, durably; never lower, also when two of our processes do it at once. 0 and the present values
 * in `ret`; -EBADMSG malformed; or another -errno. */
int epoch_local_raise(const char *dir, uint64_t n, const struct id128 *uuid, struct epoch_local *ret);

/* epoch.checked: up to which number watch has read everything and found it ended. Such files never change, so that a
 * claim, which is in a hurry, need not read them over a network again. Not durable; 0 when there is none for `uuid`. */
uint64_t epoch_local_checked(const char *dir, const struct id128 *uuid);
int      epoch_local_check(const char *dir, uint64_t n, const struct id128 *uuid);

#endif
