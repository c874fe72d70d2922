/* SPDX-License-Identifier: GPL-2.0-or-later */
/* understudy-share: mounts the list share by its fstab entry and takes it down. It looks at mountinfo and /proc only:
 * whatever is asked of the share itself may hang for as long as its server does, and so may the two system calls. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/exitcodes.h"
#include "resource/share_busy.h"

#include "common/banned.h"

#define MOUNT_PROGRAM "/usr/bin/mount"
#define LAYERS_MAX    8 /* mounts over one another at the same place */

static int fail(const char *what, const char *point, int rc, const char *action)
{
    (void)fprintf(stderr, "understudy-share: %s %s: %s; %s\n", what, point, strerror(-rc), action);
    return EXIT_FAILED;
}

/* 0 and whether something is mounted exactly there; `ret_fstype` may be NULL. */
static int look(const char *point, bool *ret_mounted, char ret_fstype[SHARE_FSTYPE_MAX])
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    int rc = f ? share_mounted(f, point, ret_mounted, ret_fstype) : -errno;

    if (f)
        (void)fclose(f);
    return rc;
}

/* 0, or -errno; 1 when mount(8) has said what is wrong. */
static int mount_by_fstab(const char *point)
{
    static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8", name[] = "mount";
    char place[PATH_MAX], *argv[] = { name, place, NULL }, *envp[] = { path, lang, NULL };
    pid_t pid;
    int status;

    (void)snprintf(place, sizeof place, "%s", point);
    int rc = posix_spawn(&pid, MOUNT_PROGRAM, NULL, NULL, argv, envp);
    if (rc)
        return -rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int share_mount(const char *point)
{
    char fstype[SHARE_FSTYPE_MAX];
    bool mounted = false, before;
    int rc = look(point, &before, fstype);

    if (rc == 0 && !before)
        rc = mount_by_fstab(point);
    if (rc == 1) {
        (void)fprintf(stderr, "understudy-share: %s is not mounted, the line above says why; it is mounted by its entry in "
                      "/etc/fstab (option noauto): look at that entry and at the server\n", point);
        return EXIT_FAILED;
    }
    if (rc == 0)
        rc = look(point, &mounted, fstype);
    if (rc < 0)
        return fail("mounting", point, rc, "look at /etc/fstab and /proc");
    if (!mounted) {
        (void)fprintf(stderr, "understudy-share: mount said yes and nothing is mounted on %s; the entry in /etc/fstab may "
                      "name another place, or an automount: correct it\n", point);
        return EXIT_FAILED;
    }
    (void)printf("share state=mounted point=%s fstype=%s before=%d\n", point, fstype, before);
    return EXIT_DONE;
}

static int share_umount(const char *point)
{
    bool mounted = true, lazy = false;
    unsigned layers = 0;
    int rc;

    while ((rc = look(point, &mounted, NULL)) == 0 && mounted && layers < LAYERS_MAX) {
        rc = umount2(point, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
        if (rc == -EBUSY) {
            /* No list process is left when this is asked for; whoever else stands in it must not keep it here. */
            share_busy_print(point, stdout);
            lazy = true;
            rc = umount2(point, UMOUNT_NOFOLLOW | MNT_DETACH) < 0 ? -errno : 0;
        }
        if (rc < 0)
            break;
        layers++;
    }
    if (rc < 0)
        return fail("taking down", point, rc, "unmount it by hand");
    if (mounted)
        return fail("taking down", point, -EBUSY, "too many mounts lie over one another there: unmount them by hand");
    (void)printf("share state=unmounted point=%s lazy=%d mounts=%u\n", point, lazy, layers);
    return EXIT_DONE;
}

static int share_status(const char *point)
{
    char fstype[SHARE_FSTYPE_MAX] = "-";
    bool mounted = false;
    int rc = look(point, &mounted, fstype);

    if (rc < 0)
        return fail("looking for", point, rc, "look at /proc/self/mountinfo");
    (void)printf("share state=%s point=%s fstype=%s\n", mounted ? "mounted" : "unmounted", point, fstype);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    static const struct { const char *word; int (*run)(const char *); } commands[] = {
        { "mount", share_mount }, { "umount", share_umount }, { "status", share_status },
    };
    char point[PATH_MAX];
    size_t n = argc == 3 ? strlen(argv[2]) : 0;

    if (n > 1 && n < sizeof point && argv[2][0] == '/') {
        memcpy(point, argv[2], n + 1);
        while (n > 1 && point[n - 1] == '/')
            point[--n] = '\0';
        for (unsigned i = 0; n > 1 && i < sizeof commands / sizeof commands[0]; i++)
            if (!strcmp(argv[1], commands[i].word)) {
                int code = commands[i].run(point);
                return fflush(stdout) ? EXIT_FAILED : code;
            }
    }
    (void)fputs("usage: understudy-share mount|umount|status MOUNTPOINT\n", stderr);
    return EXIT_USAGE;
}
