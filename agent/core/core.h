/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The whole boundary of the core: facts in, actions out. No clock, no I/O, no allocation, no logging.
 * Two callers: the engine's driver (agent/daemon) and the simulator (tests/sim). design.md: The core. */
#ifndef UNDERSTUDY_CORE_H
#define UNDERSTUDY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_NODES   4   /* nodes are indices in the order of the configuration */
#define CORE_DEVICES 8
#define CORE_EPOCHS  8   /* un-ended epochs that are looked at; more is a reason to block */
#define CORE_ACTIONS 4   /* most actions of one rule */
#define CORE_REASONS 16
#define CORE_NODE_NONE 255u /* core_epoch.node of epoch.0; fence.target when nothing is being fenced */

struct core_id { uint64_t hi, lo; };

enum core_state {
    ST_STARTING,    /* nothing known: prove that nothing of the service runs here */
    ST_PASSIVE,     /* watching; may keep a claim whose proofs were dropped */
    ST_CLAIMING,    /* the claim is being written */
    ST_PROOF,       /* collecting proofs for everyone else */
    ST_DRAIN,       /* what a dead node had in the network lands or dies */
    ST_OWNING,      /* epoch.N.own is being written */
    ST_RECOVER,     /* recovery pass */
    ST_ADDRESS,     /* duplicate address check, add, announce */
    ST_SERVICE,     /* the list service starts with intake closed, then intake opens */
    ST_ACTIVE,
    ST_RELEASING,   /* planned: stopped at a safe point, synced, address down; or back to active */
    ST_RESTARTING,  /* the list service was not whole: it is killed, then started again under the same tenure */
    ST_ADOPTING,    /* maintenance: a list service that an earlier run of ours left running is looked at */
    ST_STOPPING,    /* involuntary stop: runners and master killed, address down */
    ST_ENDING,      /* an end is being written for our claim or tenure */
    ST_HOLD,        /* stopped acting until an operator clears it */
    ST_N
};

enum core_event_kind { EV_LOOK, EV_DONE, EV_ACKNOWLEDGE, EV_CLEAR, EV_GAP, EV_RELEASE, EV_N };

/* Operations: what the world is asked to do; each has an id and a deadline and answers by EV_DONE. */
enum core_op {
    OP_NONE,
    OP_CLAIM, OP_OWN, OP_END, OP_DRAIN,
    OP_RECOVER,
    OP_ADDRESS_START, OP_ADDRESS_STOP,
    OP_SERVICE_START, OP_SERVICE_STOP, OP_SERVICE_MONITOR,
    OP_SERVICE_RELEASE, /* stop at a safe point, or go on serving and fail */
    OP_SERVICE_RESUME,  /* undo a release that was not finished */
    OP_SYNC,            /* what the list service wrote is on the server */
    OP_INTAKE_CLOSE, OP_INTAKE_OPEN,
    OP_FENCE_OFF, OP_FENCE_STATUS, OP_FENCE_ON,
    OP_N
};

enum core_result {
    RES_OK,          /* done and verified */
    RES_FAILED,      /* answered: not done, or unknown, malformed */
    RES_LATE,        /* killed at its deadline; may not be reaped yet: see facts.unreaped */
    RES_ON,          /* OP_FENCE_STATUS: power is on */
    RES_OFF,         /* OP_FENCE_STATUS: power is off */
    RES_DUPLICATE,   /* OP_ADDRESS_START: somebody answers for the address */
    RES_FULL,        /* OP_RECOVER: the list share has no space: nothing was changed, and no other node would do better */
    RES_N
};

enum core_proof { PROOF_NONE, PROOF_NOT_NEEDED, PROOF_OFF, PROOF_ENDED, PROOF_REBOOTED, PROOF_DENIED,
                  PROOF_ACKNOWLEDGED, PROOF_N };

enum core_share {
    SHARE_UNKNOWN,   /* no answer yet, or none for longer than share_deadline */
    SHARE_OK,
    SHARE_WRONG,     /* answers, but another identity, mount point, type or source, or no identity */
    SHARE_BEHIND,    /* answers, but its highest epoch is below our local maximum */
};

enum core_tri { TRI_UNKNOWN, TRI_NO, TRI_YES };

struct core_config {
    unsigned self, n_nodes;
    bool     two_node;                     /* no majority: a split never makes the passive node claim */
    uint32_t claim_patience_ms, power_wait_ms, drain_ms;
    uint32_t share_deadline_ms, share_patience_ms;
    uint32_t epoch_op_ms;                  /* deadline of OP_CLAIM, OP_OWN, OP_END */
    uint32_t recover_ms, address_ms, start_ms, stop_ms, monitor_ms, release_ms, sync_ms, fence_ms[CORE_DEVICES];
    uint32_t monitor_interval_ms;
    uint32_t max_failures, failure_window_ms;
    uint32_t max_restarts;                 /* failures within the window that are answered by a restart here */
    uint32_t fence_retry_min_ms, fence_retry_max_ms;
    bool     after_fence_on;
    unsigned n_devices;
    struct { uint8_t node, level; } device[CORE_DEVICES]; /* sorted by node, then level */
};

/* What we know of another node. Levels, not edges. */
struct core_peer {
    bool           in_ring;        /* in the present CPG configuration */
    bool           heard;          /* a message of its, sent in the present ring, is fresh */
    bool           no_service, no_share_child, no_end_pending; /* as it says */
    bool           held;           /* as it says: it will not claim */
    bool           ready;          /* as it says: nothing but the active node keeps it from claiming */
    bool           releasing;      /* as it says: stopped as planned, for good: what is left of its tenure is to be put away */
    bool           digest_differs;
    struct core_id boot;           /* from its freshest message; zero = not known */
    uint64_t       highest;        /* highest epoch that it has seen, as it says */
    bool           beat_moves;     /* its beat was seen to change within the last three intervals, by our clock */
    unsigned       beat_same;      /* reports in a row that have shown no change of it, or no beat at all */
    struct core_id beat_boot;      /* the boot id in its beat */
    bool           dead_boot_seen; /* since core.dead_boot[] was set (before own): a message or a changed beat with it */
};

struct core_epoch {                /* an un-ended epoch, or the highest one (facts.last), or the one before it */
    uint64_t       n;
    uint8_t        node;           /* CORE_NODE_NONE: made by init */
    struct core_id boot;
    uint64_t       run;
    bool           owned, ended, planned;
};

struct core_facts {
    bool             members_fresh;      /* corosync answered lately */
    bool             encrypted_ok;       /* corosync encrypts, or the config says that it need not */
    bool             quorate;            /* votequorum says so for the same ring as CPG's last configuration */
    bool             quorum_settling;    /* it says so for another ring, for less than a second: each ring change passes here */
    uint64_t         ring;               /* CPG ring; 0 = none */
    struct core_peer peer[CORE_NODES];   /* peer[self]: only `boot` is used: ours */
    uint64_t         run;                /* our engine's run id */

    enum core_share  share;
    uint64_t         share_seen_ms;      /* when the epochs were last read, on the event's clock */
    uint64_t         local_max;          /* highest epoch that this node has ever seen */
    uint64_t         highest;            /* highest on the share */
    struct core_epoch last;              /* epoch.highest */
    struct core_epoch before;            /* the epoch next below it; n = 0 and not ended: there is none */
    unsigned         n_open;             /* un-ended ones; > CORE_EPOCHS: too many */
    struct core_epoch open[CORE_EPOCHS]; /* ascending */

    enum core_tri    service_here;       /* any list process on this node, from /proc */
    bool             lists_refuse;       /* ST_ACTIVE: the list share takes nothing, or does not answer, as the last look says */
    unsigned         unreaped;           /* share children not reaped after their deadline */
    unsigned         unreaped_fence;     /* fence programs not reaped */
    bool             maintenance;
    uint64_t         adoptable;          /* epoch whose list service the executor would let a new run go on with; 0 = none */
    bool             maintenance_sound;  /* its file is as it should be: adoption needs that, claims stop for any */
};

struct core_event {
    enum core_event_kind kind;
    uint64_t             now_ms;         /* CLOCK_BOOTTIME; never runs back */
    uint64_t             op_id;          /* EV_DONE */
    enum core_op         op;             /* EV_DONE */
    enum core_result     result;         /* EV_DONE */
    unsigned             node;           /* EV_ACKNOWLEDGE; EV_RELEASE: to whom, CORE_NODE_NONE = anybody */
    bool                 force;          /* EV_RELEASE: stop hard when no safe point is reached in time */
    const struct core_facts *facts;      /* present levels; borrowed for the call */
};

enum core_act_kind {
    ACT_NONE,
    ACT_RUN,      /* start operation op (id op_id, deadline deadline_ms from now) */
    ACT_CANCEL,   /* kill operation op_id, if it still runs */
    ACT_PERMIT,   /* the executor may let this node be active */
    ACT_NO_PERMIT,
    ACT_ADOPT,    /* the executor is to count `epoch` as owned by this run */
    ACT_ALERT,    /* tell a person: reason */
    ACT_N
};

struct core_action {
    enum core_act_kind kind;
    enum core_op       op;
    uint64_t           op_id;
    uint32_t           deadline_ms;
    uint64_t           epoch;            /* OP_CLAIM, OP_OWN, OP_END, OP_RECOVER */
    bool               planned;          /* OP_END; OP_ADDRESS_START: ours was taken up after a release, with all clean */
    uint8_t            device;           /* OP_FENCE_* */
    uint8_t            node;             /* OP_FENCE_* and alerts: whom it is about */
    uint8_t            reason;           /* ACT_ALERT: enum core_reason */
    enum core_proof    proof[CORE_NODES];/* OP_OWN, OP_RECOVER */
    bool               clean[CORE_NODES];/* OP_RECOVER: a clean member, which says in this ring that no list process of its lives */
};

struct core_actions { unsigned n; struct core_action v[CORE_ACTIONS]; };

/* Why nothing happens, or why something stopped. Texts (what, why, what to do) are in names.c. */
enum core_reason {
    WHY_NONE,
    WHY_STARTING, WHY_HELD, WHY_MAINTENANCE,
    WHY_MEMBERS_STALE, WHY_NOT_ENCRYPTED, WHY_NO_RING, WHY_NOT_QUORATE, WHY_UNSEEN_PEER,
    WHY_SHARE_UNKNOWN, WHY_SHARE_WRONG, WHY_EPOCH_LOST, WHY_TOO_MANY_OPEN,
    WHY_UNREAPED, WHY_OWN_OPEN_EPOCH, WHY_SERVICE_HERE,
    WHY_PEER_ACTIVE, WHY_PEER_NOT_HEARD, WHY_PEER_DIRTY, WHY_PEER_DIGEST, WHY_PEER_AHEAD, WHY_PEER_TURN, WHY_SPLIT,
    WHY_PATIENCE,
    WHY_FENCE_RUNNING, WHY_FENCE_FAILED, WHY_NO_DEVICE, WHY_PEER_MAY_END,
    WHY_DRAIN, WHY_HIGHER_CLAIM, WHY_DUPLICATE_ADDRESS, WHY_DEAD_NODE_SPOKE, WHY_GAP,
    WHY_SERVICE_FAILED, WHY_STOP_UNPROVEN, WHY_END_PENDING,
    WHY_NOT_ASKED, WHY_RECOVER_FAILED, WHY_ADDRESS_FAILED, WHY_INTAKE_FAILED, WHY_PEER_LIVES, WHY_BEAT_UNKNOWN,
    WHY_NOT_ACTIVE, WHY_NO_SUCCESSOR, WHY_BUSY, WHY_RELEASE_REFUSED, WHY_SYNC_FAILED, WHY_NOT_UNSEEN,
    WHY_LISTS_REFUSE,
    WHY_N
};

struct core_why { enum core_reason reason; uint8_t node; uint64_t value; };

struct core_proof_state {
    enum core_proof kind;
    struct core_id  boot;          /* of the node when it was proven, if known */
    uint64_t        op_id;         /* operation that gave it */
    bool            planned;       /* PROOF_ENDED: all that it held was one tenure, released as planned: nothing to drain */
};

/* Owned by the caller; written by core_init() and core_step() only. Read it for status, never write it. */
struct core {
    struct core_config cfg;
    enum core_state    state;
    uint64_t           now_ms, since_ms;      /* since_ms: when the state was entered */
    uint64_t           deadline_ms;           /* of the state; 0 = none */
    uint64_t           op_seq;                /* last operation id given out */
    struct { enum core_op op; uint64_t id; uint64_t deadline_ms; } pending; /* the one operation waited for */
    uint64_t           ring;                  /* ring that the present proofs stand on */
    uint64_t           claim;                 /* epoch that this run claims or owns; 0 = none */
    uint64_t           claim_run;             /* the run that claimed it: ours, or an earlier one that was adopted */
    bool               own_issued, owned;
    uint64_t           owned_ms;              /* when `owned` was answered: epochs read after it show it */
    bool               end_issued;            /* never runs under `claim` again */
    bool               hold_after;            /* go to ST_HOLD when stopped and ended */
    bool               no_adoption;           /* a stop was run: what runs here later is nobody's tenure */
    bool               adopted;               /* the tenure rests on the proofs of an earlier run */
    bool               release_force;         /* ST_RELEASING: stop hard rather than go on serving */
    bool               end_planned;           /* the end that is owed is that of a planned release */
    uint64_t           releases;              /* begun so far */
    enum core_reason   release_why;           /* of the last one that is over: WHY_NONE = ended as planned */
    enum core_reason   last_reason;           /* why we last stopped or dropped proofs */
    uint8_t            last_node;             /* whom that is about */
    uint64_t           observe_since_ms;      /* after a gap: epochs must be re-read after this */
    struct core_proof_state proof[CORE_NODES];
    struct core_id     dead_boot[CORE_NODES]; /* proven dead, set after the drain; a sign of it voids the proof */
    bool               drain_needed, drained;
    uint8_t            ended_last;            /* at our claim: who had ended the epoch before it; CORE_NODE_NONE = nobody */
    struct {
        unsigned target, device;              /* node being fenced or CORE_NODE_NONE; index into cfg.device */
        unsigned phase;                       /* private to the core */
        unsigned tries;                       /* rounds over all levels that failed */
        uint64_t next_ms;                     /* not before */
    } fence;
    bool               power_on[CORE_DEVICES];/* switched off by us: switch it on once we are active */
    uint64_t           ending;                /* ST_ENDING: the epoch whose end is being written */
    uint64_t           retry_ms;              /* nothing is tried again before */
    bool               stopped;               /* ST_STARTING: one stop has succeeded */
    bool               stop_unproven;         /* ST_HOLD: the stop is tried again, no end is written before */
    bool               no_room;               /* ST_RECOVER: the list share has no space, the pass is tried again */
    bool               intake_closed;         /* ST_ACTIVE: closed until the epochs were read again and the list share takes mail */
    uint64_t           held_from[CORE_NODES]; /* lowest epoch that it held when we claimed: its end is a proof; 0 = none */
    uint64_t           alerted;               /* reasons told already, a bit each: a level is told once */
    uint64_t           heard_ms[CORE_NODES], beat_ms[CORE_NODES]; /* last message, last change of its beat */
    bool               was_in_ring[CORE_NODES];
    uint64_t           ring_change_ms[CORE_NODES];  /* when it last joined or left the ring */
    uint64_t           stuck_since_ms[CORE_NODES];  /* since when it is held with an un-ended epoch; 0 = not */
    uint64_t           share_seen_ms;         /* of the last facts, for core_wakeup_ms() */
    uint64_t           share_fresh_since_ms;  /* since when the share answers in time; 0 = it does not */
    uint64_t           turn_since_ms;         /* since when a claim was possible but not ours to make */
    uint64_t           monitor_due_ms;
    unsigned           failures;
    uint64_t           failure_ms[8];
};

/* Times and limits that have changed; nodes and devices stay. */
void core_reconfigure(struct core *c, const struct core_config *cfg);
void core_init(struct core *c, const struct core_config *cfg, uint64_t now_ms);

/* Looks at one event. At most one rule fires; returns its number, 0 = none. Never fails, never blocks.
 * After a non-zero return the caller performs `out` in order, then calls again with EV_LOOK until 0. */
int core_step(struct core *c, const struct core_event *e, struct core_actions *out);

/* Every guard that blocks progress towards active right now, most basic first; returns their number (<= CORE_REASONS). */
unsigned core_explain(const struct core *c, const struct core_facts *f, struct core_why *ret);

/* Would EV_ACKNOWLEDGE of `node` be taken now? WHY_NONE = yes; else the reason of the refusal. */
enum core_reason core_may_acknowledge(const struct core *c, const struct core_facts *f, unsigned node);

/* May this node, alone since its boot, be told not to wait for `node`? WHY_NONE = yes; else why not. What follows is an
 * ordinary takeover, with a proof for the node. */
enum core_reason core_may_boot_alone(const struct core *c, const struct core_facts *f, unsigned node);

/* Would EV_RELEASE to `node` (CORE_NODE_NONE = anybody) be taken now? WHY_NONE = yes; else the reason of the refusal,
 * and whom it is about. */
enum core_reason core_may_release(const struct core *c, const struct core_facts *f, unsigned node, unsigned *ret_node);

/* For our message to the others: an end is owed or not read back yet (we are not clean); we have stopped for a planned
 * release and will not run again under our claim, so that another one disturbs nothing; we will not claim. */
bool core_end_pending(const struct core *c, const struct core_facts *f);
bool core_is_releasing(const struct core *c);
bool core_is_held(const struct core *c);
/* Passive, and nothing but the active node keeps us from claiming. */
bool core_is_ready(const struct core *c, const struct core_facts *f);

/* The earliest time at which EV_LOOK may change something though no fact changes; UINT64_MAX = never. */
uint64_t core_wakeup_ms(const struct core *c);

/* The table as text, a line a rule, for the golden test and `understudy explain --rules`. Writes at most `size` bytes. */
size_t core_dump(char *buf, size_t size);

bool        core_rule_exists(int id);
const char *core_rule_why(int id);
unsigned    core_rule_ids(int *ret, unsigned max);
const char *core_state_name(enum core_state s);
const char *core_op_name(enum core_op o);
const char *core_result_name(enum core_result r);
const char *core_proof_name(enum core_proof p);
const char *core_reason_name(enum core_reason r);   /* kebab-case, stable: "not-quorate" */
const char *core_reason_what(enum core_reason r);   /* one sentence: the fact */
const char *core_reason_action(enum core_reason r); /* one sentence: what lifts it */

#endif
