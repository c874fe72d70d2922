/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys whose value is more than one thing: nodes, runners, parameters of fence devices. */
#include <config.h>

#include "common/config_private.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "common/num.h"

#include "common/banned.h"

void config_set_nodes(struct config *c, const char *text, unsigned line, struct config_mistakes *m)
{
    char word[CONFIG_NAME_MAX];
    int len;

    c->n_nodes = 0;
    while ((len = config_word_next(&text, word, sizeof word)) != 0) {
        if (len < 0 || !config_name_ok(word)) {
            config_mistake(m, line, "'nodes' has something that is not a node's name; names are of letters, digits, "
                           "'.', '_' and '-'; separate them by blanks");
            return;
        }
        if (config_node_by_name(c, word) >= 0) {
            config_mistake(m, line, "'nodes' names %s twice; each node has one place in the order; remove one", word);
            continue;
        }
        if (c->n_nodes == CONFIG_NODES_MAX) {
            config_mistake(m, line, "'nodes' has more than %d names; that many are not supported; remove some",
                           CONFIG_NODES_MAX);
            return;
        }
        memcpy(c->nodes[c->n_nodes++].name, word, sizeof word);
    }
    if (c->n_nodes == 0)
        config_mistake(m, line, "'nodes' is empty; the first one claims first when all boot; name the nodes");
}

/* In Mailman 3 a runner has the name of its queue; in 2.1 it is named after its class (facts E). */
const char *config_runner_queue(enum config_list_kind kind, const char *name)
{
    static const char *const known[][2] = {
        { "ArchRunner", "archive" }, { "BounceRunner", "bounces" }, { "CommandRunner", "commands" }, { "IncomingRunner", "in" },
        { "NewsRunner", "news" }, { "OutgoingRunner", "out" }, { "VirginRunner", "virgin" }, { "RetryRunner", "retry" },
    };

    if (kind == LIST_MAILMAN3)
        return name;
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i][0], name) == 0)
            return known[i][1];
    return "";
}

/* NAME or NAME:SLICES */
static bool runner_parse(enum config_list_kind kind, char *word, struct config_runner *ret)
{
    uint32_t slices = 1;
    char *colon = strchr(word, ':');

    if (colon) {
        *colon = '\0';
        if (num_parse_u32(colon + 1, 1, 64, &slices) < 0 || (slices & (slices - 1)) != 0)
            return false;
    }
    if (!config_name_ok(word))
        return false;
    memcpy(ret->name, word, strlen(word) + 1);
    (void) snprintf(ret->queue, sizeof ret->queue, "%s", config_runner_queue(kind, word));
    ret->slices = slices;
    return true;
}

void config_set_runners(struct config_listserver *mm, const char *text, unsigned line, struct config_mistakes *m)
{
    char word[CONFIG_NAME_MAX];
    int len;

    mm->n_runners = 0;
    while ((len = config_word_next(&text, word, sizeof word)) != 0) {
        if (mm->n_runners == CONFIG_RUNNERS_MAX) {
            config_mistake(m, line, "'runners' has more than %d names; that many are not supported; remove some",
                           CONFIG_RUNNERS_MAX);
            return;
        }
        if (len < 0 || !runner_parse(mm->kind, word, &mm->runners[mm->n_runners])) {
            config_mistake(m, line, "'runners' has a word that is neither NAME nor NAME:SLICES with a power of two up "
                           "to 64; each word is one runner of %s; correct it",
                           mm->kind == LIST_MAILMAN3 ? "mailman.cfg" : "QRUNNERS in mm_cfg.py");
            return;
        }
        for (unsigned i = 0; i < mm->n_runners; i++)
            if (strcmp(mm->runners[i].name, word) == 0)
                config_mistake(m, line, "'runners' names %s twice; two runners of one name would work on the same "
                               "queue; remove one", word);
        mm->n_runners++;
    }
}

static bool param_key_ok(const char *key)
{
    if (!*key)
        return false;
    for (; *key; key++)
        if (!islower((unsigned char) *key) && !isdigit((unsigned char) *key) && *key != '_' && *key != '-')
            return false;
    return true;
}

/* Parameters that may not stand in the configuration, with the reason. */
static const char *param_forbidden(const char *key, const char *text)
{
    static const char *const secrets[] = { "passwd", "password", "snmp_priv_passwd", "snmp-priv-passwd", "secret" };

    for (unsigned i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (strcmp(key, secrets[i]) == 0)
            return "this file is readable by others; put it into secret_file as a line 'passwd=...'";
    if (strcmp(key, "action") == 0 || strcmp(key, "option") == 0)
        return "understudy itself says what the device has to do; remove it";
    if (strcmp(key, "method") == 0 && strcasecmp(text, "cycle") == 0)
        return "after a cycle nobody has seen the node off; use onoff";
    return NULL;
}

void config_set_param(struct config_device *d, const char *key, const char *text, unsigned line,
                      struct config_mistakes *m)
{
    const char *name = key + strlen("param_");
    const char *why = param_forbidden(name, text);

    if (!param_key_ok(name) || !config_plain_ok(text) || strlen(name) >= CONFIG_NAME_MAX || strlen(text) >= CONFIG_TEXT_MAX) {
        config_mistake(m, line, "'%s' cannot be passed to a fence program; names are of small letters, digits, '_' "
                       "and '-', values plain text, and neither may be too long; correct it", key);
    } else if (why) {
        config_mistake(m, line, "'%s' is not allowed; %s", key, why);
    } else if (d->n_params == CONFIG_PARAMS_MAX) {
        config_mistake(m, line, "'%s' is one parameter too many; at most %d are passed on; remove some", key,
                       CONFIG_PARAMS_MAX);
    } else {
        struct config_param *p = &d->params[d->n_params++];
        memcpy(p->key, name, strlen(name) + 1);
        memcpy(p->value, text, strlen(text) + 1);
    }
}
