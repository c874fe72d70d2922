/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling MX hosts by SMTP (ETRN, RFC 1985) that what they keep for some domains can be delivered now. */
#ifndef UNDERSTUDY_POKE_H
#define UNDERSTUDY_POKE_H

#include <stdint.h>

#include "common/config.h"

/* Asks all hosts at the same time, each for one domain after the other, until `until_ms` (clock.h), and prints a
 * record for each pair on stdout, for those that went wrong also a sentence on stderr. `helo` names this host.
 * The number of pairs that got no 2xx, or -ENOMEM. */
int poke_all(const struct config_mail *mail, const char *helo, uint64_t until_ms);

#endif
