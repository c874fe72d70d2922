/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The reports of `understudy-epoch watch`, which has looked at a share for the engine. */
#include <config.h>

#include "daemon/engine_parse.h"
#include "tests/fuzz/fuzz.h"

static const struct config cfg = { .n_nodes = 2, .nodes = { { .name = "a", .id = 1 }, { .name = "b", .id = 2 } } };

static void line_take(void *ctx, const char *line, size_t len)
{
    struct watch_parser *p = ctx;

    if (watch_parser_line(p, line, len) != WATCH_REPORT)
        return;
    const struct watch_report *r = &p->r;
    PROMISE(r->n_listed <= CORE_EPOCHS && r->n_listed <= r->n_open);
    for (unsigned i = 0; i < r->n_listed; i++) {
        PROMISE(r->open[i].node < 2 || r->open[i].node == CORE_NODE_NONE || r->open[i].node >= CORE_NODES);
        PROMISE(r->open[i].n <= r->highest && !r->open[i].ended);
        PROMISE(i == 0 || r->open[i].n > r->open[i - 1].n);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct watch_parser p;
    static struct record_lines lines;

    watch_parser_init(&p, &cfg);
    memset(&lines, 0, sizeof lines);
    size_t half = size / 2; /* as it comes from a pipe */
    record_lines_feed(&lines, (const char *)data, half, line_take, &p);
    record_lines_feed(&lines, (const char *)data + half, size - half, line_take, &p);
    return 0;
}
