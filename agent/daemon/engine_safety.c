/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/engine_safety.h"

#include <time.h>

#include "common/banned.h"

static json_t *wall(uint64_t unix_s)
{
    time_t at = (time_t)unix_s;
    char text[32];
    struct tm tm;

    if (!gmtime_r(&at, &tm) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return json_null();
    return json_string(text);
}

json_t *safety_json(const struct wire_safety *s)
{
    json_t *o = json_object(), *watchdog = json_object(), *fence = json_object();

    (void)json_object_set_new(watchdog, "state", json_string(wire_watchdog_name((enum wire_watchdog)s->watchdog)));
    (void)json_object_set_new(watchdog, "says", json_string(s->watchdog_says));
    (void)json_object_set_new(fence, "state", json_string(wire_self_fence_name((enum wire_self_fence)s->self_fence)));
    (void)json_object_set_new(fence, "within_hour", json_integer(s->n_recent));
    (void)json_object_set_new(fence, "stop_unproven", json_boolean(s->stop_unproven));
    if (s->last_unix_s) {
        (void)json_object_set_new(fence, "last_at", wall(s->last_unix_s));
        (void)json_object_set_new(fence, "last_epoch", json_integer((json_int_t)s->last_epoch));
        (void)json_object_set_new(fence, "last_why", json_string(s->last_why));
    }
    (void)json_object_set_new(o, "watchdog", watchdog);
    (void)json_object_set_new(o, "self_fence", fence);
    return o;
}
