/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals to processes of Mailman that were judged before: never to another one that got such a pid meanwhile. */
#ifndef UNDERSTUDY_MAILMAN3_KILL_H
#define UNDERSTUDY_MAILMAN3_KILL_H

#include "resource/mailman3.h"

enum mailman3_signal {
    MAILMAN3_KILL,           /* runners, commands, then masters */
    MAILMAN3_KILL_SERVICE,   /* the same without the commands: what they do may not be repeated by anyone */
    MAILMAN3_CONTINUE,       /* SIGCONT to all of them */
};

/* To those of `seen` that a second scan finds again. 0 or -errno of /proc or of a signal. */
int mailman3_signal(const struct mailman3 *m, const struct listproc_list *seen, enum mailman3_signal what);

/* `mailman stop` by hand signals whatever process the file names. Only below /run: elsewhere might be the share. */
void mailman3_pid_file_remove(const struct mailman3 *m);

#endif
