/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Start. Intake is closed before anything else and opens last; in between nothing is believed that was not seen. */
#include <config.h>

#include "resource/listserver_start.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clock.h"
#include "resource/intake.h"

#include "common/banned.h"

enum ocf_code listserver_lock_read(const struct listserver *m, struct masterlock *ret)
{
    int rc = listuser_files_enter(&m->user);

    if (rc == 0)
        rc = masterlock_read(m->lock_dir, m->service.kind, ret);
    listuser_files_leave();
    if (rc == 0 || rc == -ENOENT) {
        if (rc == -ENOENT) /* Mailman makes the directory at its first start */
            *ret = (struct masterlock){ .state = MASTERLOCK_NONE };
        return OCF_SUCCESS;
    }
    ocf_error("cannot read the master lock in %s as user %s: %s; is the share mounted, and parameter lock_dir right?",
              m->lock_dir, m->user.name, strerror(-rc));
    return OCF_ERR_GENERIC;
}

enum ocf_code listserver_lock_refuses(const struct listserver *m)
{
    const char       *name = masterlock_name(m->service.kind);
    struct masterlock lock;
    enum ocf_code     rc = listserver_lock_read(m, &lock);

    if (rc != OCF_SUCCESS || lock.state == MASTERLOCK_NONE)
        return rc;
    ocf_record("lock name=%s host=%s pid=%ld", name, lock.state == MASTERLOCK_HELD ? lock.host : "-", (long)lock.pid);
    if (lock.state == MASTERLOCK_MALFORMED)
        ocf_error("%s/%s is there and does not say whose it is; make sure that no other node runs Mailman, then "
                  "let understudy-state recover quarantine it", m->lock_dir, name);
    else if (!strcmp(lock.host, m->lock_host))
        ocf_error("%s/%s is this node's own, of process %ld, which is not a running Mailman; let understudy-state "
                  "recover quarantine it", m->lock_dir, name, (long)lock.pid);
    else
        ocf_error("%s/%s belongs to %s, process %ld; only with a proof that %s is harmless may it go, by "
                  "understudy-state recover", m->lock_dir, name, lock.host, (long)lock.pid, lock.host);
    return OCF_ERR_GENERIC;
}

/* Bounded for ever, though the runners inherit it: no write goes beyond the sealed size. */
int listserver_said_make(void)
{
    int fd = memfd_create("mailman-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, LISTSERVER_SAID_MAX) != 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) != 0)) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static enum ocf_code prove(struct start *s)
{
    return s->starter->prove ? s->starter->prove(s) : OCF_SUCCESS;
}

static enum ocf_code fresh_start(struct start *s)
{
    enum ocf_code rc = listserver_lock_refuses(s->m);

    if (rc == OCF_SUCCESS)
        rc = prove(s);
    if (rc != OCF_SUCCESS)
        return rc;
    if (s->starter->prove)
        ocf_phase("database");
    return s->starter->launch(s);
}

enum ocf_code listserver_intake(const struct listserver *m, bool closed)
{
    int rc = closed ? intake_close(m->intake_port, m->user.uid) : intake_open(m->intake_port);

    if (rc == 0)
        return OCF_SUCCESS;
    ocf_error("cannot %s intake on port %u: %s; is nftables installed and allowed here?", closed ? "close" : "open",
              m->intake_port, rc == -EREMOTEIO ? "nft refused" : strerror(-rc));
    return OCF_ERR_GENERIC;
}

static enum ocf_code start_steps(struct start *s, bool running)
{
    enum ocf_code rc = OCF_SUCCESS;

    if (!running)
        rc = fresh_start(s);
    if (rc == OCF_SUCCESS)
        rc = listserver_service_wait(s);
    if (rc == OCF_SUCCESS)
        rc = prove(s);
    if (rc == OCF_SUCCESS)
        rc = listserver_intake(s->m, false);
    if (rc != OCF_SUCCESS)
        return rc;
    ocf_phase("intake");
    return listserver_runners_wait(s);
}

/* Intake is closed, unless everything runs already: what is whole goes on serving while it is checked. */
static enum ocf_code ground_prepare(struct listserver *m, bool *ret_running)
{
    struct listserver_view v;
    int                  rc = listserver_look(m, &v);

    *ret_running = rc == 0 && listserver_view_complete(&v);
    if (*ret_running)
        return OCF_SUCCESS;
    enum ocf_code code = listserver_intake(m, true);
    if (code != OCF_SUCCESS)
        return code;
    ocf_phase("closed");
    if (rc == 0 && v.n_alive == 0)
        return OCF_SUCCESS;
    if (rc == 0)
        listserver_view_complain(m, &v);
    else
        ocf_error("cannot tell what runs here: /proc: %s", strerror(-rc));
    return OCF_ERR_GENERIC;
}

enum ocf_code listserver_start(struct listserver *m, const struct listserver_starter *starter)
{
    struct start s = { .m = m, .starter = starter, .said = -1 };
    bool         running = false;
    int          rc;

    s.until_ms = clock_now_ms() + m->start_timeout_ms - m->start_timeout_ms / 20; /* some for saying what is wrong */
    rc = starter->begin ? starter->begin(&s) : 0;
    enum ocf_code code = ground_prepare(m, &running);
    if (rc != 0)
        code = OCF_ERR_GENERIC;
    if (code == OCF_SUCCESS)
        code = start_steps(&s, running);
    stagger_end(&s.stagger);
    if (rc == 0 && starter->end)
        starter->end(&s);
    if (code != OCF_SUCCESS)
        (void)listserver_intake(m, true);
    if (s.said >= 0)
        (void)close(s.said);
    return code;
}
