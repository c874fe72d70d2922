/* SPDX-License-Identifier: GPL-2.0-or-later */
/* JSON that is whole or not at all. jansson leaves out what it has no memory for, and does not always say so: a list of nodes
 * without one, an object without its end. */
#ifndef UNDERSTUDY_ENGINE_ANSWER_H
#define UNDERSTUDY_ENGINE_ANSWER_H

#include <stdbool.h>
#include <jansson.h>

/* Once, before anything of jansson's is called; all of that is one thread's. */
void answer_watch(void);
/* Whether jansson went without memory since the last call. */
bool answer_lost(void);
/* Takes `o`. NULL when it, or anything since the last answer_lost(), could not be made whole; else the caller's, by free(). */
char *answer_whole(json_t *o, size_t flags);
/* The same for a person who waits: never NULL, a sentence at worst. The caller gives it back by answer_free(). */
char *answer_text(json_t *o);
void  answer_free(char *text);

#endif
