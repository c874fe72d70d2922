/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A message of another node: nothing of it is believed before its size, magic and version are right. */
#include <config.h>

#include "common/cpgmsg.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[CPGMSG_SIZE_MAX];
    struct cpgmsg m, back, untouched;

    memset(&m, 0x5a, sizeof m);
    untouched = m;
    if (cpgmsg_decode(data, size, &m) != 0) {
        PROMISE(memcmp(&m, &untouched, sizeof m) == 0);
        return 0;
    }
    size_t len = cpgmsg_encode(&m, again);
    PROMISE(len == size && len <= sizeof again);
    PROMISE(cpgmsg_decode(again, len, &back) == 0 && back.node == m.node && back.epoch == m.epoch && back.seq == m.seq);
    return 0;
}
