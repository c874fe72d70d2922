/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The words that the table in rules.c is written in: guards read, effects write everything but the state. */
#ifndef UNDERSTUDY_CORE_RULES_H
#define UNDERSTUDY_CORE_RULES_H

#include "core/private.h"

#define CORE_GUARDS(X) \
    X(always) \
    X(dead_spoke) X(outranked) X(tenure_lost) X(cluster_lost) X(share_bad) X(share_lost) X(unconfirmed) \
    X(ground_lost) X(proof_fell) X(own_fell) X(off_beats) \
    X(nothing_runs_hold) X(nothing_runs) X(stop_due) X(service_stop_ok) X(address_stop_ok) X(address_stop_ok_claim) \
    X(stop_failed) X(stop_failed_claim) X(stop_again) X(hold_stop_due) X(failures_counted) \
    X(own_stray) X(claim_stuck) X(may_resume) X(may_claim) X(split) X(service_appeared) \
    X(claim_ok) X(claim_failed) \
    X(not_needed) X(ended) X(rebooted) X(acknowledge) \
    X(off_answered) X(first_off) X(second_off_more) X(second_off_sweep) X(sweep_off_more) X(proven_off) \
    X(fence_failed_level) X(fence_failed) X(fence_go_on) X(fence_begin) X(no_device) \
    X(proofs_drain) X(proofs_own) \
    X(drain_ok) X(drain_failed) X(own_ok) X(own_failed) \
    X(recover_ok) X(recover_full) X(recover_again) X(op_failed) X(address_ok) X(address_duplicate) X(service_ok) \
    X(share_hangs) X(lists_refuse) X(intake_closed) X(intake_failed) X(intake_may_open) X(intake_opened) \
    X(monitor_due) X(monitor_ok) X(monitor_restart) X(monitor_failed) X(fence_on_due) X(fence_on_answered) \
    X(release_asked) X(release_ok) X(release_forced) X(release_refused) X(resume_ok) X(resume_failed) X(sync_ok) \
    X(release_failed) X(restart_stop_failed) X(may_adopt) X(adopt_ok) X(adopt_failed) \
    X(end_due) X(end_ok_hold) X(end_ok) X(end_failed)

#define CORE_EFFECTS(X) \
    X(observe) X(run_service_stop) X(run_address_stop) X(run_claim) X(run_drain) X(run_own) X(run_recover) X(retry_recover) \
    X(run_address) X(run_service) X(run_monitor) X(run_release) X(run_resume) X(run_sync) \
    X(run_intake_close) X(run_intake_open) X(run_end) X(run_fence) \
    X(run_fence_on) \
    X(blame_dead) X(blame_outranked) X(blame_cluster) X(blame_share_bad) X(blame_share_lost) X(blame_gap) \
    X(blame_ground) X(blame_duplicate) X(blame_lives) X(blame_proof) X(count_failure) \
    X(blame_release) X(blame_sync) \
    X(hold) X(alert) X(alert_split) X(alert_no_device) X(alert_fence) X(alert_service) X(alert_unproven) \
    X(stop_unproven) X(retry_later) \
    X(forget_claim) X(must_stop) X(reread) X(withdraw) X(release_end) X(end_stray) \
    X(pause_end) X(drop_proofs) X(void_proof) X(begin_proofs) \
    X(prove_not_needed) X(prove_ended) X(prove_rebooted) X(prove_acknowledged) X(prove_off) \
    X(fence_target) X(fence_first) X(fence_second) X(fence_next_device) X(fence_sweep) X(fence_sweep_next) X(fence_next_level) \
    X(fence_back_off) \
    X(note_stopped) X(note_drained) X(note_owned) X(note_no_room) X(note_active) X(note_open) X(note_monitored) \
    X(note_ended) X(cancel) X(clear) X(forget_failures) X(note_release) X(adopt) X(note_adopted)

#define CORE_DECLARE_GUARD(name) bool guard_##name(const struct core *c, const struct core_event *e);
#define CORE_DECLARE_EFFECT(name) void do_##name(struct core_turn *t);
CORE_GUARDS(CORE_DECLARE_GUARD)
CORE_EFFECTS(CORE_DECLARE_EFFECT)

#endif
