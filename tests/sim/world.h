/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The simulated world: hosts that run the real core behind a small model of the driver, and everything that can go
 * wrong around them. One process, one seed, one clock; the seed draws the world's own probabilities too. */
#ifndef UNDERSTUDY_SIM_WORLD_H
#define UNDERSTUDY_SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"

#define W_HOSTS    3
#define W_EPOCHS   512
#define W_OPEN_MAX 16
#define W_CHILDREN 24   /* of one host */
#define W_LANDINGS 96   /* changes on their way to the share */
#define W_QUEUE    2048
#define W_MAIL     4
#define W_RULES    128
#define W_FAULTS   256

struct rng { uint64_t s; };
uint64_t rng_next(struct rng *r);
uint64_t rng_range(struct rng *r, uint64_t lo, uint64_t hi);   /* inclusive */
bool     rng_chance(struct rng *r, double p);
uint64_t rng_pause(struct rng *r, double mean_ms);             /* exponential, at least 1 */

enum world_event_kind {
    WE_TICK,       /* a host's watch child reports, messages go out, the engine looks */
    WE_WAKE,       /* the time that core_wakeup_ms() named */
    WE_LAND,       /* a change reaches the share */
    WE_EFFECT,     /* a child does what it was started for, on its host or at a device */
    WE_ANSWER, WE_DEADLINE, WE_REAP,
    WE_STALE,      /* an answer of a cancelled operation comes all the same */
    WE_DEVICE,     /* a fence device acts late */
    WE_TOPOLOGY, WE_VIEW, WE_QUORUM,
    WE_BOOT, WE_EXECUTOR, WE_DAEMON, WE_UNPAUSE,
    WE_SWITCH_ON,  /* somebody presses the button */
    WE_WRITE,      /* what a dead or killed list service had in the network lands */
    WE_BEAT,       /* a beat of a dead node lands */
    WE_FAULT, WE_HEAL, WE_JUDGE,
    WE_N
};

struct world_event {
    uint64_t at;
    uint64_t seq;  /* ties are taken in the order in which they were made */
    uint32_t gen;  /* of the host's boot or engine, whichever the kind means */
    uint32_t a;
    uint8_t  kind, host;
};

/* What the seed has drawn: another world each time. */
struct world_params {
    unsigned n;
    bool     two_node;
    unsigned qdevice_side;          /* two nodes with a qdevice: who gets its vote */
    uint32_t report_every;          /* ticks: a slow share */
    uint64_t beat_ms, message_ms, detect_ms, join_ms, boot_ms, heard_ms;
    uint64_t faults_ms;             /* length of the part with faults */
    double   fault_mean_ms, window_mean_ms;
    double   p_fail, p_lost, p_hang, p_land_after_kill, p_unreaped, p_stale_report, p_message_lost, p_message_late,
             p_crash_action, p_stale_answer, p_fence_fail, p_fence_hang, p_fence_acts_late, p_noise, p_mute;
    uint32_t slow;                  /* factor of all durations, 1..4 */
    uint8_t  weight[40];            /* of the kinds of faults */
    struct core_config cfg;         /* common part */
};

struct sim_epoch {
    uint8_t        node;
    struct core_id boot;
    uint64_t       run, op_id;
    bool           owned, ended, planned;
    bool           end_issued;      /* some child was started to write its end */
    bool           reopened;        /* it has ended, and a backup says otherwise */
    uint8_t        ran_by;          /* 1 + host that went on to recover under it */
};

struct sim_beat { struct core_id boot; uint64_t counter; };

struct sim_snapshot {
    uint64_t          highest;
    struct core_epoch last, before, open[CORE_EPOCHS];
    unsigned          n_open;
    struct sim_beat   beat[W_HOSTS];
};

struct sim_share {
    uint64_t         highest;
    struct sim_epoch epoch[W_EPOCHS];
    unsigned         n_open;
    uint16_t         open[W_OPEN_MAX * 4];
    struct sim_beat  beat[W_HOSTS];
    uint64_t         hangs_until;   /* for everyone */
};

struct sim_landing {
    bool           used, planned;
    enum core_op   op;
    uint8_t        node;
    struct core_id boot;
    uint64_t       run, op_id, epoch;
};

struct sim_child {
    bool               used, killed, lands, landed, answers;
    struct core_action act;
    uint32_t           engine;      /* generation that asked for it */
    uint64_t           deadline_at, answer_at;
    enum core_result   result;
    unsigned           landing;     /* index + 1 */
};

struct sim_message {
    bool           full;
    uint64_t       arrive_at, ring, highest;
    struct core_id boot;
    bool           no_service, no_share_child, no_end_pending, held, ready, releasing, digest_differs;
};

struct sim_engine {
    bool               alive;
    uint32_t           gen;
    uint64_t           run, wake_at, send_at;
    struct core        core;
    struct core_facts  facts;
    struct sim_message last[W_HOSTS];
    uint64_t           heard_at[W_HOSTS], beat_counter[W_HOSTS], beat_at[W_HOSTS];
    unsigned           beat_same[W_HOSTS];   /* reports in which it had not changed */
    struct core_id     dead[W_HOSTS];        /* core.dead_boot as last seen */
    bool               permit;
    uint64_t           local_max, gap_ms, adoptable;
    struct sim_snapshot report;
    bool               reported;
    uint64_t           reported_at;
};

struct sim_host {
    bool              on, booted, cpg;        /* cpg: members runs and has joined */
    uint32_t          boot;                   /* generation; the boot id is made of it */
    uint64_t          switched_on;            /* when somebody last did, whatever the nodes were about */
    uint64_t          paused_until, corosync_stopped_until, share_hangs_until, share_wrong_until;
    uint64_t          start_broken_until, stop_broken_until, recover_broken_until, intake_broken_until;
    uint64_t          lists_full_until;       /* the list share takes nothing from it */
    uint64_t          unsafe_until;           /* a runner that reaches no safe point */
    uint32_t          writes;                 /* generation of what the list service wrote: a sync begins a new one */
    uint64_t          digest_until, not_encrypted_until;
    bool              seen_all, was_quorate;
    uint64_t          ring, ring_due, quorum_at; /* ring_due: the newest that is on its way to it */
    unsigned          view;                   /* bit mask of members */
    bool              running, whole, rogue, address, intake;
    bool              frozen;                 /* a release was cut off in the middle: nothing moves before a resume */
    bool              released;               /* stopped at a safe point, and nothing has run since */
    bool              stopping;               /* the executor's involuntary stop */
    uint64_t          offered;                /* tenure that the next engine may adopt; 0 = none */
    uint64_t          beats_since, read_at;   /* it reads and writes the share, no report missing; last time */
    struct sim_engine engine;
    struct sim_child  child[W_CHILDREN];
    struct sim_message mail[W_HOSTS][W_MAIL];
    unsigned          mail_at[W_HOSTS];
    struct sim_snapshot snapshot[2];
    unsigned          snapshot_at, ticks;
    uint64_t          links_late_until;       /* its changes of the share are long on their way */
    uint64_t          stored_max;             /* /var/lib/understudy: survives a power cut */
};

struct sim_device { bool on; uint64_t dead_until, lies_until, late_until; };

enum fault {
    F_CUT, F_ONE_WAY, F_JOIN, F_SHARE_HANG, F_SHARE_HANG_HOST, F_SHARE_WRONG, F_POWER_OFF, F_POWER_ON, F_RESET, F_PAUSE,
    F_ENGINE, F_COROSYNC, F_DEVICE, F_SERVICE_DIES, F_ROGUE, F_MAINTENANCE, F_DIGEST, F_NOT_ENCRYPTED, F_START_BROKEN,
    F_STOP_BROKEN, F_RECOVER_BROKEN, F_INTAKE_BROKEN, F_FOREIGN_ADDRESS, F_ACKNOWLEDGE, F_CLEAR, F_CUT_ACTIVE,
    F_POWER_OFF_ACTIVE, F_PAUSE_ACTIVE, F_HANG_ACTIVE, F_RELEASE, F_UNSAFE, F_EXECUTOR, F_UPGRADE, F_SHARE_OLD, F_RESTORED,
    F_RECOVER,
    F_DRAWN,                              /* the ones above are drawn by every seed, the ones below by every fourth */
    F_FENCE_LIES = F_DRAWN, F_FENCE_LATE, F_LATE_LINK, F_GAP, F_FREEZE,
    F_ODD,                                /* the ones below are for scenarios only */
    F_STAY_OFF = F_ODD, F_WRONG_ACKNOWLEDGE, F_DEVICE_ALL,
    F_LISTS_FULL,                         /* and for every eighth seed */
    F_N
};

struct sim_fault { uint64_t at, length; uint8_t kind, host; bool odd; };

/* A fixed list of faults instead of drawn ones: what a scenario is resolved to, and what a failing seed is shrunk to. */
struct sim_script {
    unsigned         n;
    struct sim_fault fault[W_FAULTS];
    uint32_t         quiet;   /* probabilities of the world that are switched off, a bit each: params_name() */
    uint64_t         salt;    /* another course of chance in the same world; 0 = that of the seed */
    const struct scenario *scenario;
};

enum world_checker {
    CHECK_NONE, CHECK_SINGLE_ACTIVE, CHECK_PROOF, CHECK_ORDER, CHECK_EPOCH, CHECK_LATE_WRITE, CHECK_END, CHECK_DEADLINE,
    CHECK_MUST_STOP, CHECK_CLAIM, CHECK_ADDRESS, CHECK_LIVELOCK, CHECK_WAKEUP, CHECK_DEAD_END, CHECK_INVARIANT, CHECK_CALM, CHECK_N
};

struct world {
    struct rng          rng;
    uint64_t            seed, now, seq, ring_seq, topology, digest, highest_run;
    struct world_params p;
    struct world_params noise;                /* of a scenario, before it begins */
    struct sim_host     host[W_HOSTS];
    struct sim_share    share;
    struct sim_device   device[CORE_DEVICES];
    struct sim_landing  landing[W_LANDINGS];
    bool                cut[W_HOSTS][W_HOSTS];  /* from, to */
    uint64_t            maintenance_until, share_old_until, foreign_address_until, served_since, healed_at, operator_at;
    uint64_t            frozen_until;         /* the network: what is asked of a fence device meanwhile gets there at the end */
    const struct sim_script *script;          /* NULL: faults are drawn */
    unsigned            script_at;
    struct sim_script   log;                  /* the faults so far */
    uint64_t            base_at, base_takeovers; /* a scenario: when it began, all being well */
    bool                healed, helped, done;
    unsigned            n_queue;
    struct world_event  queue[W_QUEUE];
    enum world_checker  failed;
    char                failure[512];
    bool                trace;
    uint64_t            takeovers, steps;
};

/* Of the whole run, over all seeds. */
extern uint64_t sim_rule_fired[W_RULES];
extern unsigned sim_rule_index[2048]; /* by rule number: index + 1 */
extern uint32_t sim_ignore;           /* checkers that are switched off, a bit each: for mutants only */
void sim_index_rules(void);

/* world.c */
void world_run(struct world *w, uint64_t seed, bool trace);
void world_run_script(struct world *w, uint64_t seed, bool trace, const struct sim_script *s);
void world_push(struct world *w, uint64_t at, enum world_event_kind kind, unsigned host, uint32_t gen, uint32_t a);
void world_fail(struct world *w, enum world_checker c, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void world_trace(struct world *w, unsigned host, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void world_digest(struct world *w, uint64_t v);
bool world_paused(const struct world *w, unsigned h);
const char *world_checker_name(enum world_checker c);

/* queue.c */
void queue_put(struct world *w, const struct world_event *e);
bool queue_take(struct world *w, struct world_event *ret);

/* params.c */
void        params_draw(struct world *w);
void        params_quiet(struct world *w, uint32_t which);   /* those probabilities become zero */
void        params_restore(struct world *w, const struct world_params *from, uint32_t quiet);
const char *params_name(unsigned i);                        /* in words; NULL = there are no more */
bool        params_is_set(const struct world *w, unsigned i);

/* share.c */
void     share_init(struct world *w);
bool     share_answers(const struct world *w, unsigned h);
uint64_t share_answers_at(const struct world *w, unsigned h);
void     share_snapshot(struct world *w, struct sim_snapshot *ret);
unsigned share_send(struct world *w, unsigned h, const struct core_action *a, uint64_t run);
void     share_land(struct world *w, unsigned landing);
bool     share_is_anothers(const struct world *w, unsigned h, const struct core_action *a);
bool     share_allows(const struct world *w, unsigned h, const struct core_action *a, uint64_t run);
bool     share_done(const struct world *w, unsigned h, const struct core_action *a, uint64_t run);
bool     share_has_open(const struct world *w, unsigned node, struct core_id boot, uint64_t below);
void     share_restore(struct world *w);                   /* a backup of a few epochs ago is put in its place */
void     share_recover(struct world *w, uint64_t n);       /* init --recover: a base, above all that was seen */

/* net.c */
void net_changed(struct world *w, uint64_t after_ms);
void net_topology(struct world *w, uint32_t version);
void net_view(struct world *w, unsigned h, uint32_t ring, uint32_t mask);
void net_send(struct world *w, unsigned h);
void net_receive(struct world *w, unsigned h);
bool net_quorate(const struct world *w, unsigned h);
bool net_has_quorum(const struct world *w, unsigned h); /* in this ring, and in the one before if votequorum is not there yet */
bool net_quorum_settling(const struct world *w, unsigned h);

/* host.c */
struct core_id host_boot_id(const struct world *w, unsigned h);
void host_power(struct world *w, unsigned h);     /* after a device changed: what follows for its host */
void host_off(struct world *w, unsigned h);
void host_reset(struct world *w, unsigned h);     /* crash and boot again */
void host_boot(struct world *w, unsigned h);
void host_switch(struct world *w, unsigned h, bool on); /* all its devices, by hand */
void host_pause(struct world *w, unsigned h, uint64_t ms);
void host_wake(struct world *w, unsigned h);
void host_stop_service(struct world *w, unsigned h);
void engine_start(struct world *w, unsigned h);
void engine_crash(struct world *w, unsigned h);
void executor_crash(struct world *w, unsigned h);
void executor_step(struct world *w, unsigned h);
void executor_again(struct world *w, unsigned h);

/* child.c */
void     child_start(struct world *w, unsigned h, const struct core_action *a);
void     child_cancel(struct world *w, unsigned h, uint64_t op_id);
void     child_event(struct world *w, const struct world_event *e);
void     child_kill_all(struct world *w, unsigned h, bool power);
unsigned child_unreaped(const struct world *w, unsigned h, bool fence);
void     child_effect(struct world *w, unsigned h, struct sim_child *c);
enum core_result child_result(struct world *w, unsigned h, struct sim_child *c);

/* driver.c */
void driver_tick(struct world *w, unsigned h);
void driver_look(struct world *w, unsigned h);
void driver_wake(struct world *w, unsigned h);
void driver_feed(struct world *w, unsigned h, struct core_event e);
void driver_facts(struct world *w, unsigned h);

/* faults.c */
void faults_begin(struct world *w);
void faults_next(struct world *w, const struct world_event *e); /* a: 1 + kind, with host and gen = length; 0 = the next in turn */
const char *fault_name(unsigned kind);
void faults_heal(struct world *w);

/* scenario.c */
const struct scenario *scenario_find(const char *name);
const struct scenario *scenario_at(unsigned i);           /* NULL = there are no more */
const char *scenario_name(const struct scenario *s);
void scenario_list(void);
void scenario_noise(struct world *w);                     /* it begins: what a noisy one draws is on */
void scenario_world(struct world *w);                     /* its world, after params_draw() */
bool scenario_resolve(struct world *w, struct sim_script *ret); /* once somebody serves: its faults, with times and hosts */
bool scenario_outcome(const struct scenario *s, uint64_t runs, uint64_t with_takeover);

/* shrink.c */
unsigned shrink(struct world *w, uint64_t seed, bool trace, const struct scenario *scenario);

/* run.c */
bool     run_one(struct world *w, uint64_t seed, const struct scenario *s);
unsigned sim_jobs(void);                          /* SIM_JOBS, else the number of cores */
bool     run_seeds(struct world *w, uint64_t first, uint64_t count, const struct scenario *s);

/* operator.c */
unsigned operator_serving(const struct world *w);          /* how many serve in full */
void operator_judge(struct world *w);
void operator_recover(struct world *w, unsigned h); /* init --recover on that host: done, or refused as the engine does */

/* checkers.c */
bool is_stopped_for_good(const struct world *w, unsigned h);
void check_action(struct world *w, unsigned h, const struct core_action *a);
void check_step(struct world *w, unsigned h, enum core_state before);
void check_world(struct world *w);
void check_write(struct world *w, unsigned h);

/* quiet.c */
void check_quiet(struct world *w, unsigned h);
void check_taken(struct world *w, unsigned h, uint64_t op_id);
void check_wakeup(struct world *w, unsigned h);

#endif
