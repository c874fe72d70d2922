/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Layout, little endian: magic 4, version 2, length 2, then the fields of struct cpgmsg in order, then the number
 * of digests (4) and the digests (4 each). Nothing may follow. */
#include <config.h>

#include "common/cpgmsg.h"

#include <errno.h>
#include <string.h>

#include "common/banned.h"

#define MAGIC       UINT32_C(0x50435355) /* "USCP" */
#define FIXED_SIZE  (4 + 2 + 2 + 8 + 4 + 16 + 8 + 8 + 8 + 8 + 4 + 4 + 4)

_Static_assert(FIXED_SIZE + 4 * CONFIG_SAFETY_KEYS_MAX <= CPGMSG_SIZE_MAX, "the largest message fits");

struct cursor { uint8_t *p; const uint8_t *r; };

static void put(struct cursor *c, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *c->p++ = (uint8_t) (v >> (8 * i));
}

static uint64_t get(struct cursor *c, unsigned bytes)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t) *c->r++ << (8 * i);
    return v;
}

size_t cpgmsg_encode(const struct cpgmsg *m, uint8_t *buf)
{
    unsigned n = m->digest.n < CONFIG_SAFETY_KEYS_MAX ? m->digest.n : CONFIG_SAFETY_KEYS_MAX;
    size_t len = FIXED_SIZE + 4u * (size_t) n;
    struct cursor c = { .p = buf };

    put(&c, MAGIC, 4);
    put(&c, CPGMSG_VERSION, 2);
    put(&c, len, 2);
    put(&c, m->cluster, 8);
    put(&c, m->node, 4);
    put(&c, m->boot.hi, 8);
    put(&c, m->boot.lo, 8);
    put(&c, m->run, 8);
    put(&c, m->ring, 8);
    put(&c, m->epoch, 8);
    put(&c, m->seq, 8);
    put(&c, m->flags, 4);
    put(&c, m->state, 4);
    put(&c, n, 4);
    for (unsigned i = 0; i < n; i++)
        put(&c, m->digest.value[i], 4);
    return len;
}

/* The envelope: everything that says whether the rest may be read at all. */
static int check_envelope(struct cursor *c, size_t len)
{
    if (len < FIXED_SIZE || len > CPGMSG_SIZE_MAX || get(c, 4) != MAGIC)
        return -EBADMSG;
    if (get(c, 2) != CPGMSG_VERSION)
        return -EPROTONOSUPPORT;
    return get(c, 2) == len ? 0 : -EBADMSG;
}

int cpgmsg_decode(const uint8_t *buf, size_t len, struct cpgmsg *ret)
{
    struct cursor c = { .r = buf };
    struct cpgmsg m;
    int rc = check_envelope(&c, len);

    if (rc < 0)
        return rc;
    memset(&m, 0, sizeof m);
    m.cluster = get(&c, 8);
    m.node = (uint32_t) get(&c, 4);
    m.boot.hi = get(&c, 8);
    m.boot.lo = get(&c, 8);
    m.run = get(&c, 8);
    m.ring = get(&c, 8);
    m.epoch = get(&c, 8);
    m.seq = get(&c, 8);
    m.flags = (uint32_t) get(&c, 4);
    m.state = (uint32_t) get(&c, 4);
    m.digest.n = (uint32_t) get(&c, 4);
    if (m.digest.n > CONFIG_SAFETY_KEYS_MAX || len != FIXED_SIZE + 4u * (size_t) m.digest.n)
        return -EBADMSG;
    for (unsigned i = 0; i < m.digest.n; i++)
        m.digest.value[i] = (uint32_t) get(&c, 4);
    *ret = m;
    return 0;
}

uint64_t cpgmsg_cluster_hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

    for (; *name; name++)
        h = (h ^ (uint8_t) *name) * UINT64_C(0x100000001b3);
    return h;
}
