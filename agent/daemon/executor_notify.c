/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/executor.h"

#ifdef HAVE_SYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include "common/banned.h"

void exec_notify(const char *state)
{
#ifdef HAVE_SYSTEMD
    (void) sd_notify(0, state); /* nothing to do, and no error, without NOTIFY_SOCKET */
#else
    (void) state;
#endif
}
