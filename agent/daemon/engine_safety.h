/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The second line, as the executor says it: for status and explain. */
#ifndef UNDERSTUDY_ENGINE_SAFETY_H
#define UNDERSTUDY_ENGINE_SAFETY_H

#include <jansson.h>

#include "common/wire.h"

/* A new object with `watchdog` and `self_fence`; NULL only when memory is out. */
json_t *safety_json(const struct wire_safety *s);

#endif
