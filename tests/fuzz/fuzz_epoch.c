/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Names and texts below .understudy, which belongs to the daemon's user and lies on a server. */
#include <config.h>

#include "resource/epoch/epoch_file.h"
#include "tests/fuzz/fuzz.h"

static void file_try(const char *text, size_t len, enum epoch_kind kind)
{
    struct epoch_file f, g;
    char once[EPOCH_FILE_MAX], twice[EPOCH_FILE_MAX];

    if (epoch_file_parse(text, len, kind, &f) != 0)
        return;
    PROMISE(f.kind == kind);
    PROMISE(memchr(f.node, '\0', sizeof f.node) && memchr(f.cluster, '\0', sizeof f.cluster));
    PROMISE(!strpbrk(f.node, " \t\r\n") && !strpbrk(f.cluster, " \t\r\n") && !strpbrk(f.proofs, " \t\r\n"));
    size_t n = epoch_file_format(&f, once);
    PROMISE(n > 0 && n <= len && epoch_file_parse(once, n, kind, &g) == 0);
    PROMISE(epoch_file_format(&g, twice) == n && memcmp(once, twice, n) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *name = fuzz_text(data, size, 255);
    struct epoch_file f;
    enum epoch_name which;
    uint64_t n = 0;

    for (int kind = 0; kind < EPOCH_KIND_N; kind++)
        file_try((const char *)data, size, (enum epoch_kind)kind);
    if (epoch_file_parse_claim((const char *)data, size, &f) == 0)
        PROMISE(f.kind == EPOCH_BASE || f.kind == EPOCH_CLAIM);
    if (name && epoch_name_parse(name, &n, &which) == 0) {
        char again[64];
        (void)snprintf(again, sizeof again, "epoch.%llu%s", (unsigned long long)n, which == EPOCH_NAME_OWN ? ".own" :
                       which == EPOCH_NAME_END ? ".end" : "");
        PROMISE(strcmp(again, name) == 0); /* no second name for a number: not epoch.07, not epoch.+7 */
    }
    free(name);
    return 0;
}
