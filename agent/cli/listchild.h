/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs that look at the list server for a command: as the list user, with a deadline, their output kept. Root
 * itself touches no share; whatever hangs there hangs in the child. */
#ifndef UNDERSTUDY_LISTCHILD_H
#define UNDERSTUDY_LISTCHILD_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"

#define LISTCHILD_OUT_MAX (1024u * 1024u)
#define LISTCHILD_ERR_MAX 4096u

struct listchild {
    char  *out;                     /* malloc'd and terminated; the caller frees it */
    size_t out_len;
    char   err[LISTCHILD_ERR_MAX];  /* terminated; the only control characters in it are line ends */
    int    truncated;               /* stdout had more than LISTCHILD_OUT_MAX */
};

/* Runs argv (argv[0] absolute) as the list user when called by root, else as whoever calls. Its exit status 0..255, or
 * 128 + signal; -ETIMEDOUT when it had not ended after `limit_ms` (it is killed, and left if it hangs in the kernel);
 * -ENOENT no such user; another -errno. `ret->out` is valid in each case, maybe NULL. */
int listchild_run(const struct config *cfg, char *const argv[], uint32_t limit_ms, struct listchild *ret);

#endif
