/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The one clock of this project: CLOCK_BOOTTIME, which also runs while the machine is suspended. */
#ifndef UNDERSTUDY_CLOCK_H
#define UNDERSTUDY_CLOCK_H

#include <stdint.h>

uint64_t clock_now_ms(void);
uint64_t clock_now_us(void);

/* What poll(2) may wait for until `until_ms`: 0 when it has passed, -1 for UINT64_MAX. */
int clock_poll_ms(uint64_t now_ms, uint64_t until_ms);

#endif
