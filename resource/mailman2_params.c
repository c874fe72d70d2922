/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/mailman2.h"

#define S OCF_STRING
#define I OCF_INTEGER

static const struct ocf_param params[] = {
    { "generation", S, false, "2.1", "2.1 or 2.0", "The generation of Mailman: 2.1, or 2.0, which has no master." },
    { "user", S, false, "list", "user of the list server",
      "The unprivileged user as which Mailman runs. It must not be root." },
    { "prefix", S, false, "/usr/lib/mailman", "Mailman's PREFIX",
      "Where Mailman's programs are: bin/mailmanctl, or cron/qrunner of 2.0." },
    { "python", S, false, 0, "Python interpreter", "What runs mailmanctl, if not what its first line says." },
    { "lock_dir", S, false, "/var/lib/mailman/locks", "directory of Mailman's locks",
      "LOCK_DIR of mm_cfg.py, on the share. Debian's own, /var/lock/mailman, is not shared." },
    { "queue_dir", S, false, "/var/lib/mailman/qfiles", "directory of Mailman's queues",
      "QUEUE_DIR of mm_cfg.py, on the share." },
    { "list_dir", S, false, "/var/lib/mailman/lists", "directory of Mailman's lists", "LIST_DATA_DIR of mm_cfg.py, on the share." },
    { "runners", S, false,
      "ArchRunner BounceRunner CommandRunner IncomingRunner NewsRunner OutgoingRunner VirginRunner RetryRunner",
      "runners that must run",
      "QRUNNERS of mm_cfg.py, separated by spaces: NAME, or NAME:SLICES where there are several instances. Monitor compares "
      "them one by one: the master starts a runner that died again, ten times. Of generation 2.0 there are none." },
    { "intake_host", S, false, "127.0.0.1", "address of the host's MTA",
      "The address at which this host's own MTA takes mail for the lists by SMTP, usually the floating address." },
    { "intake_port", I, false, "25", "port of the host's MTA",
      "The port at which it does. Intake is closed and opened there." },
    { "state_file", S, false, "/run/understudy-mailman20/started", "where it is noted that 2.0 is started",
      "On this node, in a directory that is root's alone. Of generation 2.0 only." },
    { "gate_dir", S, false, UNDERSTUDY_GATEDIR, "directory of the tenure token",
      "Where understudyd keeps what the gate asks for. Of generation 2.0 only." },
    { "defer_dir", S, false, UNDERSTUDY_DEFERDIR, "directory of what the recovery pass has put off",
      "A directory of the list user on the node's own disk, in which understudy-state notes what could not be recovered yet. "
      "Monitor tells how much that is; it is no failure." },
    { "start_timeout_ms", I, false, "60000", "longest start in milliseconds",
      "A start that takes longer has failed. Make the timeout of the start action at least as long." },
    { "stop_timeout_ms", I, false, "15000", "longest stop in milliseconds",
      "A stop that cannot be proven by then has failed, and the node must be fenced. Make the timeout of the stop "
      "action at least as long." },
    { "release_timeout_ms", I, false, "10000", "longest wait for a safe point in milliseconds",
      "A release that has not found every runner with empty hands by then is refused, and the service goes on. Make the "
      "timeout of the release action at least stop_timeout_ms longer." },
};

static const struct ocf_action actions[] = {
    { "start", "70s", 0, 0 },
    { "stop", "20s", 0, 0 },
    { "release", "30s", 0, 0 },
    { "resume", "20s", 0, 0 },
    { "monitor", "20s", "10s", "0" },
    { "monitor", "20s", "30s", "10" },
    { "meta-data", "5s", 0, 0 },
    { "validate-all", "20s", 0, 0 },
};

const struct ocf_about mailman2_about = {
    .name = "mailman2",
    .shortdesc = "Mailman 2.1 or 2.0 on exactly one node",
    .longdesc =
        "Runs Mailman 2.1 on one of the nodes that share its directories.\n\n"
        "Start closes intake, starts Mailman by mailmanctl without -s, whose exit code says nothing, and believes in it only "
        "when the master lock names this node and process, every runner lives and the host's own MTA greets; then it opens "
        "intake. A master lock of another node, or a stale one, makes start fail with a sentence that says whose it is.\n\n"
        "Monitor looks at /proc only, so that a share that hangs cannot make it hang. Stop kills the runners and the "
        "master at once, by the processes that it sees: the process id file of Mailman 2.1 is on the share and may name "
        "anybody. A killed runner leaves its message in the queue.\n\n"
        "Of Mailman 2.0, which has no master, the service is that cron's qrunner may work: it asks the gate, which is open "
        "on the node that understudyd has made active. Without understudyd there is no gate and 2.0 is not supported.\n\n"
        "Release is for a planned move: it stops each runner when it has nothing in its hands, or lets all of them go on. "
        "Resume undoes a release that was cut off. A cluster manager does not call either by itself.",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .actions = actions,
    .n_actions = sizeof actions / sizeof actions[0],
};
