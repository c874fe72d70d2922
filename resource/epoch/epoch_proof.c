/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/epoch/epoch_proof.h"

#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "resource/epoch/epoch.h"

#include "common/banned.h"

static const struct { const char *name; bool covers; } words[] = {
    { "none", false }, { "not-needed", false }, { "ended", false },
    { "off", true }, { "rebooted", true }, { "denied", true }, { "acknowledged", true },
};

static const char *word_find(const char *text, size_t len)
{
    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].name) == len && !memcmp(words[i].name, text, len))
            return words[i].name;
    return NULL;
}

static int node_find(const struct config *cfg, const char *text, size_t len)
{
    for (unsigned i = 0; i < cfg->n_nodes; i++)
        if (strlen(cfg->nodes[i].name) == len && !memcmp(cfg->nodes[i].name, text, len))
            return (int)i;
    return -1;
}

int epoch_proofs_parse(const struct config *cfg, const char *self, const char *text, struct epoch_proofs *ret)
{
    struct epoch_proofs p = { .cfg = cfg };

    if (strlen(text) >= CONFIG_TEXT_MAX)
        return epoch_fail(EXIT_USAGE, "--proof is too long");
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ","), name = strcspn(at, "=");
        const char *word = name < len ? word_find(at + name + 1, len - name - 1) : NULL;
        int node = name < len ? node_find(cfg, at, name) : -1;

        if (node < 0 || !word || p.proof[node])
            return epoch_fail(EXIT_USAGE, "--proof: '%.*s' is not NODE=PROOF with a node of the configuration, once each, "
                              "and one of none not-needed off ended rebooted denied acknowledged", (int)len, at);
        p.proof[node] = word;
        at += len;
        at += *at == ',';
    }
    for (unsigned i = 0; i < cfg->n_nodes; i++)
        if (strcmp(cfg->nodes[i].name, self) && (!p.proof[i] || !strcmp(p.proof[i], "none")))
            return epoch_fail(EXIT_USAGE, "--proof: there is none for node %s, and a tenure rests on one for each other "
                              "node", cfg->nodes[i].name);
    *ret = p;
    return EXIT_DONE;
}

const char *epoch_proof_text(const struct epoch_proofs *p, const char *node)
{
    int i = config_node_by_name(p->cfg, node);

    return i < 0 || !p->proof[i] ? "none" : p->proof[i];
}

bool epoch_proof_covers(const struct epoch_proofs *p, const char *node)
{
    const char *text = epoch_proof_text(p, node);

    for (unsigned i = 0; i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(words[i].name, text))
            return words[i].covers;
    return false;
}
