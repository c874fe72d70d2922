/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_answer.h"

#include <stdlib.h>

#include "common/banned.h"

static bool lost;
static char no_memory[] = "{\"ok\":false,\"error\":\"this node has no memory left for an answer. What was asked for may have been "
                          "begun all the same: free some memory, then look at `understudy status`\"}";

static void *watched_malloc(size_t size)
{
    void *ret = malloc(size);

    lost = lost || !ret;
    return ret;
}

void answer_watch(void)
{
    json_set_alloc_funcs(watched_malloc, free);
}

bool answer_lost(void)
{
    bool ret = lost;

    lost = false;
    return ret;
}

char *answer_whole(json_t *o, size_t flags)
{
    char *text = o ? json_dumps(o, flags | JSON_PRESERVE_ORDER) : NULL;

    json_decref(o);
    if (!answer_lost())
        return text;
    free(text);
    return NULL;
}

char *answer_text(json_t *o)
{
    char *text = answer_whole(o, JSON_COMPACT);

    return text ? text : no_memory;
}

void answer_free(char *text)
{
    if (text != no_memory)
        free(text);
}
