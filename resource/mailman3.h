/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:mailman3, inside. */
#ifndef UNDERSTUDY_MAILMAN3_H
#define UNDERSTUDY_MAILMAN3_H

#include "resource/listserver.h"

extern const struct ocf_about          mailman3_about;
extern const char                      mailman3_metadata[];
extern const struct listserver_starter mailman3_starter;

/* Parameters from the environment. OCF_SUCCESS, or a code with the sentence printed. Service points into *ret: it is not copied. */
enum ocf_code mailman3_params_read(struct listserver *ret);
/* What the host must have: user, files, programs. The same. */
enum ocf_code mailman3_host_check(const struct listserver *m);

#endif
