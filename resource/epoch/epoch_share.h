/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Is this the control share that the configuration means? Mount point, type and source from mountinfo, owner and
 * mode of .understudy, the identity's cluster. Asked anew for each listing: a share can be taken away at any time. */
#ifndef UNDERSTUDY_EPOCH_SHARE_H
#define UNDERSTUDY_EPOCH_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/cpgmsg.h"

/* Nothing in here is owned by the list user; NULL `why` = it is the right one. */
struct epoch_share {
    int         fd;        /* of .understudy, or -1 */
    uid_t       owner;     /* of .understudy; every file in it must have the same */
    struct id128 uuid;     /* of the identity; zero = none */
    const char *why;       /* a word: what is wrong with the share */
    const char *call;      /* after a failure: which call it was */
};

struct epoch_mount {
    char fstype[CONFIG_NAME_MAX];
    char source[CONFIG_TEXT_MAX];
    char point[CONFIG_TEXT_MAX];
};

/* Finds the mount with that id in a text like /proc/self/mountinfo. 0, -ENOENT, or -EBADMSG. */
int epoch_mount_find(FILE *mountinfo, uint64_t id, struct epoch_mount *ret);

/* Opens .understudy and checks all but the identity. 0 when the share answered: ret->why says whether it is the right
 * one. -errno when it did not answer properly. epoch_share_close() takes either. */
int  epoch_share_open(const struct config *cfg, struct epoch_share *ret);
/* Reads the identity, into s->uuid or s->why. 0 or -errno. */
int  epoch_share_identify(const struct config *cfg, struct epoch_share *s);
void epoch_share_close(struct epoch_share *s);

/* Reads a file of .understudy: regular, of the share's owner, writable for nobody else, at most 4 KiB. 0, -ENOENT,
 * -EBADMSG for one that must not be there in this form, or another -errno. */
int epoch_share_read(const struct epoch_share *s, const char *name, char *buf, size_t size, size_t *ret_len);

/* Looks understudy's user up, once: that may ask a directory server, which the sandbox does not allow later. For who runs
 * this by hand; the executor runs it as that very user. */
void epoch_share_find_user(void);

/* For root, who may run this by hand (after epoch_share_find_user): becomes understudy's user when .understudy belongs to
 * it, so that no file is made there that the other programs could not trust. 0 or -errno. */
int epoch_share_become_owner(const struct config *cfg);

#endif
