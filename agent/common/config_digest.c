/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lookups, and the digest over the safety keys: those in which a difference between two nodes could end in two
 * active ones, or in a takeover that goes wrong (design: What the operator sees). */
#include <config.h>

#include "common/config.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/banned.h"

#define FNV_SEED UINT32_C(2166136261)

static uint32_t add_bytes(uint32_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT32_C(16777619);
    return h;
}

/* With its end, so that "ab" "c" differs from "a" "bc". */
static uint32_t add_text(uint32_t h, const char *text)
{
    return add_bytes(h, text, strlen(text) + 1);
}

static uint32_t add_u32(uint32_t h, uint32_t v)
{
    uint8_t b[4] = { (uint8_t) v, (uint8_t) (v >> 8), (uint8_t) (v >> 16), (uint8_t) (v >> 24) };

    return add_bytes(h, b, sizeof b);
}

static uint32_t digest_nodes(const struct config *c)
{
    uint32_t h = add_u32(FNV_SEED, c->n_nodes);

    for (unsigned i = 0; i < c->n_nodes; i++) {
        h = add_text(h, c->nodes[i].name);
        h = add_text(h, c->nodes[i].hostname);
        h = add_text(h, c->nodes[i].fqdn);
        h = add_u32(h, c->nodes[i].id);
    }
    return h;
}

static uint32_t digest_fence(const struct config *c)
{
    uint32_t h = add_u32(FNV_SEED, c->n_devices);

    for (unsigned i = 0; i < c->n_devices; i++) {
        const struct config_device *d = &c->devices[i];
        h = add_text(h, d->name);
        h = add_u32(h, d->node);
        h = add_u32(h, d->level);
        h = add_text(h, d->agent);
        for (unsigned k = 0; k < d->n_params; k++)
            h = add_text(add_text(h, d->params[k].key), d->params[k].value);
    }
    return h;
}

static uint32_t digest_insecure(const struct config *c)
{
    return add_u32(FNV_SEED, c->insecure_cluster);
}

#define TEXT(name, member) { name, offsetof(struct config, member), false, NULL }
#define TIME(name, member) { name, offsetof(struct config, member), true, NULL }
#define CALC(name, function) { name, 0, false, function }

static const struct safety_key {
    const char *name;
    size_t      offset;
    bool        number;
    uint32_t  (*calculate)(const struct config *c);
} keys[] = {
    TEXT("name", cluster), TEXT("service", service), TEXT("control_share", control_share),
    CALC("nodes", digest_nodes), CALC("fence", digest_fence),
    TIME("beat_interval", beat_interval_ms), TIME("share_deadline", share_deadline_ms),
    TIME("share_patience", share_patience_ms), TIME("claim_patience", claim_patience_ms),
    TIME("drain", drain_ms), TIME("power_wait", power_wait_ms), TIME("stop_timeout", stop_timeout_ms),
    TIME("permit_timeout", permit_timeout_ms),
    TEXT("ip", address_ip), TEXT("user", list.user), TEXT("config", list.config),
    TEXT("lock_dir", list.lock_dir), TEXT("queue_dir", list.queue_dir),
    TEXT("runners", list.runners_text), TEXT("lmtp_host", list.intake_host),
    CALC("insecure_cluster", digest_insecure),
    TEXT("generation", list.generation), TEXT("prefix", list.prefix), TEXT("list_dir", list.list_dir),
};

#define N_KEYS (sizeof keys / sizeof keys[0])
_Static_assert(N_KEYS <= CONFIG_SAFETY_KEYS_MAX, "every safety key has its place in the message");

void config_digest(const struct config *c, struct config_digest *ret)
{
    memset(ret, 0, sizeof *ret);
    for (unsigned i = 0; i < N_KEYS; i++) {
        const char *member = (const char *) c + keys[i].offset;
        uint32_t v;

        if (keys[i].calculate) {
            ret->value[i] = keys[i].calculate(c);
        } else if (keys[i].number) {
            memcpy(&v, member, sizeof v);
            ret->value[i] = add_u32(FNV_SEED, v);
        } else {
            ret->value[i] = add_text(FNV_SEED, member);
        }
    }
    ret->n = N_KEYS;
}

const char *config_digest_key(unsigned i)
{
    return i < N_KEYS ? keys[i].name : NULL;
}

int config_node_by_name(const struct config *c, const char *name)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i].name, name) == 0)
            return (int) i;
    return -ENOENT;
}

int config_node_by_id(const struct config *c, uint32_t id)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (c->nodes[i].id == id)
            return (int) i;
    return -ENOENT;
}

int config_self(const struct config *c)
{
    char name[256];

    if (gethostname(name, sizeof name) < 0)
        return -errno;
    name[sizeof name - 1] = '\0';
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (strcmp(c->nodes[i].hostname, name) == 0)
            return (int) i;
    return -ENOENT;
}
