/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/clock.h"

#include <limits.h>
#include <time.h>

#include "common/banned.h"

uint64_t clock_now_us(void)
{
    struct timespec t = { 0 };

    (void) clock_gettime(CLOCK_BOOTTIME, &t); /* cannot fail: the clock exists since Linux 2.6.39 */
    return (uint64_t) t.tv_sec * 1000000u + (uint64_t) t.tv_nsec / 1000u;
}

uint64_t clock_now_ms(void)
{
    return clock_now_us() / 1000u;
}

int clock_poll_ms(uint64_t now_ms, uint64_t until_ms)
{
    if (until_ms == UINT64_MAX)
        return -1;
    if (until_ms <= now_ms)
        return 0;
    uint64_t d = until_ms - now_ms;
    return d > INT_MAX ? INT_MAX : (int) d;
}
