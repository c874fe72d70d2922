/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "resource/state/lock_name.h"

#include <errno.h>
#include <string.h>

#include "common/num.h"

#include "common/banned.h"

#define SEPARATOR '|'
#define PID_MAX   4194304u /* the kernel's own limit */

bool lock_name_is_claim(const char *name)
{
    return strchr(name, SEPARATOR) != NULL;
}

static int part_take(const char **p, const char *stop, char separator, char *ret, size_t size)
{
    const char *end = separator ? memchr(*p, separator, (size_t)(stop - *p)) : stop;
    size_t len = end ? (size_t)(end - *p) : 0;

    if (!end || len == 0 || len >= size || memchr(*p, '\0', len))
        return -EBADMSG;
    memcpy(ret, *p, len);
    ret[len] = '\0';
    *p = end + (separator != '\0');
    return 0;
}

static bool host_ok(const char *host)
{
    return strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:") == strlen(host);
}

int lock_claim_parse(const char *name, size_t len, struct lock_claim *ret)
{
    const char *p = name, *stop = name + len;
    struct lock_claim c;
    char pid[24], random[24];
    uint32_t pid_value;
    uint64_t random_value;

    if (part_take(&p, stop, SEPARATOR, c.lock, sizeof c.lock) || part_take(&p, stop, SEPARATOR, c.host, sizeof c.host)
        || part_take(&p, stop, SEPARATOR, pid, sizeof pid) || part_take(&p, stop, '\0', random, sizeof random))
        return -EBADMSG;
    if (strchr(c.lock, '/') || !host_ok(c.host) || num_parse_u32(pid, 1, PID_MAX, &pid_value)
        || num_parse_u64(random, 0, UINT64_MAX - 1, &random_value))
        return -EBADMSG;
    c.pid = (pid_t)pid_value;
    *ret = c;
    return 0;
}

int lock_text_parse(const char *text, size_t len, struct lock_claim *ret, char ret_name[LOCK_NAME_MAX])
{
    const char *slash = memrchr(text, '/', len);
    const char *name = slash ? slash + 1 : text;
    size_t name_len = (size_t)(text + len - name);

    if (!slash || text[0] != '/' || name_len >= LOCK_NAME_MAX || lock_claim_parse(name, name_len, ret))
        return -EBADMSG;
    memcpy(ret_name, name, name_len);
    ret_name[name_len] = '\0';
    return 0;
}
