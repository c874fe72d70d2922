/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_failed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/exitcodes.h"
#include "daemon/log.h"

#include "common/banned.h"

#define EXIT_NOT_LOADED 127 /* ld.so(8) */

static void op_log(const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    unsigned long long took = now_ms - op->start_ms;
    bool bad = result == RES_FAILED || result == RES_LATE || result == RES_DUPLICATE || result == RES_FULL;

    if (bad && !op->cancelled)
        log_warning("%s: %s after %llu ms, exit %d: %s", job_name(op->job), core_result_name(result), took, (int)status,
                    op->text[0] ? op->text : "it said nothing");
    else
        log_info("%s: %s after %llu ms", job_name(op->job), op->cancelled ? "cancelled" : core_result_name(result), took);
}

static void count(struct driver_failed *f, const char *text, uint64_t now_ms)
{
    f->since_ms = f->n == 0 ? now_ms : f->since_ms;
    f->at_ms = now_ms;
    f->n++;
    (void)snprintf(f->text, sizeof f->text, "%s", text);
}

bool failed_used_up(int32_t status)
{
    int error = status <= -1000 ? -1000 - status : 0;

    return error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE;
}

/* Ended, not by us, while it was loaded or soon after: so programs end where memory is short, by the kernel's choice of a victim
 * or by a page that is not there. Their loader, if it still can, says so itself. */
bool failed_not_loaded(const struct op *op, int32_t status)
{
    if (status == EXIT_NOT_LOADED)
        return strstr(op->text, "error while loading shared libraries") != NULL;
    return !op->spoke && (status == -SIGKILL || status == -SIGSEGV || status == -SIGBUS);
}

static void say_signal(struct op *op, int number, bool loaded)
{
    const char *more = !loaded ? " before it said anything: is memory short? See `free`, and the kernel's log (`journalctl -k`)"
                     : number == SIGKILL ? ": if nobody did that, memory is short: the kernel's log (`journalctl -k`) says so"
                     : op->spoke ? "" : " and said nothing";

    (void)snprintf(op->text, sizeof op->text, "it was ended by signal %d (%s)%s", number, strsignal(number), more);
}

/* Not by its own end. */
static void say_end(struct driver *d, struct op *op, const struct wire_done *done, uint64_t now_ms)
{
    char text[OPS_TEXT_MAX];
    bool loaded = !failed_not_loaded(op, done->status);

    if (op->late || op->cancelled || done->late)
        return;
    if (!op->text[0] && done->status < 0)
        say_signal(op, -(int)done->status, loaded);
    if (loaded)
        return;
    (void)snprintf(text, sizeof text, "%s: %.500s", job_name(op->job), op->text);
    count(&d->starts, text, now_ms);
}

void failed_say(struct driver *d, struct op *op, const struct wire_done *done, uint64_t now_ms)
{
    char text[OPS_TEXT_MAX];
    int error = done->status <= -1000 ? -1000 - done->status : 0;

    if (error == 0) {
        if (op->start_ms > d->starts.at_ms && !failed_not_loaded(op, done->status))
            d->starts = (struct driver_failed){ 0 };
        say_end(d, op, done, now_ms);
        return;
    }
    if (!op->text[0])
        (void)snprintf(op->text, sizeof op->text, "it could not be started: %s", strerror(error));
    (void)snprintf(text, sizeof text, "%s: %s", job_name(op->job), strerror(error));
    if (failed_used_up(done->status))
        count(&d->starts, text, now_ms);
}

void failed_late(struct driver *d, const struct op *op, uint64_t now_ms)
{
    if (op->core_op == OP_CLAIM)
        count(&d->claims, "it was not done at its deadline, and killed", now_ms);
}

static bool is_of_service(enum core_op op)
{
    return op == OP_RECOVER || op == OP_ADDRESS_START || op == OP_ADDRESS_STOP || op == OP_SERVICE_START || op == OP_SERVICE_STOP
        || op == OP_SERVICE_MONITOR || op == OP_INTAKE_OPEN || op == OP_INTAKE_CLOSE;
}

static void note_broken(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    const char *said = op->text[0] ? op->text : op->core_op == OP_SERVICE_MONITOR && status == EXIT_DONE
                     ? "the floating address is not on this node" : "it said nothing"; /* see address_with() */
    char text[OPS_TEXT_MAX];

    if (!is_of_service(op->core_op) || op->cancelled || (result != RES_FAILED && result != RES_LATE && result != RES_FULL))
        return;
    (void)snprintf(text, sizeof text, "%s %s (exit %d): %.500s", job_name(op->job), core_result_name(result), (int)status,
                   said);
    count(&d->broken, text, now_ms);
}

void failed_note(struct driver *d, const struct op *op, int32_t status, enum core_result result, uint64_t now_ms)
{
    op_log(op, status, result, now_ms);
    note_broken(d, op, status, result, now_ms);
    if (op->core_op != OP_CLAIM || op->cancelled || op->late)
        return;
    if (result == RES_FAILED || result == RES_LATE)
        count(&d->claims, op->text[0] ? op->text : "it said nothing", now_ms);
    else
        d->claims = (struct driver_failed){ 0 };
}

bool failed_claims(const struct driver *d, uint64_t now_ms)
{
    return d->claims.n >= FAILED_CLAIMS && now_ms < d->claims.at_ms + FAILED_FRESH_MS
        && (d->core.state == ST_PASSIVE || d->core.state == ST_CLAIMING);
}

bool failed_starts(const struct driver *d, uint64_t now_ms)
{
    return d->starts.n > 0 && now_ms < d->starts.at_ms + FAILED_STARTS_MS;
}
