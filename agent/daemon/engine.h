/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of the engine and their wiring; nothing outside understudy-engine includes this. */
#ifndef UNDERSTUDY_ENGINE_H
#define UNDERSTUDY_ENGINE_H

#include <limits.h>
#include <sys/stat.h>

#include <qb/qbloop.h>

#include "common/listproc.h"
#include "common/wire.h"
#include "daemon/engine_driver.h"
#include "daemon/engine_facts.h"
#include "daemon/engine_ipc.h"
#include "daemon/engine_report.h"
#include "daemon/engine_request.h"
#include "daemon/engine_watch.h"
#include "daemon/engine_worker.h"

#define ENGINE_TICK_MS        100
#define ENGINE_GAP_MS        1000u /* more than this between two of our own ticks: time has passed without us */
#define ENGINE_STATUS_MS     1000u
#define ENGINE_SCAN_MS       1000u
#define ENGINE_FENCE_MS     60000u /* each device is asked this often, so that a dead one is known before it is needed */
#define ENGINE_FENCE_FIRST_MS 5000u
#define ENGINE_RECV_MAX        64  /* messages taken from one socket before the others have their turn */

struct engine_scan {
    struct worker_job    job;      /* first: cast back */
    struct engine       *engine;
    bool                 busy;
    uid_t                uid;
    struct listproc_service service;
    uint64_t             began_ms;
    unsigned             round;
    int                  rc;
    struct listproc_list list;
};

struct engine {
    struct {
        const char *config, *node, *rundir, *statedir, *ipc;
        bool        verbose;
        uint64_t    adoptable;
    } opt;
    struct config     cfg;
    unsigned          self;
    uint64_t          run;
    struct id128      boot;
    uid_t             list_uid;

    struct facts      facts;
    struct report     report;
    struct driver     driver;
    struct watch      watch;
    struct request_ctx request;

    qb_loop_t        *loop;
    struct worker     scanner, writer;
    int               tick_fd, wake_fd;
    struct engine_scan scan;
    int               scan_rc;       /* of the last one: logged when it changes */

    uint64_t          last_ms;       /* when the loop last took something: a gap is seen by it */
    uint64_t          scan_next_ms, status_next_ms, message_next_ms, fence_next_ms;
    unsigned          fence_device;
    bool              status_queued;
    uint64_t          message_seq;
    uint32_t          message_flags, message_state; /* as last sent */
    char              status_path[PATH_MAX], reports_dir[PATH_MAX];
};

/* engine_parts.c */
void engine_parts_init(struct engine *e, uint64_t now_ms);
/* Every callback begins and ends with these: the first sees a gap in our time before anything else is looked at. */
uint64_t engine_enter(struct engine *e);
void engine_leave(struct engine *e);
void engine_message_send(struct engine *e, uint64_t now_ms);
void engine_scan_post(struct engine *e, uint64_t now_ms);
void engine_fence_round(struct engine *e, uint64_t now_ms);

/* engine_rogue.c: names list processes that were seen on a node without the tenure. */
void engine_rogue_look(struct engine *e, const struct listproc_list *seen, uint64_t now_ms);

/* engine_events.c */
int32_t engine_on_members(int32_t fd, int32_t revents, void *data);
int32_t engine_on_executor(int32_t fd, int32_t revents, void *data);
int32_t engine_on_tick(int32_t fd, int32_t revents, void *data);
int32_t engine_on_wake(int32_t fd, int32_t revents, void *data);
int32_t engine_on_scanner(int32_t fd, int32_t revents, void *data);
int32_t engine_on_writer(int32_t fd, int32_t revents, void *data);
/* Takes what members has sent, without letting the core look. Returns true when the ring or membership changed. */
bool engine_members_drain(struct engine *e, uint64_t now_ms);

#endif
