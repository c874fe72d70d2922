/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/mailman3.h"

#define S OCF_STRING
#define I OCF_INTEGER

static const struct ocf_param params[] = {
    { "user", S, false, "list", "user of the list server",
      "The unprivileged user as which Mailman runs. It must not be root." },
    { "config", S, false, "/etc/mailman3/mailman.cfg", "Mailman's configuration file",
      "The configuration file, the same on all nodes. Its pid_file must be on the node itself, not on the share." },
    { "mailman", S, false, "/usr/lib/mailman3/bin/mailman", "Mailman's command",
      "The mailman program. Beside it lies master, which is what its start command starts." },
    { "python", S, false, "/usr/bin/python3", "Python interpreter",
      "The interpreter that the list server runs on. It also proves that the database is writable." },
    { "lock_dir", S, false, "/var/lib/mailman3/locks", "directory of Mailman's locks",
      "The directory, on the share, in which Mailman keeps master.lck." },
    { "queue_dir", S, false, "/var/lib/mailman3/queue", "directory of Mailman's queues",
      "The directory, on the share, in which Mailman keeps its queues." },
    { "pid_file", S, false, "/run/mailman3/master.pid", "process id file",
      "The process id file that the configuration names. Its directory is made at start when it is missing." },
    { "runners", S, false, "archive bounces command in lmtp nntp out pipeline rest retry task virgin digest",
      "runners that must run",
      "The runners that the configuration starts, separated by spaces: NAME, or NAME:SLICES where there are several "
      "instances. Monitor compares them one by one, because Mailman does not restart a runner that died." },
    { "lmtp_host", S, false, "127.0.0.1", "address of the LMTP runner",
      "The address at which the LMTP runner listens, usually the floating address." },
    { "lmtp_port", I, false, "8024", "port of the LMTP runner",
      "The port at which the LMTP runner listens. Intake is closed and opened there." },
    { "fqdn", S, false, 0, "this node's name in Mailman's locks",
      "What Python's socket.getfqdn() says on this node. Found as Python finds it when not given. It must differ "
      "between the nodes, because Mailman tells the owner of a lock by it." },
    { "defer_dir", S, false, UNDERSTUDY_DEFERDIR, "directory of what the recovery pass has put off",
      "A directory of the list user on the node's own disk, in which understudy-state notes what could not be recovered yet. "
      "Monitor tells how much that is; it is no failure." },
    { "db_probe", S, false, UNDERSTUDY_LIBEXECDIR "/mailman-db-probe", "program that proves the database writable",
      "Run by the interpreter as the list user, before Mailman starts and again before intake opens." },
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

const struct ocf_about mailman3_about = {
    .name = "mailman3",
    .shortdesc = "Mailman 3 on exactly one node",
    .longdesc =
        "Runs Mailman 3 on one of the nodes that share its queue.\n\n"
        "Start closes intake, proves the database writable, starts Mailman without --force, and believes in it only "
        "when the master lock names this node and process, every runner lives and LMTP greets; then it opens intake. "
        "A master lock of another node, or a stale one, makes start fail with a sentence that says whose it is.\n\n"
        "Monitor looks at /proc only, so that a share that hangs cannot make it hang. Stop kills the runners and the "
        "master at once: a killed runner leaves its message in the queue, while Mailman's own graceful stop can "
        "shunt it.\n\n"
        "Release is for a planned move: it stops each runner when it has nothing in its hands, or lets all of them go on. "
        "Resume undoes a release that was cut off. A cluster manager does not call either by itself.",
    .params = params,
    .n_params = sizeof params / sizeof params[0],
    .actions = actions,
    .n_actions = sizeof actions / sizeof actions[0],
};
