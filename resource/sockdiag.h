/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What TCP sessions at a local port have received and nobody has read, by sock_diag. Answered by the kernel at once. */
#ifndef UNDERSTUDY_SOCKDIAG_H
#define UNDERSTUDY_SOCKDIAG_H

#include <stddef.h>
#include <stdint.h>

/* Sessions with unread bytes, of both IP versions. A session whose peer has closed counts when there is more than the
 * end of it. 0 or -errno. */
int sockdiag_unread(uint16_t port, unsigned *ret_sessions);

/* Split out for tests. One datagram of the kernel's answer to request `seq` from `portid`: adds to *sessions. More than 0: there is
 * more to come; 0 the end; -1 with errno. */
int sockdiag_parse(const void *buf, size_t len, unsigned seq, unsigned portid, uint16_t port, unsigned *sessions);

#endif
