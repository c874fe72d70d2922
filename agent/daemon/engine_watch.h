/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keeps `understudy-epoch watch` running: the one eye on the control share. A watch that hangs is killed, and a new
 * one is started only when it is reaped, so that there is never more than one of them on the share. */
#ifndef UNDERSTUDY_ENGINE_WATCH_H
#define UNDERSTUDY_ENGINE_WATCH_H

#include "daemon/engine_driver.h"
#include "daemon/engine_facts.h"
#include "daemon/engine_parse.h"

struct watch {
    struct driver      *driver;      /* borrowed, like facts */
    struct facts       *facts;
    struct watch_parser parser;
    uint64_t            op_id;       /* 0 = none under way */
    uint64_t            alive_ms;    /* when it was started or last reported */
    uint64_t            start_ms, next_ms;
    uint64_t            now_ms;      /* of the message being taken */
    uint64_t            nudge_ms;    /* when it was last nudged */
    bool                nudge_due, speaks; /* a nudge is to be sent; it has reported, so it expects one */
    unsigned            n_bad;       /* reports refused since the last good one */
    bool                reported;    /* a good report came from the message being taken */
};

void watch_init(struct watch *w, const struct config *cfg, struct driver *driver, struct facts *facts);
/* Starts, kills, restarts as needed; call at least every beat interval. */
void watch_tick(struct watch *w, uint64_t now_ms);
/* Its output; true when a whole report came: the core should look. */
bool watch_output(struct watch *w, const struct wire_output *out, uint64_t now_ms);
/* Lets it look now and not at its next interval: for when something on the share has probably changed, such as a peer's
 * message. At most once in 10 ms; one that comes too soon is sent as soon as it may be. Moves no beat's judgement. */
void watch_nudge(struct watch *w, uint64_t now_ms);
/* When a nudge that came too soon may be sent, by watch_tick(); UINT64_MAX = there is none. */
uint64_t watch_wakeup_ms(const struct watch *w);
/* It is reaped. */
void watch_done(struct watch *w, uint64_t now_ms);

#endif
