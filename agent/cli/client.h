/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One question to the engine over libqb IPC. */
#ifndef UNDERSTUDY_CLIENT_H
#define UNDERSTUDY_CLIENT_H

/* Sends `text` to `service` and waits for the answer, `timeout_ms` in all. Returns 0 and malloc'd text in `ret`, which
 * the caller frees; -ETIMEDOUT when nobody answers; -EACCES when we may not connect; -ENOENT, -ECONNREFUSED when
 * nobody is there; -EPERM when the process at the other end runs neither as root nor as `user`: it is not ours. */
int client_ask(const char *service, const char *user, const char *text, int timeout_ms, char **ret);

#endif
