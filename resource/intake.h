/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Intake: whether mail may come in over LMTP. Closed: a new connection to the port gets a reset, and an established
 * session gets no more payload, while its bare ACKs pass, so that a runner finishes what it has and takes nothing
 * new (facts: Stop at a safe point). One chain a port in the nft table inet understudy_intake. */
#ifndef UNDERSTUDY_INTAKE_H
#define UNDERSTUDY_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The agent's own probes of the greeting carry this socket mark and pass a closed intake over loopback. Setting a
 * mark takes CAP_NET_ADMIN or CAP_NET_RAW, so that nobody else's mail gets in that way. */
#define INTAKE_PROBE_MARK 0x75735459u

/* Mailman's LMTP runner connects to itself once while it starts and dies when it cannot: connections over loopback
 * from processes of `own_uid` pass too. INTAKE_NO_UID = nobody's. */
#define INTAKE_NO_UID ((uid_t)-1)

/* Both are one nft transaction and idempotent. 0; -errno; -EREMOTEIO when nft refused, its words went to stderr. */
int intake_close(uint16_t port, uid_t own_uid);
int intake_open(uint16_t port);
/* Is the chain there? The same errors. */
int intake_status(uint16_t port, bool *ret_closed);

/* The rules that close `port`, as nft reads them. Returns the length, or -ENOSPC. Split out for tests. */
int intake_rules_write(uint16_t port, uid_t own_uid, char *buf, size_t size);

#endif
