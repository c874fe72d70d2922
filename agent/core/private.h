/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Shared by the files of agent/core only. */
#ifndef UNDERSTUDY_CORE_PRIVATE_H
#define UNDERSTUDY_CORE_PRIVATE_H

#include "core/core.h"

#define CORE_RETRY_MS      1000u /* pause before something that failed is tried again */
#define CORE_LATE_MS       500u  /* an answer that is this late will not come: the executor's own deadline has passed */
#define CORE_RULE_EFFECTS  4
#define ST_SAME            ST_N  /* in a rule: the state stays */

#define CORE_BIT(i)        (1u << (unsigned)(i))

enum fence_phase { FENCE_IDLE, FENCE_OFF, FENCE_FIRST, FENCE_SECOND, FENCE_SWEEP };

/* One step: what guards read and effects write. */
struct core_turn {
    struct core             *c;
    const struct core_event *e;
    const struct core_facts *f;
    struct core_actions     *out;
    enum core_op             was;               /* the operation that was waited for when the event came */
};

typedef bool (*core_guard)(const struct core *c, const struct core_event *e);
typedef void (*core_effect)(struct core_turn *t);

struct core_rule {
    int             id;
    uint32_t        in;                         /* bit per enum core_state */
    uint32_t        on;                         /* bit per enum core_event_kind */
    const char     *guard_name;
    core_guard      guard;
    struct { const char *name; core_effect fn; } effect[CORE_RULE_EFFECTS]; /* in order */
    enum core_state next;
    const char     *why;
};

extern const struct core_rule core_rules[];
extern const unsigned         core_n_rules;
extern const uint32_t         core_legal_moves[ST_N];

bool core_invariant(const struct core *c);

/* facts.c: what the facts mean, with the ages judged by the event's clock (kept in core.now_ms). */
bool             core_id_known(struct core_id a);
bool             core_id_same(struct core_id a, struct core_id b);
bool             facts_cluster_ok(const struct core_facts *f);
enum core_reason facts_cluster_why(const struct core *c, const struct core_facts *f);
bool             facts_share_bad(const struct core_facts *f);
bool             facts_share_fresh(const struct core *c, const struct core_facts *f);
bool             facts_beat_stands(const struct core *c, const struct core_facts *f, unsigned node);
bool             facts_share_lost(const struct core *c, const struct core_facts *f);
bool             facts_reread(const struct core *c, const struct core_facts *f);
bool             facts_outranked(const struct core *c, const struct core_facts *f);
bool             facts_ground(const struct core *c, const struct core_facts *f);
bool             facts_holds(const struct core *c, const struct core_facts *f, unsigned node);
uint64_t         facts_held_from(const struct core *c, const struct core_facts *f, unsigned node);
bool             facts_is_releasing(const struct core_facts *f, unsigned node);
bool             facts_holds_now(const struct core *c, const struct core_facts *f, unsigned node);
bool             facts_holds_claim_only(const struct core_facts *f, unsigned node);
bool             facts_is_stuck(const struct core_peer *q);
bool             facts_clean(const struct core *c, const struct core_facts *f, unsigned node);
bool             facts_rebooted(const struct core *c, const struct core_facts *f, unsigned node);
bool             facts_adoptable(const struct core *c, const struct core_facts *f);
bool             facts_dead_spoke(const struct core *c, const struct core_facts *f, unsigned *ret_node);
uint64_t         facts_own_stray(const struct core *c, const struct core_facts *f);
bool             facts_waited(const struct core *c, uint64_t since_ms, uint64_t ms);

/* blockers.c */
struct core_why_list { unsigned n; struct core_why v[CORE_REASONS]; };
void blockers_add(struct core_why_list *l, enum core_reason r, unsigned node, uint64_t value);
/* Everything that keeps a passive node from claiming (or, with a claim, from taking it up); `turn`: with whose turn it is. */
void blockers_passive(const struct core *c, const struct core_facts *f, bool turn, struct core_why_list *l);

/* proof.c: proofs of the other nodes and the walk over fence devices. */
bool     proof_voided(const struct core *c, const struct core_facts *f, unsigned node);
unsigned proof_first_voided(const struct core *c, const struct core_facts *f);
unsigned proof_first_not_needed(const struct core *c, const struct core_facts *f);
unsigned proof_first_ended(const struct core *c, const struct core_facts *f);
unsigned proof_first_rebooted(const struct core *c, const struct core_facts *f);
uint64_t proof_patience_until(const struct core *c, const struct core_facts *f, unsigned node); /* not fenced before, in ms */
unsigned proof_first_to_fence(const struct core *c, const struct core_facts *f, bool with_device);
bool     proof_all(const struct core *c);
bool     proof_needs_drain(const struct core *c);
bool     proof_off_beats(const struct core *c, const struct core_facts *f);
unsigned fence_first_device(const struct core *c, unsigned node);       /* CORE_DEVICES = none */
unsigned fence_next_in_level(const struct core *c, unsigned device);    /* CORE_DEVICES = none */
unsigned fence_first_in_level(const struct core *c, unsigned device);
unsigned fence_next_level(const struct core *c, unsigned device);       /* CORE_DEVICES = none */
uint64_t fence_backoff_ms(const struct core *c);

/* turn.c */
bool core_answered(const struct core *c, const struct core_event *e);   /* the answer that is waited for */
void turn_push(struct core_turn *t, const struct core_action *a);
void turn_run(struct core_turn *t, enum core_op op, uint32_t deadline_ms);
void turn_alert(struct core_turn *t, enum core_reason why, unsigned node);
void core_remember(struct core *c, const struct core_facts *f);         /* ages of what was seen; no decision */

#endif
