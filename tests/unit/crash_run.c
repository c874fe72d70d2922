/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Runs a command and ends it, with all its children, at a system call that changes something: as a kill or a power cut does.
 *
 *   crash_run LOG                        COMMAND...   counts: LOG gets a line for each change
 *   crash_run LOG before|after|half N    COMMAND...   SIGKILL before the N-th is begun, after it is done, or after half of it
 *   crash_run --power LOG ...            what no fsync has followed is lost as well
 *
 * A change is a call of crash_changes.h. `half` is a write of half of its bytes; any other call is done. It dies of SIGKILL itself
 * when it has ended the command so, else exits as the command does, also when there is no N-th. */
#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/num.h"
#include "tests/unit/crash_changes.h"

#define PIDS_MAX 256

enum when { NEVER, BEFORE, AFTER, HALF };

struct tracee { pid_t pid; bool begun; struct change change; };

static struct {
    FILE         *log;
    bool          power;
    enum when     when;
    uint64_t      at, n;
    pid_t         first;
    int           status;               /* of the first, once it has ended */
    struct tracee v[PIDS_MAX];
} t;

__attribute__((noreturn)) static void die(const char *what)
{
    (void)fprintf(stderr, "crash_run: %s: %s\n", what, strerror(errno));
    exit(125);
}

static struct tracee *tracee_of(pid_t pid)
{
    for (unsigned i = 0; i < PIDS_MAX; i++)
        if (t.v[i].pid == pid)
            return &t.v[i];
    for (unsigned i = 0; i < PIDS_MAX; i++)
        if (t.v[i].pid == 0) {
            t.v[i] = (struct tracee){ .pid = pid };
            return &t.v[i];
        }
    errno = E2BIG;
    die("processes");
}

/* Nothing of the command is left when this returns, and it does not return. */
__attribute__((noreturn)) static void end_here(void)
{
    int status;

    (void)fflush(t.log);
    for (unsigned i = 0; i < PIDS_MAX; i++)
        if (t.v[i].pid)
            (void)kill(t.v[i].pid, SIGKILL);
    /* One that has just been forked is known by its first stop only. */
    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;)
        if (pid > 0 && WIFSTOPPED(status))
            (void)kill(pid, SIGKILL);
    if (t.power)
        changes_lose();
    (void)signal(SIGKILL, SIG_DFL);
    (void)kill(getpid(), SIGKILL);
    die("killing myself");
}

static void call_begins(struct tracee *p, const struct __ptrace_syscall_info *info)
{
    p->begun = change_find(p->pid, info->entry.nr, info->entry.args, &p->change);
    if (!p->begun)
        return;
    t.n++;
    (void)fprintf(t.log, "%" PRIu64 " %s %s\n", t.n, p->change.call, p->change.what);
    if (t.n != t.at)
        return;
    /* A call of number -1 is none: the kill that follows finds nothing done. */
    if (t.when == BEFORE && call_set(p->pid, CALL_NUMBER, UINT64_MAX) == 0)
        end_here();
    if (t.when == BEFORE)
        die("taking the call away");
    if (t.when == HALF && p->change.is_write && call_set(p->pid, CALL_LENGTH, info->entry.args[2] / 2) < 0)
        die("cutting the call");
}

static void call_ends(struct tracee *p)
{
    if (!p->begun)
        return;
    p->begun = false;
    change_done(p->pid, &p->change);
    if (t.at && t.n >= t.at && t.when != BEFORE)
        end_here();
}

/* Returns the signal to go on with. */
static int stopped(struct tracee *p, int status)
{
    struct __ptrace_syscall_info info;
    int sig = WSTOPSIG(status);

    if (sig == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, sizeof info, &info) <= 0)
            return 0; /* it has been killed meanwhile */
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            call_begins(p, &info);
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
            call_ends(p);
        return 0;
    }
    return status >> 16 || sig == SIGSTOP || sig == SIGTRAP ? 0 : sig;
}

static void trace(void)
{
    int status;

    for (pid_t pid; (pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR;) {
        if (pid <= 0)
            continue;
        struct tracee *p = tracee_of(pid);
        if (WIFSTOPPED(status)) {
            int sig = stopped(p, status);
            (void)ptrace(PTRACE_SYSCALL, pid, 0, (void *)(intptr_t)sig);
            continue;
        }
        if (pid == t.first)
            t.status = status;
        *p = (struct tracee){ .pid = 0 };
    }
}

static void start(char **command)
{
    int status;

    t.first = fork();
    if (t.first < 0)
        die("fork");
    if (t.first == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
            _exit(125);
        (void)execvp(command[0], command);
        _exit(127);
    }
    if (waitpid(t.first, &status, __WALL) != t.first || !WIFSTOPPED(status))
        die("waiting");
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC
        | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, t.first, NULL, (void *)options) < 0 || ptrace(PTRACE_SYSCALL, t.first, NULL, NULL) < 0)
        die("tracing");
    (void)tracee_of(t.first);
}

static char **arguments(int argc, char **argv)
{
    static const char *const words[] = { [BEFORE] = "before", [AFTER] = "after", [HALF] = "half" };
    int at = 1;

    t.power = at < argc && !strcmp(argv[at], "--power");
    at += t.power;
    t.log = at < argc ? fopen(argv[at], "we") : NULL;
    if (!t.log)
        die("opening the log");
    at++;
    for (unsigned i = BEFORE; i <= HALF && at + 1 < argc; i++)
        if (!strcmp(argv[at], words[i])) {
            t.when = i;
            if (num_parse_u64(argv[at + 1], 1, UINT64_MAX - 1, &t.at))
                die(argv[at + 1]);
            at += 2;
            break;
        }
    if (at >= argc || (t.when != NEVER && t.at == 0)) {
        errno = EINVAL;
        die("arguments");
    }
    return argv + at;
}

int main(int argc, char **argv)
{
    start(arguments(argc, argv));
    trace();
    (void)fclose(t.log);
    if (WIFSIGNALED(t.status)) {
        (void)signal(WTERMSIG(t.status), SIG_DFL);
        (void)kill(getpid(), WTERMSIG(t.status));
    }
    return WEXITSTATUS(t.status);
}
