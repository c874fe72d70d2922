/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calls that sandbox_test.c makes inside, and by whom each is allowed. Those that would do harm are aimed at nothing. */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include "common/sandbox.h"
#include "sandbox_calls.h"

#include "common/banned.h"

#define ALL     ((1u << SANDBOX_N) - 1)
#define ONLY(p) (1u << SANDBOX_##p)
#define MAKING  (ONLY(RECOVER) | ONLY(PASS) | ONLY(WORKER)) /* of understudy-state, those that make files */

void sandbox_do_execve(void)
{
    char *const argv[] = { (char[]){ "x" }, NULL };
    char *const envp[] = { NULL };

    (void) execve("/nowhere/x", argv, envp); /* not there: a program that is would be killed in its own first calls */
}

static void do_fork(void)
{
    if (fork() == 0)
        _exit(0);
}

static void *nothing(void *arg)
{
    return arg;
}

static void do_thread(void)
{
    pthread_t t;

    (void) !pthread_create(&t, NULL, nothing, NULL);
}

static void do_socket_inet(void)
{
    (void) !socket(AF_INET, SOCK_STREAM, 0);
}

static void do_socket_inet6(void)
{
    (void) !socket(AF_INET6, SOCK_DGRAM, 0);
}

static void do_socket_netlink(void)
{
    (void) !socket(AF_NETLINK, SOCK_RAW, 0);
}

static void do_socket_packet(void)
{
    (void) !socket(AF_PACKET, SOCK_RAW, 0);
}

static void do_socket_unix(void)
{
    (void) !socket(AF_UNIX, SOCK_STREAM, 0);
}

static void do_socketpair(void)
{
    int fd[2];

    (void) !socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
}

static void do_wait(void)
{
    (void) !waitpid(-1, NULL, WNOHANG);
}

static void do_kill(void)
{
    (void) kill(INT_MAX, SIGKILL); /* nobody */
}

static void do_death(void)
{
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void do_listen(void)
{
    (void) !listen(0, 1);
}

static void do_ptrace(void)
{
    (void) ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static void do_vm_read(void)
{
    (void) syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static void do_mount(void)
{
    (void) mount("none", "/proc", "tmpfs", 0, NULL);
}

static void do_umount(void)
{
    (void) umount2("/nowhere", MNT_DETACH);
}

static void do_unshare(void)
{
    (void) syscall(SYS_unshare, 0);
}

static void do_chroot(void)
{
    (void) !chroot("/nowhere");
}

static void do_reboot(void)
{
    (void) syscall(SYS_reboot, 0, 0, 0, NULL); /* no command */
}

static void do_setuid(void)
{
    (void) !setuid(getuid());
}

static void do_mknod(void)
{
    (void) mknod("/nowhere/x", S_IFIFO | 0600, 0);
}

static void do_symlink(void)
{
    (void) !symlink("x", "/nowhere/x");
}

static void do_link(void)
{
    (void) !linkat(AT_FDCWD, "/nowhere/x", AT_FDCWD, "/nowhere/y", 0);
}

static void do_unlink(void)
{
    (void) unlinkat(AT_FDCWD, "/nowhere/x", 0);
}

static void do_rename(void)
{
    (void) renameat(AT_FDCWD, "/nowhere/x", AT_FDCWD, "/nowhere/y");
}

static void do_chown(void)
{
    (void) !fchownat(AT_FDCWD, "/nowhere/x", 0, 0, 0);
}

static void do_open_read(void)
{
    (void) !open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void do_open_directory(void)
{
    (void) !open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void do_open_write(void)
{
    (void) !open("/dev/null", O_WRONLY | O_CLOEXEC);
}

static void do_open_both(void)
{
    (void) !open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void do_open_truncate(void)
{
    (void) !open("/nowhere/x", O_RDONLY | O_TRUNC | O_CLOEXEC);
}

void sandbox_do_create(void)
{
    (void) !open("/nowhere/x", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static void do_tmpfile(void)
{
    (void) !open("/nowhere", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
}

static void do_openat2(void)
{
    (void) syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0);
}

static void do_executable_memory(void)
{
    (void) mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_make_executable(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void) mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static void do_signal_other(void)
{
    (void) kill(getppid(), SIGCONT);
}

static void do_signal_thread_of_other(void)
{
    (void) syscall(SYS_tgkill, getppid(), getppid(), SIGCONT);
}

static void do_io_uring(void)
{
    (void) syscall(SYS_io_uring_setup, 1, NULL);
}

static void do_bpf(void)
{
    (void) syscall(SYS_bpf, 0, NULL, 0);
}

static void do_keyctl(void)
{
    (void) syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static void do_set_dumpable(void)
{
    (void) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

static void do_limit(void)
{
    const struct rlimit none = { 0, 0 };

    (void) setrlimit(RLIMIT_CORE, &none);
}

static void do_priority(void)
{
    (void) syscall(SYS_setpriority, 0, 0, 0);
}

static void do_terminal_push(void)
{
    char c = 'x';

    (void) syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, &c);
}

static void do_memory(void)
{
    char *p = malloc(64u << 20);

    memset(p, 1, 64u << 20);
    p = realloc(p, 128u << 20);
    free(p);
}

static int compare(const void *a, const void *b)
{
    return *(const int *) a - *(const int *) b;
}

/* Of more than a few: then the C library asks how much memory there is. */
static void do_sort(void)
{
    static int v[100000];

    for (int i = 0; i < 100000; i++)
        v[i] = i * 7919 % 100003;
    qsort(v, 100000, sizeof v[0], compare);
}

static void do_print(void)
{
    (void) printf("# printed from inside\n");
    (void) fflush(stdout);
}

static void do_syslog(void)
{
    openlog("sandbox_test", LOG_PID, LOG_DAEMON);
    syslog(LOG_DEBUG, "nothing");
    closelog();
}

void sandbox_do_sleep(void)
{
    const struct timespec t = { .tv_nsec = 1000 };

    (void) clock_nanosleep(CLOCK_BOOTTIME, 0, &t, NULL);
}

const struct sandbox_call sandbox_calls[] = {
    { "execve", sandbox_do_execve, 0 }, { "fork", do_fork, ONLY(PASS) }, { "a thread", do_thread, 0 },
    { "socket AF_INET", do_socket_inet, 0 }, { "socket AF_INET6", do_socket_inet6, 0 },
    { "socket AF_NETLINK", do_socket_netlink, 0 }, { "socket AF_PACKET", do_socket_packet, 0 },
    { "a pair of sockets", do_socketpair, ONLY(PASS) }, { "a wait for a child", do_wait, ONLY(PASS) },
    { "a kill", do_kill, ONLY(PASS) }, { "death with the parent", do_death, ONLY(PASS) },
    { "socket AF_UNIX", do_socket_unix, ONLY(ENGINE) | ONLY(MEMBERS) }, { "listen", do_listen, 0 },
    { "syslog", do_syslog, ONLY(ENGINE) | ONLY(MEMBERS) },
    { "ptrace", do_ptrace, 0 }, { "process_vm_readv", do_vm_read, 0 }, { "mount", do_mount, 0 }, { "umount", do_umount, 0 },
    { "unshare", do_unshare, 0 }, { "chroot", do_chroot, 0 }, { "reboot", do_reboot, 0 }, { "setuid", do_setuid, 0 },
    { "mknod", do_mknod, 0 }, { "symlink", do_symlink, 0 }, { "link", do_link, ONLY(EPOCH) | ONLY(STATE) | MAKING },
    { "unlink", do_unlink, ALL },
    { "rename", do_rename, ONLY(ENGINE) | ONLY(EPOCH) | ONLY(STATE) | MAKING }, { "chown", do_chown, ONLY(ENGINE) },
    { "open to read", do_open_read, ALL }, { "open of a directory", do_open_directory, ALL },
    { "open to write", do_open_write, ALL & ~ONLY(STATE) }, { "open for both", do_open_both, ALL & ~ONLY(STATE) & ~ONLY(RECOVER) },
    { "open with truncate", do_open_truncate, ALL & ~ONLY(STATE) & ~MAKING },
    { "create", sandbox_do_create, ONLY(ENGINE) | ONLY(EPOCH) | MAKING },
    { "temporary file", do_tmpfile, ONLY(ENGINE) | ONLY(EPOCH) },
    { "openat2", do_openat2, 0 }, { "executable memory", do_executable_memory, 0 },
    { "memory made executable", do_make_executable, 0 }, { "a signal to another", do_signal_other, 0 },
    { "a signal to another's thread", do_signal_thread_of_other, 0 }, { "io_uring", do_io_uring, 0 }, { "bpf", do_bpf, 0 },
    { "keyctl", do_keyctl, 0 }, { "prctl", do_set_dumpable, 0 }, { "setpriority", do_priority, 0 },
    { "setrlimit", do_limit, 0 },
    { "terminal input", do_terminal_push, 0 },
    { "sort", do_sort, ALL }, { "much memory", do_memory, ALL }, { "print", do_print, ALL }, { "sleep", sandbox_do_sleep, ALL },
    { NULL, NULL, 0 },
};
