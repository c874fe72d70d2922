/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy gate: nobody starts the list server or its jobs on a node without the tenure. Open only when the token of
 * the executor and epoch.N.own on the control share say the same, now; a gate that cannot tell is closed. */
#include <config.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/gate_look.h"
#include "common/bootid.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/exitcodes.h"
#include "common/tenure.h"
#include "resource/epoch/epoch.h"

#include "common/banned.h"

#define TOKEN_OWNER 0 /* root */
#define SEE_STATUS  "`understudy status` on the nodes says which one is active"

struct closed { const char *why, *what, *action; };

static const struct closed token_closed[TENURE_FAULT_N] = {
    [TENURE_MISSING] = { "no-token", "this node does not hold the tenure, or its list service is not up",
        "do it on the active node (" SEE_STATUS "); to bring the service here: understudy switchover" },
    [TENURE_UNREADABLE] = { "token-unreadable", "the tenure token cannot be read",
        "look at its directory: mode 0755, owner root; understudyd makes it when it starts" },
    [TENURE_UNSAFE] = { "token-unsafe", "somebody else than root could have made the tenure token",
        "find out who; then remove it and its directory and restart understudyd" },
    [TENURE_MALFORMED] = { "token-malformed", "the tenure token cannot be understood",
        "install the same version of understudy as a whole, then restart understudyd" },
    [TENURE_OTHER_CLUSTER] = { "other-cluster", "the tenure token is of another cluster than the configuration",
        "correct the name in the configuration, or give the right file with --config" },
    [TENURE_OTHER_BOOT] = { "other-boot", "the tenure token is of another boot of this machine",
        "remove it: /run should not outlive a boot; " SEE_STATUS },
    [TENURE_EXPIRED] = { "token-expired", "the tenure token has expired: understudyd does not renew it",
        "look at understudyd (systemctl status understudy); " SEE_STATUS },
};

static const struct closed share_closed[LOOK_N] = {
    [LOOK_SILENT] = { "share-silent", "the control share does not answer within share_deadline",
        "see to its server; nothing else is needed once it answers" },
    [LOOK_ERROR] = { "share-error", "the control share could not be asked", "see to the mount and its server" },
    [LOOK_WRONG] = { "share-wrong", "the control share is not the one that is configured, or its epochs are not sound", "" },
    [LOOK_NO_OWN] = { "no-own", "the control share has no tenure of this node, boot and run under the token's epoch",
        "look at the epochs (understudy-epoch read as user " UNDERSTUDY_USER "); " SEE_STATUS },
    [LOOK_ENDED] = { "ended", "this node's epoch has ended", SEE_STATUS },
    [LOOK_HIGHER] = { "higher-epoch", "a higher epoch exists: another node takes over, or has done so", SEE_STATUS },
    [LOOK_NO_USER] = { "no-user", "root does not look at a share, and there is no user " UNDERSTUDY_USER,
        "create it as a system user" },
};

/* With --quiet, not being the active node is nothing to write a mail about; everything else is. */
static int refuse(const struct cli *c, const struct closed *why, const char *detail, const char *action)
{
    if (c->json) {
        json_t *o = json_pack("{s:b, s:s, s:s, s:s, s:s}", "open", 0, "why", why->why, "what", why->what, "detail", detail,
                              "action", action);
        (void)cli_print_json(o);
        json_decref(o);
    } else if (!c->quiet || why != &token_closed[TENURE_MISSING]) {
        (void)fprintf(stderr, "understudy: gate closed (%s): %s%s%s; %s\n", why->why, why->what, detail[0] ? ": " : "",
                      detail, action);
    }
    return EXIT_FAILED;
}

static int refuse_share(const struct cli *c, const struct config *cfg, const struct gate_answer *a)
{
    const struct closed *why = &share_closed[a->result];
    const char *action = why->action;
    char detail[256] = "";

    if (a->result == LOOK_ERROR)
        (void)snprintf(detail, sizeof detail, "%s: %s", a->call, strerror(a->error));
    else if (a->result == LOOK_WRONG)
        (void)snprintf(detail, sizeof detail, "%.200s (%s)", cfg->control_share, a->word);
    else if (a->result == LOOK_HIGHER)
        (void)snprintf(detail, sizeof detail, "epoch %llu", (unsigned long long)a->highest);
    else if (a->result == LOOK_SILENT)
        (void)snprintf(detail, sizeof detail, "%.200s", cfg->control_share);
    if (a->result == LOOK_WRONG)
        action = epoch_why_action(a->word);
    return refuse(c, why, detail, action);
}

static enum tenure_fault token_look(const struct cli *c, const struct config *cfg, struct tenure *ret)
{
    struct id128 boot;
    enum tenure_fault fault = tenure_read(c->gatedir, TOKEN_OWNER, ret);

    if (fault != TENURE_SOUND)
        return fault;
    return bootid_read(&boot) ? TENURE_UNREADABLE : tenure_check(ret, cfg->cluster, &boot, clock_now_ms());
}

static int command_exec(const struct cli *c)
{
    (void)fflush(stdout);
    (void)execvp(c->rest[0], c->rest);
    (void)fprintf(stderr, "understudy: the gate is open, but %s cannot be started: %s\n", c->rest[0], strerror(errno));
    return EXIT_USAGE;
}

int cmd_gate(const struct cli *c)
{
    static struct config cfg;
    struct tenure t, again;
    struct gate_answer a;

    if (config_read_owned(c->config, TOKEN_OWNER, &cfg, stderr))
        return EXIT_USAGE;
    enum tenure_fault fault = token_look(c, &cfg, &t);
    if (fault != TENURE_SOUND)
        return refuse(c, &token_closed[fault], c->gatedir, token_closed[fault].action);
    gate_look(&cfg, &t, &a);
    if (a.result != LOOK_OURS)
        return refuse_share(c, &cfg, &a);
    fault = token_look(c, &cfg, &again); /* the look took its time: it may have been taken away meanwhile */
    if (fault == TENURE_SOUND && (again.epoch != t.epoch || again.run != t.run))
        fault = TENURE_MISSING;
    if (fault != TENURE_SOUND)
        return refuse(c, &token_closed[fault], c->gatedir, token_closed[fault].action);
    if (c->rest)
        return command_exec(c);
    if (c->json)
        (void)printf("{\"open\": true, \"node\": \"%s\", \"epoch\": %llu}\n", t.node, (unsigned long long)t.epoch);
    else if (!c->quiet)
        (void)printf("gate open: node %s holds epoch %llu\n", t.node, (unsigned long long)t.epoch);
    return EXIT_DONE;
}
