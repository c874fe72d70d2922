/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which changes of the configuration a running daemon may take up: times and limits that nothing under way rests on. */
#include <config.h>

#include "common/config_private.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"

static const char *const reloadable[] = {
    "start_timeout", "list_reserve", "monitor_interval", "failure_window", "max_failures", "max_restarts", "release_timeout",
    "after_fence", "dad", "timeout", "secret_file", "password_file",
};

static bool may_change(const char *key)
{
    for (unsigned i = 0; i < sizeof reloadable / sizeof reloadable[0]; i++)
        if (strcasecmp(key, reloadable[i]) == 0)
            return true;
    return false;
}

static bool is_text(enum config_type t)
{
    return t == CT_NAME || t == CT_TEXT || t == CT_PATH || t == CT_AGENT || t == CT_CIDR || t == CT_HOST;
}

static const char *section_change(const struct config_section *s, const void *a, const void *b)
{
    for (unsigned i = 0; i < s->n_fields; i++) {
        const struct config_field *f = &s->fields[i];
        const char *x = (const char *) a + f->offset, *y = (const char *) b + f->offset;
        bool same = is_text(f->type) ? strcmp(x, y) == 0 : memcmp(x, y, f->size) == 0;
        if (!same && !may_change(f->key))
            return f->key;
    }
    return NULL;
}

const char *config_reload_obstacle(const struct config *running, const struct config *next)
{
    struct config_digest a, b;
    const char *key = NULL;

    config_digest(running, &a);
    config_digest(next, &b);
    for (unsigned i = 0; i < a.n; i++)
        if (a.value[i] != b.value[i])
            return config_digest_key(i);
    key = section_change(&config_section_cluster, running, next);
    if (!key)
        key = section_change(&config_section_address, running, next);
    if (!key)
        key = section_change(config_section_list(running), &running->list, &next->list);
    return key;
}
