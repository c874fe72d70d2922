/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "executor_lib.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "daemon/executor.h"
#include "daemon/log.h"
#include "daemon/privileges.h"

struct lab lab;

static void path_of(char *buf, size_t size, const char *name)
{
    (void) snprintf(buf, size, "%s/%s", lab.dir, name);
}

void lab_write(const char *name, const char *text, mode_t mode)
{
    char path[256];

    path_of(path, sizeof path, name);
    (void) unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (int) strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(close(fd), 0);
}

void lab_script(const char *name, const char *body)
{
    char text[4096];

    (void) snprintf(text, sizeof text, "#!/bin/sh\nD=%s\n%s\n", lab.dir, body);
    lab_write(name, text, 0755);
}

static void copy_program(const char *from, const char *name)
{
    char path[256], command[1024];
    const char *top = getenv("top_builddir");

    path_of(path, sizeof path, name);
    (void) snprintf(command, sizeof command, "cp %s/%s %s && chmod 0755 %s", top ? top : ".", from, path, path);
    FILE *f = popen(command, "re");
    assert_non_null(f);
    assert_int_equal(pclose(f), 0);
}

static const char *user_name(bool list)
{
    if (geteuid() == 0)
        return list ? "list" : "nobody";
    return getpwuid(geteuid())->pw_name;
}

void lab_config(const char *extra_cluster)
{
    char text[4096];
    bool two = strstr(extra_cluster, "mailman2") != NULL;

    (void) snprintf(text, sizeof text,
        "[cluster]\nname = t\nnodes = a b\ncontrol_share = /nonexistent/control\n"
        "share_deadline = 1s\n%s%s"
        "[address]\nip = 192.0.2.9/24\n"
        "[%s]\nuser = %s\nlock_dir = /lists/l\nqueue_dir = /lists/q\nrunners = %s\n"
        "[node a]\nid = 1\nhostname = a\nfqdn = a.t\n[node b]\nid = 2\nhostname = b\nfqdn = b.t\n"
        "[fence b-dev]\nnode = b\nagent = %s/fence\nsecret_file = %s/secret\nparam_ip = 192.0.2.2\n"
        "[fence b-none]\nnode = b\nlevel = 2\nagent = %s/no-such-program\n",
        strstr(extra_cluster, "stop_timeout") ? "" : "stop_timeout = 2s\n", extra_cluster,
        two ? "mailman2" : "mailman3", user_name(true), two ? "IncomingRunner:2" : "in out", lab.dir, lab.dir, lab.dir);
    lab_write("conf", text, 0644);
}

/* Scripts that do nothing but write down that they were called. */
static void default_scripts(void)
{
    static const char note[] = "echo \"$(basename $0) $*\" >> $D/log/calls\n";

    copy_program("tests/unit/fake_engine", "understudy-engine");
    lab_script("understudy-members", "read x <&3");
    lab_script("understudy-epoch", "echo \"$(basename $0) ${9} ${10}\" >> $D/log/calls\necho args $*\n");
    lab_script("understudy-state", note);
    lab_script("understudy-intake", note);
    lab_script("understudy-share", note);
    lab_script("mailman3", note);
    lab_script("address", note);
    lab_script("fence", "cat > $D/log/stdin\n");
}

int lab_setup(void **state)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    char path[256];

    (void) state;
    memset(&lab, 0, sizeof lab);
    (void) snprintf(lab.dir, sizeof lab.dir, "/tmp/executor_test.XXXXXX");
    assert_non_null(mkdtemp(lab.dir));
    assert_int_equal(chmod(lab.dir, 0755), 0);
    path_of(path, sizeof path, "log");
    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(chmod(path, 0777), 0);
    path_of(a.sun_path, sizeof a.sun_path, "control");
    lab.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(lab.listener, (struct sockaddr *) &a, sizeof a), 0);
    assert_int_equal(chmod(a.sun_path, 0777), 0);
    assert_int_equal(listen(lab.listener, 4), 0);
    lab.control = -1;
    lab_write("secret", "# of the device\npasswd=" SECRET "\n", 0600);
    lab_write("log/calls", "", 0666);
    default_scripts();
    lab_config("");
    return 0;
}

/* Not this machine's. The real one does not return either. */
static int reboot_noted(void)
{
    lab_write("log/reboot", "now\n", 0644);
    _exit(LAB_REBOOTED);
}

void lab_start_in_this_process(void)
{
    static struct executor x;
    static struct config cfg;
    static char conf[128], run_dir[128], gate_dir[128], state_dir[128], defer_dir[128];
    struct secrets *secrets = NULL;
    char path[256];

    path_of(path, sizeof path, "executor.log");
    if (!freopen(path, "ae", stderr))
        _exit(90);
    (void) setvbuf(stderr, NULL, _IONBF, 0);
    path_of(conf, sizeof conf, "conf");
    path_of(run_dir, sizeof run_dir, "run");
    path_of(gate_dir, sizeof gate_dir, "gate");
    path_of(state_dir, sizeof state_dir, "state");
    path_of(defer_dir, sizeof defer_dir, "defer");
    struct exec_options opt = { .config_path = conf, .node = "a", .user = user_name(false), .libexec_dir = lab.dir,
                                .ocf_dir = lab.dir, .run_dir = run_dir, .gate_dir = gate_dir,
                                .state_dir = state_dir, .defer_dir = defer_dir, .reboot = reboot_noted };
    sigset_t set;
    (void) sigfillset(&set);
    (void) sigprocmask(SIG_BLOCK, &set, NULL);
    if (config_read_owned(conf, geteuid(), &cfg, stderr) < 0 || secrets_read(&cfg, geteuid(), &secrets, stderr) < 0)
        _exit(91);
    if (privileges_keep(privileges_of_executor(cfg.list_with_service)) < 0)
        _exit(93);
    log_open("executor", LOG_DEBUG);
    if (executor_init(&x, &opt, &cfg, secrets) < 0)
        _exit(92);
    int rc = executor_run(&x);
    log_close();
    _exit(rc);
}

void lab_launch(void)
{
    lab.executor = fork();
    assert_true(lab.executor >= 0);
    if (lab.executor == 0)
        lab_start_in_this_process();
}

void lab_start(void)
{
    lab_launch();
    lab_accept(5000);
}

void lab_kill(void)
{
    (void) kill(lab.executor, SIGKILL);
    (void) waitpid(lab.executor, NULL, 0);
    lab.executor = 0;
    lab_drop_engine();
}

int lab_wait_exit(int timeout_ms)
{
    int wstatus = -1;

    for (int t = 0; t < timeout_ms; t += 10) {
        if (waitpid(lab.executor, &wstatus, WNOHANG) == lab.executor) {
            lab.executor = 0;
            return WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : -1;
        }
        (void) poll(NULL, 0, 10);
    }
    return -1;
}

static int wait_readable(int fd, int timeout_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    return poll(&p, 1, timeout_ms) == 1 ? 0 : -1;
}

void lab_accept(int timeout_ms)
{
    static struct wire_msg m;

    assert_int_equal(wait_readable(lab.listener, timeout_ms), 0);
    lab.control = accept4(lab.listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(lab.control >= 0);
    assert_int_equal(wait_readable(lab.control, 5000), 0);
    assert_int_equal(recv(lab.control, &m, sizeof m, 0), (int) sizeof m);
    memcpy(lab.hello, m.u.cpg.data, m.u.cpg.len);
    lab.hello[m.u.cpg.len] = '\0';
}

void lab_drop_engine(void)
{
    (void) close(lab.control);
    lab.control = -1;
}

int lab_end(void)
{
    int wstatus = -1;

    (void) kill(lab.executor, SIGTERM);
    for (unsigned i = 0; i < 1000; i++) {
        if (waitpid(lab.executor, &wstatus, WNOHANG) == lab.executor) {
            lab.executor = 0;
            return wstatus;
        }
        (void) poll(NULL, 0, 10);
    }
    return -1;
}

int lab_teardown(void **state)
{
    char command[256];

    (void) state;
    if (lab.control >= 0)
        (void) close(lab.control);
    (void) close(lab.listener);
    if (lab.executor > 0) {
        (void) kill(lab.executor, SIGKILL);
        (void) waitpid(lab.executor, NULL, 0);
    }
    (void) snprintf(command, sizeof command, "[ -z \"$KEEP\" ] && rm -rf %s", lab.dir);
    FILE *f = popen(command, "re");
    if (f)
        (void) pclose(f);
    return 0;
}

void lab_send(const struct wire_msg *m)
{
    assert_int_equal(send(lab.control, m, sizeof *m, MSG_NOSIGNAL), (int) sizeof *m);
}

void lab_run(const struct wire_run *run)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_RUN };

    m.u.run = *run;
    lab_send(&m);
}

void lab_permit(uint64_t until_ms)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_PERMIT };

    m.u.permit.until_ms = until_ms;
    lab_send(&m);
}

void lab_cancel(uint64_t op_id)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_CANCEL };

    m.u.op_id = op_id;
    lab_send(&m);
}

void lab_nudge(uint64_t op_id)
{
    static struct wire_msg m = { .version = WIRE_VERSION, .kind = WIRE_NUDGE };

    m.u.op_id = op_id;
    lab_send(&m);
}

struct wire_done lab_done(uint64_t op_id, int timeout_ms)
{
    struct wire_done none = { .status = -9999 };
    uint64_t until_ms = clock_now_ms() + (uint64_t) timeout_ms;

    lab.output_len = 0;
    while (wait_readable(lab.control, clock_poll_ms(clock_now_ms(), until_ms)) == 0) {
        if (recv(lab.control, &lab.msg, sizeof lab.msg, 0) != (ssize_t) sizeof lab.msg)
            break;
        if (lab.msg.kind == WIRE_LATE)
            lab.lates++;
        if (lab.msg.kind == WIRE_SAFETY)
            lab.safety = lab.msg.u.safety;
        if (lab.msg.kind == WIRE_OUTPUT && lab.msg.u.output.op_id == op_id &&
            lab.output_len + lab.msg.u.output.len < sizeof lab.output) {
            memcpy(lab.output + lab.output_len, lab.msg.u.output.text, lab.msg.u.output.len);
            lab.output_len += lab.msg.u.output.len;
        }
        lab.output[lab.output_len] = '\0';
        if (lab.msg.kind == WIRE_DONE && lab.msg.u.done.op_id == op_id)
            return lab.msg.u.done;
    }
    return none;
}

void lab_take(int for_ms)
{
    (void) lab_done(0, for_ms);
}

struct wire_done lab_do(const struct wire_run *run)
{
    lab_run(run);
    return lab_done(run->op_id, 10000);
}

const char *lab_file(const char *name)
{
    static char text[65536];
    char path[256];
    size_t n = 0;

    path_of(path, sizeof path, name);
    FILE *f = fopen(path, "re");
    if (f) {
        n = fread(text, 1, sizeof text - 1, f);
        (void) fclose(f);
    }
    text[n] = '\0';
    return text;
}

int lab_wait_file(const char *name, const char *content, int timeout_ms)
{
    for (int t = 0; t < timeout_ms; t += 10) {
        if (strstr(lab_file(name), content))
            return 0;
        (void) poll(NULL, 0, 10);
    }
    return -1;
}

unsigned hello_number(const char *key)
{
    char want[32];

    (void) snprintf(want, sizeof want, "%s=", key);
    const char *p = strstr(lab.hello, want);
    return p ? (unsigned) strtoul(p + strlen(want), NULL, 10) : ~0u;
}
