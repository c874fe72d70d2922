/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The executor: starts children from a fixed table, kills them at their deadline, counts them until they are reaped,
 * and stops the service by itself when the engine is gone or silent (design: Programs and processes). It makes no
 * system call on a share and waits for nothing but poll(2). */
#ifndef UNDERSTUDY_EXECUTOR_H
#define UNDERSTUDY_EXECUTOR_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/config.h"
#include "common/wire.h"
#include "daemon/jobs.h"
#include "daemon/secrets.h"

#define EXEC_CHILDREN    32
#define EXEC_GROUPS      64
#define EXEC_ENDED       32
#define EXEC_REFUSED     16
#define EXEC_LATE_MS     50u          /* killed and not reaped for so long: the engine is told that it is late */
#define EXEC_GROUP_MS    20u          /* how often a killed child's descendants are looked for */
#define EXEC_OUTPUT_MAX  65536u       /* forwarded of one child, a second for the one that runs on */
#define EXEC_KILLED_MS   200u         /* involuntary stop: how long killed children may take to be reaped */
#define EXEC_FENCES      8            /* of the last reboots by ourselves, so many are noted */

struct exec_identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[EXEC_GROUPS];
    int   n_groups;
};

struct exec_stream {
    int    fd;                        /* -1 = closed */
    size_t len;
    bool   skip;                      /* the rest of a line that was too long */
    char   buf[WIRE_OUTPUT_MAX];
};

struct exec_child {
    pid_t    pid;                     /* 0 = free */
    uint64_t op_id;                   /* 0 = the executor's own, or of an engine that is gone */
    enum job job;
    bool     share;
    bool     workers;                 /* what it leaves behind hangs: counted until it is gone, see exec_child_reaped() */
    bool     killed, late, late_told; /* killed; at its deadline; the engine knows */
    bool     reaped;                  /* waited for; its descendants may still run */
    bool     done;                    /* `status` is final; not yet told */
    int32_t  status;
    uint64_t started_ms, ended_ms, deadline_ms, killed_ms, group_ms;
    uint64_t window_ms;               /* when `budget` was last filled up */
    size_t   budget;
    uint64_t epoch;
    const struct secret *secret;
    struct exec_stream   out[2];
};

/* engine or members: started again when it ends, with a growing pause if it ends soon. */
struct exec_helper {
    const char *name;
    pid_t       pid;
    uint64_t    started_ms, next_ms;
    uint32_t    pause_ms;
};

/* The tenure token, as it lies there. */
struct exec_token {
    int          dir_fd;              /* of a directory that is root's alone */
    bool         there;               /* maybe: to be removed */
    bool         shut;                /* the list service is not up, or is being stopped */
    struct id128 boot;
    uint64_t     epoch, run, until_ms;
    uint64_t     own_epoch, own_run;  /* of the last own of this boot: a run that adopts it has another number */
    int          write_rc;            /* of the last try: logged when it changes */
};

enum exec_step {
    STEP_RUN,                         /* an engine runs, or is about to */
    STEP_KILL,                        /* involuntary stop: everything killed, being reaped */
    STEP_SERVICE, STEP_ADDRESS,
    STEP_SHARE,                       /* the list share is taken down, if it is mounted with the service only */
    STEP_END,
    STEP_UNITS,                       /* best effort, when all the rest is over */
    STEP_OUT,                         /* stopped and asked to exit */
};

/* What makes this node active may run here: from the first job that does so until its stop is proven. Levels, and a
 * file below run_dir, so that the next executor knows it as well. */
struct exec_active {
    bool     running;
    bool     service_down, address_down; /* a stop of it has succeeded, and no start was allowed since */
    unsigned best;                    /* most of the two that were down at once since the last start: progress is more */
    bool     fell;                    /* a stop that the engine had asked for has failed */
    bool     unproven;                /* given up without a reboot: the engine holds, and tries on */
    uint64_t idle_ms;                 /* since then there was neither a permit nor a stop at work */
};

/* The watchdog device: opened, which arms it, before the first of those jobs (design: Being active is a duty). */
struct exec_watchdog {
    int      fd;                      /* -1 = not open */
    bool     tried;                   /* to open it, since the last proven stop */
    bool     locked;                  /* the driver does not let it be disarmed: petted while nothing runs here too */
    uint64_t petted_ms;
};

struct exec_options {
    const char *config_path;          /* absolute */
    const char *node;                 /* NULL = by gethostname() */
    const char *user;                 /* of engine, members and understudy-epoch */
    const char *libexec_dir, *ocf_dir, *run_dir, *gate_dir, *state_dir;
    const char *defer_dir;            /* the list user's own, on this node's disk: what the recovery pass has put off */
    int       (*reboot)(void);        /* at once, without a sync; returns only -errno. NULL = not permitted to us */
};

struct executor {
    const struct exec_options *opt;
    struct config             *cfg;
    struct jobs_context        jobs;
    struct exec_identity       root, daemon, list;
    struct secrets            *secrets;
    int32_t                   *exec_errno; /* shared with children until they exec: one a child */
    int                        null_fd, signal_fd, run_fd, state_fd;
    int                        engine_fd;  /* ours; -1 = no engine */
    int                        members_fd; /* members' end, kept so that a new members can go on with it */
    struct exec_helper         engine, members;
    struct exec_child          child[EXEC_CHILDREN];
    struct job_command         command;    /* scratch: too large for the stack */
    struct wire_msg            msg;

    bool                       permitted, maintenance; /* as the engine said last */
    uint64_t                   permit_until_ms;
    uint64_t                   engine_silent_ms, engine_look_ms; /* since its last permit or withdrawal; last counted then */
    uint64_t                   epoch;      /* of the last claim or own that this engine's run had issued; 0 = none */
    bool                       owned;      /* its own was read back */
    uint64_t                   adoptable;  /* epoch of a tenure that an earlier executor of this boot left running; 0 = none */
    uint64_t                   ended[EXEC_ENDED];
    unsigned                   n_ended;
    unsigned                   unreaped_told;
    struct exec_token          token;
    struct wire_done           refused[EXEC_REFUSED]; /* not started, or apart from what it has left behind; not yet told */
    unsigned                   n_refused;
    bool                       tell_blocked; /* the engine's socket is full: wait until it is not */

    struct exec_active         active;
    struct exec_watchdog       watchdog;
    uint64_t                   fenced_unix_s[EXEC_FENCES]; /* our own reboots of this node, the latest last */
    unsigned                   n_fenced;
    struct wire_safety         safety;     /* what is shown of these three */
    bool                       safety_told;

    enum exec_step             step;
    uint64_t                   stop_began_ms;
    unsigned                   stop_tries;
    bool                       stop_failed;
    uint64_t                   step_ms;    /* when the step must be over, or tried again */
    struct exec_child         *stop_child;
    uint64_t                   own_ops;    /* numbers of what the executor runs for itself */
    bool                       terminate;
};

/* executor.c */
/* Takes `secrets`; borrows `cfg`, and replaces what is in it at a reload. */
int  executor_init(struct executor *x, const struct exec_options *opt, struct config *cfg, struct secrets *secrets);
int  executor_run(struct executor *x); /* until asked to end; returns the exit status */

/* executor_child.c: pids and deadlines */
struct exec_spawn {
    const struct job_command *command;
    const struct exec_identity *as;
    int  fd[5];                       /* what becomes 0 to 4; -1 = nothing */
    mode_t umask;
    uint64_t keep;                    /* capabilities, of those that we have; see privileges.h */
    int32_t *ret_errno;               /* shared; set when exec failed */
};
pid_t exec_spawn(const struct exec_spawn *s); /* or -errno */
/* Starts the job; ret_child is its slot. 0 or -errno. op_id 0 = for the executor itself. */
int  exec_child_start(struct executor *x, const struct wire_run *run, uint64_t now_ms, struct exec_child **ret_child);
void exec_child_kill(struct exec_child *c, bool late, uint64_t now_ms);
/* What ended with `wstatus` by SIGSYS has made a system call that its sandbox does not allow: that is logged. */
void exec_say_forbidden(const char *name, pid_t pid, int wstatus);
/* A job that has workers and left some behind is over: they are killed, and what hangs is counted as unreaped until it is gone. */
void exec_child_reaped(struct executor *x, struct exec_child *c, int wstatus, uint64_t now_ms);
/* Deadlines and descendants; returns when it wants to be called again. */
uint64_t exec_child_tick(struct executor *x, struct exec_child *c, uint64_t now_ms);
unsigned exec_unreaped(const struct executor *x); /* killed share children that may still change it */

/* executor_output.c: what children print */
int  exec_stream_open(struct exec_stream *s, int *ret_write_fd);
void exec_stream_read(struct executor *x, struct exec_child *c, struct exec_stream *s, uint64_t now_ms);
void exec_stream_finish(struct executor *x, struct exec_child *c, uint64_t now_ms); /* drains and closes both */

/* executor_engine.c: engine and members, and what the engine says */
void exec_engine_tick(struct executor *x, uint64_t now_ms);
uint64_t exec_engine_next(const struct executor *x);
void exec_engine_read(struct executor *x, uint64_t now_ms);
/* design: packages are upgraded without an outage. Under maintenance, with the tenure owned and its service up, ends
 * everything but the list service; else does nothing and returns false. */
bool exec_engine_leave(struct executor *x, uint64_t now_ms);
bool exec_helper_ended(struct executor *x, pid_t pid, int wstatus, uint64_t now_ms); /* false = neither of them */
void exec_engine_lose(struct executor *x, const char *why, uint64_t now_ms); /* no more engine: stop everything */

/* executor_reload.c */
void exec_reload(struct executor *x);

/* executor_tell.c: what the engine is told */
void exec_tell(struct executor *x, uint64_t now_ms);
/* The answer of a job whose slot goes on without it. */
void exec_tell_answer(struct executor *x, const struct wire_done *done, uint64_t now_ms);
void exec_tell_refused(struct executor *x, const struct wire_run *run, int error, uint64_t now_ms);

/* executor_tenure.c: which jobs the state of our tenure allows, whatever the engine thinks; what was ended */
int  exec_tenure_allow(struct executor *x, const struct wire_run *run, uint64_t now_ms); /* 0 or -errno */
/* Counts `epoch` as owned by the present run if it is the one that was offered to it; else nothing. */
void exec_tenure_adopt(struct executor *x, uint64_t epoch, uint64_t now_ms);
void exec_tenure_answer(struct executor *x, const struct exec_child *c);
int  exec_ended_read(struct executor *x);
int  exec_ended_record(struct executor *x, uint64_t epoch);

/* executor_token.c: the tenure token, for the gate */
int  exec_token_open(struct executor *x);   /* 0 or -errno; removes what an executor before us has left */
/* The tenure is owned and permitted, and its list service is up. */
bool exec_token_holds(const struct executor *x, uint64_t now_ms);
void exec_token_remove(struct executor *x);
void exec_token_lose(struct executor *x);   /* the engine's run is over */
void exec_token_tick(struct executor *x, uint64_t now_ms);
void exec_token_job(struct executor *x, const struct wire_run *run); /* before it is started */
void exec_token_answer(struct executor *x, const struct exec_child *c);
/* executor_active.c: whether anything that makes this node active may run here */
void exec_active_read(struct executor *x, uint64_t now_ms); /* what an executor before has left */
int  exec_active_allow(struct executor *x, enum job j, uint64_t now_ms); /* before the job is started. 0 or -errno */
void exec_active_answer(struct executor *x, const struct exec_child *c, uint64_t now_ms);
bool exec_active_proven(struct executor *x, uint64_t now_ms); /* nothing runs here: then the watchdog is disarmed */
void exec_active_tick(struct executor *x, uint64_t now_ms);
uint64_t exec_active_next(const struct executor *x);
bool exec_mark(struct executor *x, const char *name, bool set); /* a file of ours below run_dir; false = not done */
bool exec_marked(const struct executor *x, const char *name);
void exec_safety_changed(struct executor *x); /* the engine is told, to show it */

/* executor_watchdog.c */
void exec_watchdog_init(struct executor *x, uint64_t now_ms); /* takes over one that was left armed */
void exec_watchdog_arm(struct executor *x, uint64_t now_ms);  /* once a tenure; what came of it is in x->safety */
void exec_watchdog_pet(struct executor *x, uint64_t now_ms);  /* only by who knows of a permit or of progress */
void exec_watchdog_disarm(struct executor *x, uint64_t now_ms); /* only after a proven stop */
/* Under maintenance the list service runs on without us for a while: nobody pets it then. */
void exec_watchdog_leave(struct executor *x);
void exec_watchdog_tick(struct executor *x, uint64_t now_ms);
uint64_t exec_watchdog_next(const struct executor *x);

/* executor_fence.c: reboot of this node by ourselves */
void exec_fence_read(struct executor *x);
bool exec_fence_may(struct executor *x);
bool exec_may_reboot(void);
int  exec_reboot(void);               /* for exec_options */
/* Does not return where it may and can. */
void exec_fence(struct executor *x, const char *why);

/* executor_stop.c: involuntary stop */
void exec_stop_begin(struct executor *x, uint64_t now_ms);
void exec_stop_tick(struct executor *x, uint64_t now_ms);
uint64_t exec_stop_next(const struct executor *x, uint64_t now_ms);

/* executor_start.c: what has to be right before anything runs */
int  exec_identity_find(const char *name, struct exec_identity *ret);
int  exec_directory_make(const char *path, mode_t mode, const struct exec_identity *owner);
/* executor_notify.c */
void exec_notify(const char *state);

#endif
