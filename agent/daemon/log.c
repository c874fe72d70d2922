/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <qb/qbdefs.h>
#include <qb/qblog.h>

#include "common/banned.h"

static bool stderr_leads_somewhere(void)
{
    struct stat err, null;

    if (fstat(STDERR_FILENO, &err) != 0)
        return false;
    return stat("/dev/null", &null) != 0 || err.st_rdev != null.st_rdev || !S_ISCHR(err.st_mode);
}

void log_open(const char *program, int least_priority)
{
    int32_t target = stderr_leads_somewhere() ? QB_LOG_STDERR : QB_LOG_SYSLOG;

    qb_log_init(program, LOG_DAEMON, (uint8_t) least_priority);
    (void) qb_log_ctl(QB_LOG_SYSLOG, QB_LOG_CONF_ENABLED, QB_FALSE);
    (void) qb_log_filter_ctl(target, QB_LOG_FILTER_ADD, QB_LOG_FILTER_FILE, "*", (uint8_t) least_priority);
    qb_log_format_set(target, target == QB_LOG_STDERR ? "%T %p %N: %b" : "%b");
    (void) qb_log_ctl(target, QB_LOG_CONF_ENABLED, QB_TRUE);
    (void) qb_log_ctl(target, QB_LOG_CONF_THREADED, QB_TRUE);
    (void) qb_log_thread_start();
}

void log_close(void)
{
    qb_log_fini();
}

void log_write(int priority, const char *format, ...)
{
    char text[1024];
    va_list ap;

    va_start(ap, format);
    (void) vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    qb_log_from_external_source(__func__, __FILE__, "%s", (uint8_t) priority, (uint32_t) __LINE__, 0, text);
}
