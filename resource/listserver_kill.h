/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Signals to processes of Mailman that were judged before: never to another one that got such a pid meanwhile. */
#ifndef UNDERSTUDY_LISTSERVER_KILL_H
#define UNDERSTUDY_LISTSERVER_KILL_H

#include "resource/listserver.h"

enum listserver_signal {
    LISTSERVER_KILL,           /* runners, commands, then masters */
    LISTSERVER_KILL_SERVICE,   /* the same without the commands: what they do may not be repeated by anyone */
    LISTSERVER_CONTINUE,       /* SIGCONT to all of them */
};

/* To those of `seen` that a second scan finds again. 0 or -errno of /proc or of a signal. */
int listserver_signal(const struct listserver *m, const struct listproc_list *seen, enum listserver_signal what);

/* `mailman stop` by hand signals whatever process the file names. Only below /run: elsewhere might be the share. */
void listserver_pid_file_remove(const struct listserver *m);

#endif
