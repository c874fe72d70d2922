/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The world around an engine: the far ends of its two sockets, a clock, a share and a peer that behave as they should, and
 * what the engine may do by the answers that it was really given. The script of an input plays on it: fuzz_told.c. */
#ifndef UNDERSTUDY_TOLD_WORLD_H
#define UNDERSTUDY_TOLD_WORLD_H

#include "daemon/engine.h"

#define TOLD_EPOCHS 32
#define TOLD_BOOT_A "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
#define TOLD_BOOT_OLD "aaaaaaaa-aaaa-4aaa-8aaa-000000000000"
#define TOLD_BOOT_B "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
#define TOLD_RUN_B  UINT64_C(0xb0)
#define TOLD_RUN_OLD UINT64_C(0xa9) /* of an engine before this one */

struct told_op {                   /* a request that is not answered yet */
    struct wire_run run;
    bool            late, cancelled;
};

/* Rests on answers that were whole, in time and to the request, and on nothing else. */
struct told_tenure {
    uint64_t claimed, owned, ended; /* epochs */
    unsigned offs;                  /* times that a device of the peer has said off, since the claim */
    bool     drained, recovered, address, service;
    bool     stopped, down;         /* nothing of the list service runs; the address is not here */
    bool     released, synced;      /* a planned stop, since the last start */
};

struct told {
    struct engine      e;
    struct told_tenure tenure;
    struct told_op     op[OPS_MAX];
    unsigned           n_ops, unreaped;
    bool               stop_asked;             /* since the engine's start: from then on nothing is adopted */
    bool               permitted;
    bool               release_asked;          /* an operator's switchover that was taken */
    uint64_t           members_ms, report_ms;  /* when it was last told of these; 0 = never */

    struct core_epoch  epoch[TOLD_EPOCHS];
    unsigned           n_epochs;
    uint64_t           ring, peer_counter, peer_seq;
    bool               quorate, peer_in_ring, peer_speaks, peer_beats, peer_on, share_wrong, scan_posted, list_process;
    bool               old_boot;               /* our epochs are of a boot before this one */
    enum watch_maintenance maintenance;
    uint32_t           peer_flags;
};

/* A new engine of node a in a new world. One at a time: the sockets have the numbers that the engine expects. */
void told_begin(struct told *t);
/* Before it is told anything: the executor has found the tenure 1 still running, and offers `adoptable`. */
void told_left(struct told *t, const struct core_epoch *tenure, uint64_t adoptable);
void told_pass_ms(unsigned ms);
uint64_t told_now_ms(void);

/* Whole messages of the world as it is. */
void told_members(struct told *t);
void told_peer(struct told *t);
void told_report(struct told *t);
void told_scan(struct told *t);
/* Does what the request asks for, and says so. */
void told_answer(struct told *t, unsigned i);
/* All of it once, and a tick. */
void told_round(struct told *t);

/* Parts, for messages that are not as they should be. */
void   told_peer_message(const struct told *t, uint64_t seq, struct cpgmsg *ret);
size_t told_report_text(const struct told *t, char *buf, size_t size);
const struct told_op *told_watch(const struct told *t);
void   told_say(struct told *t, uint64_t op_id, uint32_t job, const char *text, size_t len);
void   told_done(struct told *t, const struct wire_done *done);

/* An operator's request on the command line, as root: true when it was taken. */
bool told_ask(struct told *t, const char *request);

/* To the engine, of `size` bytes; it takes it at once. */
void told_from_executor(struct told *t, const struct wire_msg *m, size_t size);
void told_from_members(struct told *t, const struct wire_msg *m, size_t size);
void told_tick(struct told *t);

#endif
