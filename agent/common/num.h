/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Strict numbers: the whole text is the number, or it is refused. `ret` is untouched unless 0 is returned. */
#ifndef UNDERSTUDY_NUM_H
#define UNDERSTUDY_NUM_H

#include <stdint.h>

/* Decimal digits only: no sign, no space, no empty text. -EINVAL, or -ERANGE outside [min, max]. */
int num_parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret);
int num_parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *ret);
/* Exactly 16 hexadecimal digits: a run id. -EINVAL otherwise. */
int num_parse_hex64(const char *text, uint64_t *ret);
/* A number with its unit: 150ms, 2s, 5m, 1h; also 1.5s. -EINVAL, or -ERANGE outside [min_ms, max_ms]. */
int num_parse_duration_ms(const char *text, uint32_t min_ms, uint32_t max_ms, uint32_t *ret_ms);

/* A size with its unit, "64M", "2G", "1T" (1024 each), in MiB. */
int num_parse_size_mib(const char *text, uint32_t min_mib, uint32_t max_mib, uint32_t *ret_mib);

#endif
