/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "daemon/members.h"

#include <stdlib.h>
#include <string.h>

#include <corosync/cmap.h>

#include "common/banned.h"

static enum members_result result_of(cs_error_t rc)
{
    if (rc == CS_OK)
        return MEMBERS_OK;
    if (rc == CS_ERR_TRY_AGAIN)
        return MEMBERS_TRY_AGAIN;
    return rc == CS_ERR_ACCESS ? MEMBERS_REFUSED : MEMBERS_LOST;
}

/* Is the key set to something else than `no`? `preset` is what its absence means. */
static enum members_result is_on(cmap_handle_t handle, const char *key, const char *no, bool preset, bool *ret)
{
    char *text = NULL;
    cs_error_t rc = cmap_get_string(handle, key, &text);

    if (rc == CS_ERR_NOT_EXIST) {
        *ret = preset;
        return MEMBERS_OK;
    }
    if (rc != CS_OK)
        return result_of(rc);
    *ret = strcmp(text, no) != 0;
    free(text);
    return MEMBERS_OK;
}

#define DETECT_MAX_MS 60000u /* more is taken for this */

static uint32_t detect_ms(cmap_handle_t handle)
{
    uint32_t token = 0, consensus = 0;

    if (cmap_get_uint32(handle, "runtime.config.totem.token", &token) != CS_OK
        || cmap_get_uint32(handle, "runtime.config.totem.consensus", &consensus) != CS_OK)
        return 0;
    return token < DETECT_MAX_MS && consensus < DETECT_MAX_MS - token ? token + consensus : DETECT_MAX_MS;
}

/* As corosync itself reads them: secauth presets cipher and hash, each of which may be set by itself. */
enum members_result members_cmap_read(bool *ret_encrypted, uint32_t *ret_detect_ms)
{
    cmap_handle_t handle;
    bool secauth = false, cipher = false, hash = false;
    enum members_result r = result_of(cmap_initialize(&handle));

    if (r != MEMBERS_OK)
        return r;
    r = is_on(handle, "totem.secauth", "off", false, &secauth);
    if (r == MEMBERS_OK)
        r = is_on(handle, "totem.crypto_cipher", "none", secauth, &cipher);
    if (r == MEMBERS_OK)
        r = is_on(handle, "totem.crypto_hash", "none", secauth, &hash);
    *ret_detect_ms = detect_ms(handle);
    (void) cmap_finalize(handle);
    if (r == MEMBERS_OK)
        *ret_encrypted = cipher && hash;
    return r;
}

enum members_result members_wait_cancel(void)
{
    cmap_handle_t handle;
    enum members_result r = result_of(cmap_initialize(&handle));

    if (r != MEMBERS_OK)
        return r;
    r = result_of(cmap_set_uint8(handle, "quorum.cancel_wait_for_all", 1));
    (void) cmap_finalize(handle);
    return r;
}
