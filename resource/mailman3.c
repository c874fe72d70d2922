/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ocf:understudy:mailman3 */
#include <config.h>

#include "resource/deferred.h"
#include "resource/mailman3.h"

static struct listserver mailman3;

static enum ocf_code validate(unsigned level)
{
    enum ocf_code rc = mailman3_params_read(&mailman3);

    if (rc == OCF_SUCCESS && level >= 10)
        rc = listserver_user_need(&mailman3);
    if (rc == OCF_SUCCESS && level >= 10)
        rc = mailman3_host_check(&mailman3);
    return rc;
}

static enum ocf_code start(void)
{
    enum ocf_code rc = listserver_user_need(&mailman3);

    if (rc == OCF_SUCCESS)
        rc = mailman3_host_check(&mailman3);
    return rc == OCF_SUCCESS ? listserver_start(&mailman3, &mailman3_starter) : rc;
}

/* Where the list user does not exist nothing of it can run, but a wrong name would make us blind: that is an error. */
static enum ocf_code stop(void)
{
    enum ocf_code rc = listserver_user_need(&mailman3);

    return rc == OCF_SUCCESS ? listserver_stop(&mailman3) : rc;
}

static enum ocf_code monitor(unsigned level)
{
    enum ocf_code rc = listserver_user_need(&mailman3);

    if (rc == OCF_SUCCESS)
        rc = listserver_monitor(&mailman3, level);
    if (rc == OCF_SUCCESS)
        deferred_record(&mailman3.user, mailman3.defer_dir);
    return rc;
}

static enum ocf_code release(void)
{
    enum ocf_code rc = listserver_user_need(&mailman3);

    return rc == OCF_SUCCESS ? listserver_release(&mailman3) : rc;
}

static enum ocf_code resume(void)
{
    enum ocf_code rc = listserver_user_need(&mailman3);

    return rc == OCF_SUCCESS ? listserver_resume(&mailman3) : rc;
}

int main(int argc, char **argv)
{
    static const struct ocf_agent agent = {
        .about = &mailman3_about, .metadata = mailman3_metadata,
        .validate = validate, .start = start, .stop = stop, .monitor = monitor,
        .release = release, .resume = resume,
    };

    return ocf_main(argc, argv, &agent);
}
