/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the LMTP runner greet? Nothing is sent that could reach the database. */
#ifndef UNDERSTUDY_LMTP_H
#define UNDERSTUDY_LMTP_H

#include <stddef.h>
#include <stdint.h>

#define LMTP_GREETING_MIN 4 /* bytes: the code and what parts it from the words */

/* Connects to an address of this host and waits for "220". The socket carries INTAKE_PROBE_MARK when we may set it,
 * so that it passes a closed intake. 0; -ECONNREFUSED nobody listens (yet); -ETIMEDOUT; -EPROTO another greeting;
 * -EINVAL `host` is no address. */
int lmtp_probe_greeting(const char *host, uint16_t port, unsigned timeout_ms);

/* Split out for tests. What has been read so far, which nothing terminates: 0 it greets; -EAGAIN too little to say; -EPROTO
 * another greeting. And the reading of so much from a socket, until CLOCK_BOOTTIME is `until_ms`: errors as above. */
int lmtp_greeting_judge(const char *text, size_t len);
int lmtp_greeting_read(int fd, uint64_t until_ms);

#endif
