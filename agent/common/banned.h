/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Functions that are not used here; include it last, since poisoned names are errors from here on. Each has a bounded
 * or checked replacement: snprintf, memcpy with a known length, num.h, the executor, a deadline in poll. */
#ifndef UNDERSTUDY_BANNED_H
#define UNDERSTUDY_BANNED_H

#undef sprintf /* macros of glibc where the compiler is clang */
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat stpcpy sprintf vsprintf gets strtok strtok_r sscanf
#undef alloca /* a macro of glibc */
#pragma GCC poison atoi atol atoll atof system popen alloca sleep usleep mktemp tmpnam tempnam

#endif
