/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:mailman2 */
#include <config.h>

#include "resource/deferred.h"
#include "resource/mailman2.h"

static struct listserver mailman2;

static bool has_master(void)
{
    return mailman2.service.kind == LIST_MAILMAN21;
}

static enum ocf_code validate(unsigned level)
{
    enum ocf_code rc = mailman2_params_read(&mailman2);

    if (rc == OCF_SUCCESS && level >= 10)
        rc = listserver_user_need(&mailman2);
    if (rc == OCF_SUCCESS && level >= 10)
        rc = mailman2_host_check(&mailman2);
    return rc;
}

static enum ocf_code start(void)
{
    enum ocf_code rc = listserver_user_need(&mailman2);

    if (rc == OCF_SUCCESS)
        rc = mailman2_host_check(&mailman2);
    if (rc != OCF_SUCCESS)
        return rc;
    return has_master() ? listserver_start(&mailman2, &mailman21_starter) : mailman20_start(&mailman2);
}

/* As of the other actions: where the list user does not exist a wrong name would make us blind. */
static enum ocf_code stop(void)
{
    enum ocf_code rc = listserver_user_need(&mailman2);

    if (rc != OCF_SUCCESS)
        return rc;
    return has_master() ? listserver_stop(&mailman2) : mailman20_stop(&mailman2);
}

static enum ocf_code monitor(unsigned level)
{
    enum ocf_code rc = listserver_user_need(&mailman2);

    if (rc != OCF_SUCCESS)
        return rc;
    rc = has_master() ? listserver_monitor(&mailman2, level) : mailman20_monitor(&mailman2, level);
    if (rc == OCF_SUCCESS)
        deferred_record(&mailman2.user, mailman2.defer_dir);
    return rc;
}

static enum ocf_code release(void)
{
    enum ocf_code rc = listserver_user_need(&mailman2);

    if (rc != OCF_SUCCESS)
        return rc;
    return has_master() ? listserver_release(&mailman2) : mailman20_release(&mailman2);
}

static enum ocf_code resume(void)
{
    enum ocf_code rc = listserver_user_need(&mailman2);

    if (rc != OCF_SUCCESS)
        return rc;
    return has_master() ? listserver_resume(&mailman2) : mailman20_resume(&mailman2);
}

int main(int argc, char **argv)
{
    static const struct ocf_agent agent = {
        .about = &mailman2_about, .metadata = mailman2_metadata,
        .validate = validate, .start = start, .stop = stop, .monitor = monitor,
        .release = release, .resume = resume,
    };

    return ocf_main(argc, argv, &agent);
}
