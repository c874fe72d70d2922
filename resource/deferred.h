/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the recovery pass of this node has put off, for a monitor: from the node's own disk, never from the share. */
#ifndef UNDERSTUDY_DEFERRED_H
#define UNDERSTUDY_DEFERRED_H

#include "resource/listuser.h"

/* A record with number, age and tries, if there is any; it is no failure of the list server's. The directory is the list user's, so
 * it is read as that user. */
void deferred_record(const struct listuser *u, const char *dir);

#endif
