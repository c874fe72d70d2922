/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "common/sandbox.h"

#include <errno.h>

#ifdef HAVE_SECCOMP

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/banned.h"

#define NO_OPEN_PASS (O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY)) /* a claim file is written and read again */
#define NO_OPEN_RECOVER (O_RDWR | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))
#define LIST_END (-1000000) /* libseccomp's numbers of calls that an architecture has not are small negative ones */

/* What the C library needs in any program: also to tell of an error, to abort, and to end a thread. */
static const int basic[] = {
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(lseek),
    SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(fstatat64), SCMP_SYS(statx), SCMP_SYS(getdents64),
    SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(futex), SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(set_robust_list), SCMP_SYS(rseq),
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(time),
    SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(getrandom), SCMP_SYS(uname),
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
    SCMP_SYS(getegid), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(sysinfo), /* by qsort() */ LIST_END
};

/* A connected Unix socket. */
static const int sockets[] = {
    SCMP_SYS(connect), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(shutdown), LIST_END
};

/* Snapshots and reports, libqb's loop and the server of its IPC, with the files of each connection. */
static const int engine[] = {
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl),
    SCMP_SYS(timerfd_settime), SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown),
    SCMP_SYS(fchownat), SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
    SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
    SCMP_SYS(umask), LIST_END
};

/* Ring buffers that a corosync which died has left behind are removed by its client. */
static const int members[] = {
    SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rmdir), LIST_END
};

static const int epoch[] = {
    SCMP_SYS(fchmod), SCMP_SYS(fsync), SCMP_SYS(flock), SCMP_SYS(linkat), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(unlinkat), SCMP_SYS(mkdirat), SCMP_SYS(rt_sigtimedwait), LIST_END
};

/* Links and removes where a quarantined name is put back. */
static const int state[] = {
    SCMP_SYS(flock), SCMP_SYS(mkdirat), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(linkat), SCMP_SYS(unlinkat),
    SCMP_SYS(fsync), SCMP_SYS(syncfs), SCMP_SYS(fstatfs), LIST_END
};

/* Sockets between it and its workers, which have no name; its end of them is inherited. A lock of Mailman's is a file with a mode
 * and the time at which it ends. */
static const int pass[] = {
    SCMP_SYS(fchmod), SCMP_SYS(utimensat), SCMP_SYS(socketpair), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
    SCMP_SYS(wait4), SCMP_SYS(seccomp), LIST_END
};

/* What a worker may not do of that. Its own socket stays. */
static const int not_worker[] = {
    SCMP_SYS(clone), SCMP_SYS(socketpair), SCMP_SYS(wait4), SCMP_SYS(seccomp), SCMP_SYS(prctl), LIST_END
};

static const struct {
    const int *calls;
    int        no_open; /* flags of open(2) that must not be set */
    bool       sockets, threads, workers;
} profiles[SANDBOX_N] = {
    [SANDBOX_ENGINE]  = { engine, 0, true, true, false },
    [SANDBOX_MEMBERS] = { members, O_CREAT | (O_TMPFILE & ~O_DIRECTORY), true, true, false },
    [SANDBOX_EPOCH]   = { epoch, 0, false, false, false },
    [SANDBOX_STATE]   = { state, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY), false, false,
                          false },
    [SANDBOX_RECOVER] = { state, NO_OPEN_RECOVER, false, false, false },
    [SANDBOX_PASS]    = { state, NO_OPEN_PASS, false, false, true },
};

static int allow_list(scmp_filter_ctx f, const int *calls)
{
    int rc = 0;

    for (; rc == 0 && *calls != LIST_END; calls++)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, *calls, 0);
    return rc;
}

static int allow_if(scmp_filter_ctx f, int call, struct scmp_arg_cmp condition)
{
    return seccomp_rule_add_array(f, SCMP_ACT_ALLOW, call, 1, &condition);
}

/* Processes, but no threads and no namespaces; workers that hang are killed; filters that take away still more. */
static int allow_workers(scmp_filter_ctx f)
{
    const uint64_t not_plain = CLONE_VM | CLONE_THREAD | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER
                             | CLONE_NEWPID | CLONE_NEWNET;
    int rc = allow_list(f, pass);

    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, not_plain, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(kill), SCMP_A1(SCMP_CMP_EQ, SIGKILL, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NO_NEW_PRIVS, 0));
    return rc;
}

/* Memory is never made executable, nobody but ourselves is signalled, and a signal 0 only asks whether somebody lives. */
static int allow_with_arguments(scmp_filter_ctx f, int no_open, bool unix_sockets)
{
    uint64_t no_write = (uint64_t) (unsigned) no_open;
    int rc = allow_if(f, SCMP_SYS(openat), SCMP_A2(SCMP_CMP_MASKED_EQ, no_write, 0));

    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) getpid(), 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(kill), SCMP_A1(SCMP_CMP_EQ, 0, 0));
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TCGETS, 0)); /* stdio asks whether it writes to a terminal */
    if (rc == 0)
        rc = allow_if(f, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0, 0)); /* read only */
    if (rc == 0 && unix_sockets)
        rc = allow_if(f, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
    return rc;
}

static int set_attributes(scmp_filter_ctx f)
{
    int rc = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_API_SYSRAWRC, 1); /* the kernel's own word, below */
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_LOG, 1);
    return rc;
}

/* All filters of a process apply, the strictest counts: this one need not say again what the one before it forbids. */
static int worker_enter(void)
{
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    struct scmp_arg_cmp killing = SCMP_A1(SCMP_CMP_NE, 0, 0);
    int rc;

    if (!f)
        return -ENOSYS;
    rc = set_attributes(f);
    for (const int *call = not_worker; rc == 0 && *call != LIST_END; call++)
        rc = seccomp_rule_add(f, SCMP_ACT_KILL_PROCESS, *call, 0);
    if (rc == 0)
        rc = seccomp_rule_add_array(f, SCMP_ACT_KILL_PROCESS, SCMP_SYS(kill), 1, &killing);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc > 0 ? -EBUSY : rc;
}

int sandbox_enter(enum sandbox_profile profile)
{
    if (profile == SANDBOX_WORKER)
        return worker_enter();

    scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    /* The C library loads it when a thread is ended; later no code can be loaded. */
    if (profiles[profile].threads)
        (void) dlopen("libgcc_s.so.1", RTLD_NOW);
    if (!f)
        return -ENOSYS; /* libseccomp has asked the kernel, which knows no filters, or no such action */
    rc = set_attributes(f);
    if (rc == 0)
        rc = allow_list(f, basic);
    if (rc == 0)
        rc = allow_list(f, profiles[profile].calls);
    if (rc == 0 && profiles[profile].sockets)
        rc = allow_list(f, sockets);
    if (rc == 0 && profiles[profile].workers)
        rc = allow_workers(f);
    if (rc == 0)
        rc = allow_with_arguments(f, profiles[profile].no_open, profiles[profile].sockets);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    return rc > 0 ? -EBUSY : rc; /* a thread that could not be brought in */
}

#else

int sandbox_enter(enum sandbox_profile profile)
{
    (void) profile;
    return -ENOSYS;
}

#endif
