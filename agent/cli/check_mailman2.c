/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mailman 2's own configuration, mm_cfg.py, against ours. It is Python and is not run: of its lines NAME = 'text' the last one
 * counts, and what is put together there is passed over. */
#include <config.h>

#include "cli/check_host.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/banned.h"

/* The text between the quotes behind "NAME =" at the begin of `line`, or false. Anything behind them but a comment: not a text. */
static bool value_take(const char *line, size_t len, const char *name, char *ret, size_t size)
{
    size_t n = strlen(name), at = n, value = 0;

    if (len < n || memcmp(line, name, n) != 0)
        return false;
    while (at < len && line[at] == ' ')
        at++;
    if (at >= len || line[at++] != '=')
        return false;
    while (at < len && line[at] == ' ')
        at++;
    if (at >= len || (line[at] != '\'' && line[at] != '"'))
        return false;
    char quote = line[at++];
    for (; at < len && line[at] != quote; at++) {
        if (value + 1 >= size || line[at] == '\\' || iscntrl((unsigned char)line[at]))
            return false;
        ret[value++] = line[at];
    }
    ret[value] = '\0';
    if (at >= len)
        return false;
    for (at++; at < len && line[at] != '#'; at++)
        if (!isspace((unsigned char)line[at]))
            return false;
    return true;
}

/* "" = it is not there as a text. */
static void value_find(const char *text, const char *name, char *ret, size_t size)
{
    char found[CONFIG_TEXT_MAX];

    ret[0] = '\0';
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (value_take(line, strcspn(line, "\n"), name, found, sizeof found))
            (void)snprintf(ret, size, "%s", found);
}

static bool is_this_host(const struct config_node *n, const char *host)
{
    return !host[0] || !strcasecmp(host, "localhost") || !strncmp(host, "127.", 4) || !strcmp(host, "::1")
        || !strcasecmp(host, n->fqdn) || !strcasecmp(host, n->hostname);
}

unsigned check_mailman2(const struct config *cfg, unsigned self, const char *mm_cfg, FILE *out)
{
    const struct config_listserver *mm = &cfg->list;
    const struct { const char *name, *key, *ours; } dirs[] = {
        { "LOCK_DIR", "lock_dir", mm->lock_dir }, { "QUEUE_DIR", "queue_dir", mm->queue_dir },
        { "LIST_DATA_DIR", "list_dir", mm->list_dir }, { "DATA_DIR", "data_dir", mm->data_dir },
        { "VAR_PREFIX", "var_prefix", mm->var_prefix }, { "PREFIX", "prefix", mm->prefix },
    };
    char     value[CONFIG_TEXT_MAX];
    unsigned n = 0;

    value_find(mm_cfg, "SMTPHOST", value, sizeof value);
    if (is_this_host(&cfg->nodes[self], value)) {
        (void)fprintf(out, "%s: warning: SMTPHOST of mm_cfg.py is '%s'; mail handed to a relay on a node dies with its disk; "
                      "set it to a relay that is not a node\n", cfg->path, value[0] ? value : "localhost");
        n++;
    }
    for (unsigned i = 0; i < sizeof dirs / sizeof dirs[0]; i++) {
        value_find(mm_cfg, dirs[i].name, value, sizeof value);
        if (!value[0] || !strcmp(value, dirs[i].ours))
            continue;
        (void)fprintf(out, "%s: warning: %s is %s by mm_cfg.py, but %s is %s here; another place would be looked after than "
                      "the list server works in; make them the same\n", cfg->path, dirs[i].name, value, dirs[i].key, dirs[i].ours);
        n++;
    }
    return n;
}
