/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every process of every host, from the kernel's process events; list processes by pidfd until they are gone. */
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <dirent.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum { PID_LIMIT = 4194304, RECEIVE_BUFFER = 64 << 20 };

struct entry {
    int16_t instance;
    uint8_t kind;
    bool known;
};

struct procs {
    int connector, epoll;
    int watched;                /* instances whose init has a pidfd in epoll */
    struct instances *all;
    struct entry *table;        /* by pid */
};

static struct entry *entry_of(struct procs *procs, pid_t pid)
{
    return pid > 0 && pid < PID_LIMIT ? &procs->table[pid] : NULL;
}

/* Exits are reported through pidfds: epoll data is the pid in the high half and the pidfd in the low half. */
static void watch_exit(struct procs *procs, pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct epoll_event wanted = { .events = EPOLLIN };

    if (fd < 0)
        return;
    wanted.data.u64 = (uint64_t)(uint32_t)pid << 32 | (uint32_t)fd;
    if (epoll_ctl(procs->epoll, EPOLL_CTL_ADD, fd, &wanted) != 0)
        close(fd);
}

static int find_instance(struct procs *procs, pid_t pid)
{
    int number = instances_find(procs->all, pid);

    for (; procs->watched < instances_count(procs->all); procs->watched++) {
        if (instances_init(procs->all, procs->watched + 1) > 0)
            watch_exit(procs, instances_init(procs->all, procs->watched + 1));
    }
    return number;
}

static size_t read_cmdline(pid_t pid, char *buffer, size_t size)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t got = read(fd, buffer, size - 1);
    close(fd);
    if (got <= 0)
        return 0;
    for (ssize_t i = 0; i < got; i++) {
        if (buffer[i] == '\0')
            buffer[i] = ' ';
    }
    buffer[got] = '\0';
    return (size_t)got;
}

static enum audit_kind judge_cmdline(const char *line)
{
    if ((strstr(line, "/bin/runner ") || strstr(line, "/bin/qrunner ")) && strstr(line, "--runner="))
        return AUDIT_RUNNER;
    if (strstr(line, "/cron/qrunner") && !strstr(line, "understudy gate"))
        return AUDIT_RUNNER;
    if (strstr(line, "/bin/master ") || (strstr(line, "/bin/mailmanctl ") && strstr(line, " start")))
        return AUDIT_MASTER;
    if (strstr(line, "/bin/mailman ") || strstr(line, "/mail/mailman "))
        return AUDIT_CLI;
    return AUDIT_OTHER;
}

/* A master or runner is announced once and watched until it has gone. */
static void learn_kind(struct procs *procs, pid_t pid, struct entry *entry)
{
    char line[1024];

    if (read_cmdline(pid, line, sizeof line) == 0)
        return;
    enum audit_kind kind = judge_cmdline(line);
    bool told = entry->kind == kind;
    entry->kind = (uint8_t)kind;
    if (told || (kind != AUDIT_MASTER && kind != AUDIT_RUNNER))
        return;
    watch_exit(procs, pid);
    out_begin("proc", audit_now_us());
    out_number("pid", pid);
    out_number("inst", entry->instance);
    out_text("kind", audit_kind_name(kind));
    out_text("cmd", line);
    out_end();
}

static void note_fork(struct procs *procs, pid_t parent, pid_t child)
{
    const struct entry *from = entry_of(procs, parent);
    struct entry *entry = entry_of(procs, child);

    if (!entry)
        return;
    if (from && from->known && from->instance > AUDIT_OUTER)
        *entry = *from;
    else
        *entry = (struct entry){ .instance = (int16_t)find_instance(procs, child), .known = true };
}

static void note_exec(struct procs *procs, pid_t pid)
{
    struct entry *entry = entry_of(procs, pid);

    if (!entry)
        return;
    /* The fork may have been answered before the child entered its namespace, or before we listened. */
    if (!entry->known || entry->instance <= AUDIT_OUTER)
        *entry = (struct entry){ .instance = (int16_t)find_instance(procs, pid), .known = true };
    if (entry->instance > AUDIT_OUTER)
        learn_kind(procs, pid, entry);
}

static void note_lost(const char *what)
{
    out_begin("lost", audit_now_us());
    out_text("what", what);
    out_end();
    out_flush();
}

static void take_event(struct procs *procs, const struct proc_event *event)
{
    switch ((unsigned int)event->what) {
    case 0x00000001U: /* PROC_EVENT_FORK; a thread is no news */
        if (event->event_data.fork.child_pid == event->event_data.fork.child_tgid)
            note_fork(procs, event->event_data.fork.parent_tgid, event->event_data.fork.child_tgid);
        break;
    case 0x00000002U: /* PROC_EVENT_EXEC */
        note_exec(procs, event->event_data.exec.process_tgid);
        break;
    case 0x80000000U: /* PROC_EVENT_EXIT */
        if (event->event_data.exit.process_pid == event->event_data.exit.process_tgid)
            instances_note_exit(procs->all, event->event_data.exit.process_tgid);
        break;
    }
}

void procs_drain_events(struct procs *procs)
{
    union {
        struct nlmsghdr head;
        char bytes[8192];
    } buffer;

    while (procs->connector >= 0) {
        ssize_t got = recv(procs->connector, &buffer, sizeof buffer, MSG_DONTWAIT);
        if (got < 0 && errno == ENOBUFS)
            note_lost("process events");
        else if (got < 0 && errno != EINTR)
            return;
        if (got <= 0)
            continue;
        size_t left = (size_t)got;
        for (struct nlmsghdr *head = &buffer.head; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            struct cn_msg *message = NLMSG_DATA(head);
            struct proc_event event;

            if (message->len < offsetof(struct proc_event, event_data) || message->len > sizeof event)
                continue;
            memset(&event, 0, sizeof event);
            memcpy(&event, message->data, message->len);
            take_event(procs, &event);
        }
    }
}

void procs_drain_exits(struct procs *procs)
{
    struct epoll_event ready[32];
    int count = epoll_wait(procs->epoll, ready, 32, 0);

    for (int i = 0; i < count; i++) {
        pid_t pid = (pid_t)(ready[i].data.u64 >> 32);
        const struct entry *entry = entry_of(procs, pid);

        close((int)(uint32_t)ready[i].data.u64);
        instances_note_exit(procs->all, pid);
        if (!entry || (entry->kind != AUDIT_MASTER && entry->kind != AUDIT_RUNNER))
            continue;
        out_begin("exit", audit_now_us());
        out_number("pid", pid);
        out_number("inst", entry->instance);
        out_end();
    }
}

static int listen_events(struct procs *procs)
{
    union {
        struct nlmsghdr head;
        unsigned char bytes[NLMSG_SPACE(sizeof(struct cn_msg) + sizeof(enum proc_cn_mcast_op))];
    } ask;
    enum proc_cn_mcast_op op = PROC_CN_MCAST_LISTEN;
    struct sockaddr_nl self = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
    int size = RECEIVE_BUFFER;

    procs->connector = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR);
    if (procs->connector < 0)
        return -errno;
    (void)setsockopt(procs->connector, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    memset(&ask, 0, sizeof ask);
    ask.head.nlmsg_len = NLMSG_LENGTH(sizeof(struct cn_msg) + sizeof op);
    ask.head.nlmsg_type = NLMSG_DONE;
    struct cn_msg *message = NLMSG_DATA(&ask.head);
    message->id.idx = CN_IDX_PROC;
    message->id.val = CN_VAL_PROC;
    message->len = sizeof op;
    memcpy(message->data, &op, sizeof op);
    if (bind(procs->connector, (struct sockaddr *)&self, sizeof self) != 0 ||
        send(procs->connector, &ask, ask.head.nlmsg_len, 0) != (ssize_t)ask.head.nlmsg_len)
        return -errno;
    return 0;
}

/* The kernel drops the wish to listen silently outside the first pid namespace: only an event proves that it works. */
static int prove_events(struct procs *procs)
{
    struct pollfd ready = { .fd = procs->connector, .events = POLLIN };
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    if (child < 0)
        return -errno;
    return poll(&ready, 1, 1000) == 1 ? 0 : -ENOTSUP;
}

static void scan_processes(struct procs *procs)
{
    DIR *proc = opendir("/proc");

    if (!proc)
        return;
    for (struct dirent *found = readdir(proc); found; found = readdir(proc)) {
        pid_t pid = (pid_t)strtol(found->d_name, NULL, 10);
        if (pid > 0)
            note_exec(procs, pid);
    }
    closedir(proc);
}

int procs_open(struct procs **ret, bool use_connector)
{
    struct procs *procs = calloc(1, sizeof *procs);

    if (!procs)
        return -ENOMEM;
    procs->connector = -1;
    procs->epoll = epoll_create1(EPOLL_CLOEXEC);
    procs->table = calloc(PID_LIMIT, sizeof *procs->table);
    int error = procs->epoll < 0 || !procs->table ? -ENOMEM : instances_open(&procs->all);
    if (error < 0) {
        procs_close(procs);
        return error;
    }
    if (use_connector && (listen_events(procs) < 0 || prove_events(procs) < 0)) {
        if (procs->connector >= 0)
            close(procs->connector);
        procs->connector = -1;
    }
    scan_processes(procs);
    *ret = procs;
    return 0;
}

void procs_close(struct procs *procs)
{
    if (!procs)
        return;
    if (procs->connector >= 0)
        close(procs->connector);
    if (procs->epoll >= 0)
        close(procs->epoll);
    instances_close(procs->all);
    free(procs->table);
    free(procs);
}

bool procs_has_connector(const struct procs *procs)
{
    return procs->connector >= 0;
}

int procs_connector_fd(const struct procs *procs)
{
    return procs->connector;
}

int procs_exit_fd(const struct procs *procs)
{
    return procs->epoll;
}

int procs_find_instance(struct procs *procs, pid_t pid, int pidfd)
{
    struct entry *entry = entry_of(procs, pid);

    if (!entry)
        return AUDIT_UNKNOWN;
    if (procs->connector >= 0 && entry->known && entry->instance != AUDIT_UNKNOWN)
        return entry->instance;
    int number = find_instance(procs, pid);
    struct pollfd gone = { .fd = pidfd, .events = POLLIN };
    if (number == AUDIT_UNKNOWN || (pidfd >= 0 && poll(&gone, 1, 0) != 0)) {
        /* It has ended: what /proc says may be about another process of that number. Its earlier events tell. */
        return entry->known ? entry->instance : AUDIT_UNKNOWN;
    }
    *entry = (struct entry){ .instance = (int16_t)number, .known = true, .kind = entry->kind };
    if (number > AUDIT_OUTER)
        learn_kind(procs, pid, entry);
    return number;
}

enum audit_kind procs_find_kind(struct procs *procs, pid_t pid)
{
    const struct entry *entry = entry_of(procs, pid);

    return entry ? (enum audit_kind)entry->kind : AUDIT_OTHER;
}
