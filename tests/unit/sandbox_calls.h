/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UNDERSTUDY_SANDBOX_CALLS_H
#define UNDERSTUDY_SANDBOX_CALLS_H

struct sandbox_call {
    const char *name;
    void      (*call)(void);
    unsigned    allowed; /* for these profiles, as bits */
};

extern const struct sandbox_call sandbox_calls[]; /* ends with a NULL name */

void sandbox_do_create(void);
void sandbox_do_execve(void);
void sandbox_do_sleep(void);

#endif
