/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mountinfo, in which a user who may mount by FUSE chooses names: the kernel escapes the blanks in them. Those who read it
 * agree, and another's line does not hide or change ours. */
#include <config.h>

#include <errno.h>

#include "resource/epoch/epoch_share.h"
#include "resource/openfiles.h"
#include "resource/share_busy.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 4000

static FILE *text_open(const char *text)
{
    FILE *f = fmemopen((void *)(uintptr_t)text, strlen(text), "r");

    PROMISE(f);
    return f;
}

static int find(const char *text, uint64_t id, struct epoch_mount *ret)
{
    FILE *f = text_open(text);
    int   rc = epoch_mount_find(f, id, ret);

    (void)fclose(f);
    return rc;
}

static int mounted(const char *text, const char *point, bool *ret, char fstype[SHARE_FSTYPE_MAX])
{
    FILE *f = text_open(text);
    int   rc = share_mounted(f, point, ret, fstype);

    (void)fclose(f);
    return rc;
}

static void any_try(const char *text)
{
    uint64_t           id = strtoull(text, NULL, 10);
    uint32_t           major_no = 7, minor_no = 7;
    struct epoch_mount m;
    char               fstype[SHARE_FSTYPE_MAX] = "";
    bool               there = false;

    if (!openfiles_mount_find(text, id, &major_no, &minor_no))
        PROMISE(major_no == 7 && minor_no == 7);
    int rc = find(text, id, &m);
    PROMISE(rc == 0 || rc == -ENOENT || rc == -EBADMSG);
    if (rc != 0)
        return;
    PROMISE(memchr(m.point, '\0', sizeof m.point) && memchr(m.fstype, '\0', sizeof m.fstype));
    PROMISE(memchr(m.source, '\0', sizeof m.source));
    rc = mounted(text, m.point, &there, fstype);
    PROMISE(rc == -EBADMSG || (rc == 0 && there));
    PROMISE(memchr(fstype, '\0', sizeof fstype));
}

/* As the kernel writes a name: blanks, line ends, backslashes and # as \ooo. */
static void mangle(const char *name, char *to)
{
    for (; *name; name++)
        if (strchr(" \t\n\\#", *name))
            to += snprintf(to, 5, "\\%03o", (unsigned)*name);
        else
            *to++ = *name;
    *to = '\0';
}

/* A mount of somebody's, named as he likes, before ours and after it. */
static void foreign_try(const char *name)
{
    char              *text, *mangled = malloc(4 * strlen(name) + 1), fstype[SHARE_FSTYPE_MAX];
    uint32_t           major_no, minor_no;
    struct epoch_mount m;
    bool               there;

    PROMISE(mangled);
    mangle(name, mangled);
    PROMISE(asprintf(&text, "41 1 0:50 / /home/u/%s rw,nosuid shared:9 - fuse.%s %s rw,user_id=1000\n"
                     "42 1 0:51 / /srv/list\\040s rw,relatime shared:7 - nfs4 files:/lists rw,vers=4.2\n"
                     "43 1 0:52 %s /home/u/%s rw - fuse %s rw\n", mangled, mangled, mangled, mangled, mangled, mangled) > 0);
    PROMISE(find(text, 42, &m) == 0 && !strcmp(m.point, "/srv/list s") && !strcmp(m.fstype, "nfs4"));
    PROMISE(!strcmp(m.source, "files:/lists"));
    PROMISE(openfiles_mount_find(text, 42, &major_no, &minor_no) && major_no == 0 && minor_no == 51);
    PROMISE(mounted(text, "/srv/list s", &there, fstype) == 0 && there && !strcmp(fstype, "nfs4"));
    PROMISE(mounted(text, "/srv", &there, NULL) == 0 && !there);
    free(text);
    free(mangled);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size, INPUT_MAX);

    if (text && size > 0) {
        any_try(text);
        foreign_try(text);
    }
    free(text);
    return 0;
}
