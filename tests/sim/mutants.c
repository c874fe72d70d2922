/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Checkers that never fired prove nothing: here the policy is broken on purpose, one way at a time, and the simulator
 * must find each. Links the same archive; only the table, the legal moves and the invariant are replaced. */
#define core_rules       core_rules_declared
#define core_n_rules     core_n_rules_declared
#define core_legal_moves core_legal_moves_declared
#include "core/rules.h"
#undef core_rules
#undef core_n_rules
#undef core_legal_moves

#define core_rules   original_rules
#define core_n_rules original_n_rules
#include "core/rules.c"
#undef core_rules
#undef core_n_rules
static bool original_invariant(const struct core *c);
#define core_invariant original_invariant
#include "core/invariant.c"
#undef core_invariant

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

struct core_rule core_rules[W_RULES];
unsigned         core_n_rules;
uint32_t         core_legal_moves[ST_N];

static struct world world;
static bool watch_invariant;

bool core_invariant(const struct core *c)
{
    if (watch_invariant && !original_invariant(c))
        world_fail(&world, CHECK_INVARIANT, "the invariant does not hold in state %s", core_state_name(c->state));
    return true;
}

static struct core_rule *rule(int id)
{
    for (unsigned i = 0; i < core_n_rules; i++)
        if (core_rules[i].id == id)
            return &core_rules[i];
    fprintf(stderr, "no rule %d: the mutants have to follow the table\n", id);
    exit(1);
}

static void effects(int id, enum core_state next, core_effect a, core_effect b, core_effect c)
{
    struct core_rule *r = rule(id);
    core_effect all[] = { a, b, c, NULL };
    r->next = next;
    for (unsigned i = 0; i < CORE_RULE_EFFECTS; i++)
        r->effect[i].fn = all[i];
}

static bool never(const struct core *c, const struct core_event *e) { (void)c; (void)e; return false; }

/* Broken guards */
static bool any_status_off(const struct core *c, const struct core_event *e)
{
    return c->fence.target != CORE_NODE_NONE && e->kind == EV_DONE && e->op == OP_FENCE_STATUS && e->result == RES_OFF;
}

static bool all_proven(const struct core *c, const struct core_event *e)
{
    (void)e;
    return c->pending.op == OP_NONE && proof_all(c);
}

static bool no_proof_asked(const struct core *c, const struct core_event *e) { (void)e; return c->pending.op == OP_NONE; }

static bool quorum_imagined(const struct core *c, const struct core_event *e)
{
    struct core_facts f = *e->facts;
    struct core_event copy = *e;
    f.quorate = f.members_fresh = true;
    copy.facts = &f;
    return guard_may_claim(c, &copy);
}

static bool peers_silent(const struct core *c, const struct core_event *e)
{
    struct core_facts f = *e->facts;
    struct core_event copy = *e;
    for (unsigned p = 0; p < CORE_NODES; p++)
        f.peer[p].beat_moves = false, f.peer[p].beat_same = 3;
    copy.facts = &f;
    return guard_may_claim(c, &copy);
}

static bool share_settled(const struct core *c, const struct core_event *e)
{
    struct core copy = *c;
    struct core_facts f = *e->facts;
    struct core_event looked = *e;
    copy.share_fresh_since_ms = 1;
    for (unsigned p = 0; p < CORE_NODES; p++)
        f.peer[p].beat_same = 3;
    looked.facts = &f;
    return guard_may_claim(&copy, &looked);
}

static bool not_settled(const struct core *c, const struct core_event *e) { (void)c; return !facts_cluster_ok(e->facts); }

static bool any_own_answer(const struct core *c, const struct core_event *e)
{
    return c->pending.op == OP_OWN && e->kind == EV_DONE;
}

static bool owner_stopped(const struct core *c, const struct core_event *e)
{
    return c->claim != 0 && guard_service_stop_ok(c, e);
}

static bool end_at_once(const struct core *c, const struct core_event *e) { (void)e; return c->pending.op == OP_NONE; }
static bool claim_refused(const struct core *c, const struct core_event *e) { return core_answered(c, e) && e->result != RES_OK; }

static bool monitor_early(const struct core *c, const struct core_event *e)
{
    (void)e;
    return c->pending.op == OP_NONE && c->now_ms + 150 >= c->monitor_due_ms;
}

static bool split_always(const struct core *c, const struct core_event *e)
{
    struct core copy = *c;
    copy.alerted = 0;
    return guard_split(&copy, e);
}

/* The mutants */
static void stale_answer(void) { rule(711)->guard = any_status_off; }
static void no_drain(void) { rule(731)->guard = never; rule(733)->guard = all_proven; }
static void drain_not_noted(void) { no_drain(); effects(733, ST_OWNING, do_run_own, NULL, NULL); }
static void no_proof(void) { rule(733)->guard = no_proof_asked; }
static void no_quorum(void) { rule(511)->guard = quorum_imagined; }
static void split_ignored(void) { rule(511)->guard = peers_silent; }
static void no_settling(void) { rule(205)->guard = not_settled; }
static void unsettled(void) { rule(511)->guard = share_settled; }
static void off_believed(void) { effects(701, ST_SAME, do_cancel, do_prove_off, NULL); }
static void own_unread(void) { rule(811)->guard = any_own_answer; }
static void end_early(void) { rule(1001)->guard = end_at_once; }
static void unproven_stop(void) { effects(411, ST_ENDING, do_withdraw, NULL, NULL); end_early(); }
static void higher_ignored(void) { rule(203)->guard = never; }
static void quorum_ignored(void) { rule(205)->guard = never; }
static void share_ignored(void) { rule(207)->guard = never; rule(209)->guard = never; }
static void waits_for_ever(void) { rule(603)->guard = claim_refused; }
static void hold_for_ever(void) { rule(1011)->guard = never; }
static void never_claims(void) { rule(511)->guard = never; }
static void runs_again(void) { effects(407, ST_RECOVER, do_run_recover, NULL, NULL); }
static void no_recover(void) { effects(811, ST_ADDRESS, do_note_owned, do_run_address, NULL); }
static void service_first(void) { effects(821, ST_SERVICE, do_run_service, NULL, NULL); }
static void address_kept(void)
{
    struct core_rule *r = rule(405);
    memmove(r + 1, r, (size_t)(core_rules + core_n_rules - r) * sizeof *r);
    core_n_rules++;
    r->guard = owner_stopped;
    r->next = ST_ENDING;
    r->effect[0].fn = do_withdraw;
}
static void looks_early(void) { rule(915)->guard = monitor_early; }
static void tells_for_ever(void) { rule(513)->guard = split_always; }
static bool adopt_anything(const struct core *c, const struct core_event *e)
{
    const struct core_facts *f = e->facts;
    return c->claim == 0 && f->service_here == TRI_YES && f->last.n != 0 && f->last.node == c->cfg.self;
}

static void adopts_anything(void) { rule(400)->guard = adopt_anything; }
static void always_planned(void) { effects(407, ST_ENDING, do_release_end, NULL, NULL); }
static void ended_as_planned(struct core_turn *t)
{
    unsigned p = proof_first_ended(t->c, t->f);
    do_prove_ended(t);
    t->c->proof[p].planned = true;
}

static void ends_unread(void) { effects(723, ST_SAME, ended_as_planned, NULL, NULL); }
static void sync_skipped(void) { effects(923, ST_SAME, do_run_address_stop, NULL, NULL); }
static void rogue_left(void) { rule(503)->guard = never; }

#define C(name) (1u << CHECK_##name)

static const struct mutant {
    const char *what;
    void      (*break_it)(void);
    uint32_t    finds;   /* at least one of these must fire */
    uint32_t    ignores; /* switched off, so that a later line of checks is tried too */
    bool        invariant;
} mutants[] = {
    { "an answer of an older operation is believed", stale_answer, C(PROOF), 0, false },
    { "the drain is skipped", no_drain, C(LATE_WRITE), 0, false },
    { "the drain is not noted", drain_not_noted, C(INVARIANT), 0, true },
    { "no proof is asked for", no_proof, C(PROOF), 0, false },
    { "no proof is asked for, seen by the services", no_proof, C(SINGLE_ACTIVE), C(PROOF), false },
    { "no proof is asked for, seen by the address", no_proof, C(ADDRESS), C(PROOF) | C(SINGLE_ACTIVE) | C(LATE_WRITE), false },
    { "a claim is made without quorum", no_quorum, C(CLAIM), 0, false },
    { "a ring change is taken for a loss of quorum", no_settling, C(CALM), 0, false },
    { "a split is taken for a death", split_ignored, C(CALM), 0, false },
    { "a beat is judged as soon as the share is back", unsettled, C(CALM), 0, false },
    { "off is believed without a status", off_believed, C(PROOF), 0, false },
    { "own is believed without being read back", own_unread, C(ORDER), 0, false },
    { "the end is written before the stop is proven", unproven_stop, C(END), 0, false },
    { "an end is written with children left on the share", end_early, C(END), 0, false },
    { "a higher claim is ignored", higher_ignored, C(MUST_STOP), 0, false },
    { "the loss of quorum is ignored", quorum_ignored, C(MUST_STOP), 0, false },
    { "the loss of the share is ignored", share_ignored, C(MUST_STOP), 0, false },
    { "an answer that does not come is waited for", waits_for_ever, C(DEADLINE), 0, false },
    { "hold can not be cleared", hold_for_ever, C(DEAD_END), 0, false },
    { "nobody claims", never_claims, C(DEAD_END), 0, false },
    { "a stopped service is started again under its epoch", runs_again, C(EPOCH) | C(ORDER), 0, false },
    { "the same, seen by the epochs", runs_again, C(EPOCH), C(ORDER), false },
    { "the recovery pass is skipped", no_recover, C(ORDER), 0, false },
    { "the service starts before the address", service_first, C(ORDER), 0, false },
    { "the address is kept", address_kept, C(END), 0, false },
    { "the address is kept, seen by the address", address_kept, C(ADDRESS), C(END), false },
    { "what runs is adopted without a look at the epochs", adopts_anything,
      C(MUST_STOP) | C(SINGLE_ACTIVE) | C(EPOCH) | C(ORDER), 0, false },
    { "an unplanned end is said to be planned", always_planned, C(END), 0, false },
    { "the same, seen by what lands", always_planned, C(LATE_WRITE), C(END), false },
    { "whether an end was planned is not read", ends_unread, C(LATE_WRITE), 0, false },
    { "a release is not synced", sync_skipped, C(LATE_WRITE), 0, false },
    { "list processes without a tenure are left running", rogue_left, C(DEAD_END), 0, false },
    { "the core is early for its own wakeup", looks_early, C(WAKEUP), 0, false },
    { "a rule fires without an end", tells_for_ever, C(LIVELOCK), 0, false },
};

static void restore(void)
{
    memcpy(core_rules, original_rules, sizeof *core_rules * original_n_rules);
    core_n_rules = original_n_rules;
    for (unsigned s = 0; s < ST_N; s++)
        core_legal_moves[s] = UINT32_MAX;
}

/* The seeds that it took, 0 = not found. */
static unsigned hunt(const struct mutant *m, unsigned most)
{
    restore();
    m->break_it();
    sim_ignore = m->ignores;
    watch_invariant = m->invariant;
    for (unsigned s = 1; s <= most; s++) {
        world_run(&world, s, false);
        if (m->finds & (1u << world.failed))
            return s;
    }
    return 0;
}

/* Rules without which the world here goes on unharmed, because a later line of defence holds or the case is too rare;
 * tests/unit/core_*_test.c has each of them. */
static bool unit_tests_only(int id)
{
    static const int ids[] = { 103, 302, 305, 400, 505, 507, 513, 713, 725, 745, 823, 833, 912, 917, 921, 929, 1013, 1015 };
    for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* Every other rule is needed: without it some checker fires. */
static unsigned hunt_without(unsigned index, unsigned most)
{
    restore();
    core_rules[index].guard = never;
    sim_ignore = 0;
    watch_invariant = true;
    for (unsigned s = 1; s <= most; s++) {
        world_run(&world, s, false);
        if (world.failed)
            return s;
    }
    return 0;
}

static unsigned tests, missed;
static bool     fired[CHECK_N];

static void verdict(bool good, const char *what)
{
    missed += !good;
    printf("%sok %u - %s\n", good ? "" : "not ", ++tests, what);
    fflush(stdout);
}

/* A checker that has fired on no bug proves nothing. */
static void all_fired(void)
{
    char what[80];
    for (unsigned c = CHECK_NONE + 1; c < CHECK_N; c++) {
        snprintf(what, sizeof what, "checker %s has fired on a seeded bug", world_checker_name((enum world_checker)c));
        verdict(fired[c], what);
    }
}

/* A long list of faults that breaks something becomes a short one that breaks the same. */
static void shrinks(void)
{
    restore();
    no_drain();
    sim_ignore = 0;
    watch_invariant = false;
    for (uint64_t s = 1; s <= 20000; s++) {
        world_run(&world, s, false);
        if (world.failed != CHECK_LATE_WRITE || world.log.n < 8)
            continue;
        unsigned before = world.log.n, after = shrink(&world, s, false, NULL);
        printf("# seed %llu: %u faults, %u of them needed\n", (unsigned long long)s, before, after);
        verdict(after != 0 && after <= 4 && world.failed == CHECK_LATE_WRITE, "a failing seed is shrunk");
        return;
    }
    verdict(false, "a failing seed is shrunk: there was none");
}

static void result(unsigned seeds, const char *what, int id)
{
    missed += seeds == 0;
    printf("%sok %u - %s", seeds ? "" : "not ", ++tests, what);
    printf(id ? " %d\n" : "\n", id);
    if (seeds)
        printf("# found by %s in seed %u: %s\n", world_checker_name(world.failed), seeds, world.failure);
    fflush(stdout);
}

int main(void)
{
    restore();
    sim_index_rules();
    for (unsigned i = 0; i < sizeof mutants / sizeof *mutants; i++) {
        unsigned seeds = hunt(&mutants[i], 100000);
        fired[world.failed] |= seeds != 0;
        result(seeds, mutants[i].what, 0);
    }
    all_fired();
    shrinks();
    for (unsigned i = 0; i < original_n_rules; i++)
        if (!unit_tests_only(original_rules[i].id))
            result(hunt_without(i, 20000), "without rule", original_rules[i].id);
    printf("1..%u\n", tests);
    return missed != 0;
}
