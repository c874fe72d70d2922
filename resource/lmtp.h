/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the LMTP runner greet? Nothing is sent that could reach the database. */
#ifndef UNDERSTUDY_LMTP_H
#define UNDERSTUDY_LMTP_H

#include <stdint.h>

/* Connects to an address of this host and waits for "220". The socket carries INTAKE_PROBE_MARK when we may set it,
 * so that it passes a closed intake. 0; -ECONNREFUSED nobody listens (yet); -ETIMEDOUT; -EPROTO another greeting;
 * -EINVAL `host` is no address. */
int lmtp_probe_greeting(const char *host, uint16_t port, unsigned timeout_ms);

#endif
