/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is told: line records for the engine, or JSON for people and scripts. */
#ifndef UNDERSTUDY_STATE_OUT_H
#define UNDERSTUDY_STATE_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "resource/state/defer.h"
#include "resource/state/lock.h"
#include "resource/state/state.h"

struct slice_counts {
    uint64_t pck, bak;
    uint64_t oldest_ms;     /* age of the oldest entry by its name and our clock */
    uint64_t bak_ms;        /* how long the .bak has been one; the longest */
};

struct queue_counts {
    uint64_t pck, bak, tmp;
    uint64_t faulty;        /* ill-named, empty or truncated .pck and .bak, and .tmp */
    uint64_t quarantined;
    uint64_t last_chance, parked; /* see struct state_totals */
    uint64_t unchecked;     /* whose last byte was not looked at for want of time */
    uint64_t oldest_ms;     /* age of the oldest entry by its name and our clock */
    uint64_t held;          /* shunt and bad: entries that lie there */
};

void state_out_begin(bool json);
void state_out_lock(const struct lock_file *f, const char *action);
void state_out_queue(const char *name, const struct queue_counts *c);
/* After its queue. */
void state_out_slice(const char *queue, unsigned slice, unsigned slices, const struct slice_counts *c);
void state_out_synced(unsigned file_systems, uint64_t took_ms);
void state_out_room(const struct state_room *room, uint64_t took_ms);
/* A list that was not as it should be; then how many are how. */
void state_out_list(const char *name, const char *result);
struct list_counts;
void state_out_lists(const struct list_counts *c);
/* What the recovery pass has put off: at most `max` units, the oldest first, then the whole. */
struct deferred_told {
    unsigned dropped;       /* units of an earlier pass that this one does not know any more */
    unsigned unreaped;      /* workers that hang and could not be ended */
};
void state_out_deferred(const struct defer *d, size_t max, const struct deferred_told *t);
void state_out_end(const struct state_totals *t);

/* What a person can do about a lock's `why`. */
const char *state_out_action(const char *why);

#endif
