# SPDX-License-Identifier: GPL-2.0-or-later
"""The files that make a host what it is: written into its disk before its first power on."""
import os
import pwd
import secrets
import subprocess

import labconf as lc
import labmailman2

UNDERSTUDY_ID = 991
SCHEMA_RUNNERS = ("archive", "bounces", "command", "digest", "in", "lmtp", "nntp", "out", "pipeline", "rest", "retry",
                  "task", "virgin")


class Disk:
    """The upper layer of a host's root. Folders on the way keep the mode and owner they have on this machine."""

    def __init__(self, path):
        self.path = path

    def folder(self, name, uid=None, gid=None, mode=None):
        parts, outer = [p for p in name.split("/") if p], ""
        for part in parts:
            outer += "/" + part
            inner = self.path + outer
            if not os.path.isdir(inner):
                os.mkdir(inner, 0o755)
                if os.path.isdir(outer):
                    stat = os.stat(outer)
                    os.chown(inner, stat.st_uid, stat.st_gid)
                    os.chmod(inner, stat.st_mode & 0o7777)
        if uid is not None:
            os.chown(self.path + "/" + "/".join(parts), uid, gid)
        if mode is not None:
            os.chmod(self.path + "/" + "/".join(parts), mode)

    def file(self, name, text, mode=0o644, uid=0, gid=0):
        self.folder(os.path.dirname(name))
        data = text.encode() if isinstance(text, str) else text
        fd = os.open(self.path + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
        os.chown(self.path + name, uid, gid)
        os.chmod(self.path + name, mode)


def user_ids():
    """Numeric (uid, gid) of the users that the hosts need; understudy's exist in the hosts only."""
    ids = {}
    for name in ("list", "postfix"):
        entry = pwd.getpwnam(name)
        ids[name] = (entry.pw_uid, entry.pw_gid)
    try:
        entry = pwd.getpwnam("understudy")
        ids["understudy"] = (entry.pw_uid, entry.pw_gid)
    except KeyError:
        ids["understudy"] = (UNDERSTUDY_ID, UNDERSTUDY_ID)
    return ids


def write_common(disk, host, ids):
    names = ["127.0.0.1 localhost"]
    for other in lc.HOSTS:
        net = "service" if "service" in lc.HOST_NETS[other] else "mgmt"
        names.append(f"{lc.address(other, net)} {other}.{lc.DOMAIN} {other}")
    disk.file("/etc/hosts", "\n".join(names) + "\n")
    disk.file("/etc/hostname", host + "\n")
    disk.file("/etc/mailname", f"{host}.{lc.DOMAIN}\n")
    disk.file("/etc/resolv.conf", "")
    disk.file("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files\nnetworks: files\n"
              "protocols: files\nservices: files\nethers: files\n")
    uid, gid = ids["understudy"]
    with open("/etc/passwd", encoding="utf-8") as file:
        users = [line for line in file if not line.startswith("understudy:")]
    with open("/etc/group", encoding="utf-8") as file:
        groups = [line for line in file if not line.startswith("understudy:")]
    disk.file("/etc/passwd", "".join(users) +
              f"understudy:x:{uid}:{gid}:understudy:/var/lib/understudy:/usr/sbin/nologin\n")
    disk.file("/etc/group", "".join(groups) + f"understudy:x:{gid}:\n")


def corosync_conf():
    timing = lc.TIMINGS
    nodes = "".join(f"    node {{\n        ring0_addr: {lc.address(h, 'cluster')}\n        name: {h}\n"
                    f"        nodeid: {lc.HOST_NUMBERS[h]}\n    }}\n" for h in lc.CLUSTER_HOSTS)
    return f"""totem {{
    version: 2
    cluster_name: lab
    transport: knet
    crypto_cipher: aes256
    crypto_hash: sha256
    token: {timing['token']}
    consensus: {timing['consensus']}
    seqno_unchanged_const: 3
    join: {timing['join']}
}}
nodelist {{
{nodes}}}
quorum {{
    provider: corosync_votequorum
    two_node: 1
}}
logging {{
    to_stderr: no
    to_syslog: no
    to_logfile: yes
    logfile: /var/log/corosync/corosync.log
    timestamp: hires
}}
"""


def make_authkey(path):
    subprocess.run(["/usr/sbin/corosync-keygen", "-l", "-k", path], check=True, capture_output=True, text=True)
    with open(path, "rb") as file:
        return file.read()


def write_corosync(disk, authkey):
    disk.file("/etc/corosync/corosync.conf", corosync_conf())
    disk.file("/etc/corosync/authkey", authkey, 0o400)
    disk.file("/etc/corosync/uidgid.d/understudy", "uidgid {\n    uid: understudy\n    gid: understudy\n}\n")
    disk.folder("/var/lib/corosync", 0, 0, 0o755)
    disk.folder("/var/log/corosync", 0, 0, 0o755)


def mailman_cfg(floating=lc.FLOATING):
    runners = "".join(f"[runner.{name}]\nstart: {'yes' if name in lc.RUNNERS else 'no'}\n" for name in SCHEMA_RUNNERS)
    share = lc.LIST_SHARE
    return f"""[mailman]
site_owner: postmaster@{lc.DOMAIN}
layout: lab
[paths.lab]
var_dir: {share}
queue_dir: {share}/queue
bin_dir: /usr/lib/mailman3/bin
list_data_dir: {share}/lists
log_dir: /var/log/mailman3
lock_dir: {share}/locks
data_dir: {share}/data
cache_dir: /var/cache/mailman3
etc_dir: /etc/mailman3
ext_dir: /var/lib/mailman3/ext
messages_dir: {share}/messages
archive_dir: {share}/archives
template_dir: {share}/templates
pid_file: /run/mailman3/master.pid
lock_file: {share}/locks/master.lck
[database]
class: mailman.database.sqlite.SQLiteDatabase
url: sqlite:///{share}/data/mailman.db
[mta]
incoming: mailman.mta.postfix.LMTP
outgoing: mailman.mta.deliver.deliver
smtp_host: {lc.MX_ADDRESS}
smtp_port: {lc.SINK_PORT}
lmtp_host: {floating}
lmtp_port: {lc.LMTP_PORT}
configuration: /etc/mailman3/postfix-mailman.cfg
{runners}"""


def write_fstab(disk, list_mount):
    entry = f"{lc.LIST_STORE} {lc.LIST_SHARE} none bind,noauto 0 0\n" if list_mount == "with-service" else ""
    disk.file("/etc/fstab", "# Made by the lab.\n" + entry)


def write_mailman(disk, ids, ipv6=False, service="mailman3"):
    uid, gid = ids["list"]
    if service != "mailman3":
        labmailman2.write_mailman(disk, service)
        write_listhost_postfix(disk, ids)
        return
    disk.file("/etc/mailman3/mailman.cfg", mailman_cfg(lc.FLOATING6 if ipv6 else lc.FLOATING), 0o640, 0, gid)
    disk.file("/etc/mailman3/postfix-mailman.cfg", "[postfix]\npostmap_command: /bin/true\n"
              "transport_file_type: regex\n")
    for folder in ("/var/log/mailman3", "/var/cache/mailman3", "/var/lib/mailman3", "/var/lib/mailman3/ext"):
        disk.folder(folder, uid, gid, 0o2755)
    disk.folder(lc.CONTROL_SHARE)
    disk.folder(lc.LIST_SHARE)


def fence_section(host):
    return f"""
[fence {host}-ipmi]
node = {host}
level = 1
agent = fence_ipmilan
password_file = /etc/understudy/secrets/{host}-ipmi.password
timeout = 15s
param_ip = {lc.BMC_ADDRESSES[host]}
param_username = {lc.BMC_USER}
param_lanplus = 1
param_cipher = 3
param_power_wait = 0
param_ipmitool_path = /usr/libexec/understudy/ipmitool-password-file
"""


def mailman3_section(floating):
    return f"""[mailman3]
user = list
config = /etc/mailman3/mailman.cfg
mailman = /usr/lib/mailman3/bin/mailman
python = /usr/bin/python3
lock_dir = {lc.LIST_SHARE}/locks
queue_dir = {lc.LIST_SHARE}/queue
pid_file = /run/mailman3/master.pid
runners = {' '.join(lc.RUNNERS)}
lmtp_host = {floating}
lmtp_port = {lc.LMTP_PORT}
"""


def understudy_conf(control, list_mount="always", watchdog=False, ipv6=False, service="mailman3"):
    """CONTROL: (fstype, source) of the control share as mountinfo shows it."""
    watchdog_key = "watchdog = /dev/watchdog\n" if watchdog else ""
    timing = lc.TIMINGS
    floating, mx = (lc.FLOATING6, f"[{lc.MX_ADDRESS6}]") if ipv6 else (lc.FLOATING, lc.MX_ADDRESS)
    nodes = "".join(f"\n[node {h}]\nid = {lc.HOST_NUMBERS[h]}\nhostname = {h}\nfqdn = {h}.{lc.DOMAIN}\n"
                    for h in lc.CLUSTER_HOSTS)
    return f"""# Made by the lab.
[cluster]
name = lab
nodes = {' '.join(lc.CLUSTER_HOSTS)}
service = {service[:8]}
control_share = {lc.CONTROL_SHARE}
control_fstype = {control[0]}
control_source = {control[1]}
list_share = {lc.LIST_SHARE}
list_mount = {list_mount}
beat_interval = {timing['beat_interval']}ms
share_deadline = {timing['share_deadline']}ms
share_patience = {timing['share_patience']}ms
claim_patience = 20s
drain = {timing['drain']}ms
power_wait = {timing['power_wait']}ms
start_timeout = 60s
stop_timeout = 20s
monitor_interval = {timing['monitor_interval']}ms
permit_timeout = 3s
max_failures = 4
max_restarts = 2
failure_window = 10m
after_fence = on
{watchdog_key}
[address]
ip = {floating}/{lc.PREFIXES[floating]}
dad = {timing['dad']}ms

{labmailman2.conf_section(service) if service != "mailman3" else mailman3_section(floating)}
[mail]
mx = {mx}
domains = {lc.DOMAIN}
{nodes}{''.join(fence_section(h) for h in lc.BMC_ADDRESSES)}"""


def write_understudy(disk, ids, control, passwords, list_mount="always", watchdog=False, ipv6=False, service="mailman3"):
    disk.file("/etc/understudy/understudy.conf", understudy_conf(control, list_mount, watchdog, ipv6, service))
    write_fstab(disk, list_mount)
    disk.folder("/etc/understudy/secrets", 0, 0, 0o700)
    for host, password in passwords.items():
        disk.file(f"/etc/understudy/secrets/{host}-ipmi", f"password={password}\n", 0o600)
        disk.file(f"/etc/understudy/secrets/{host}-ipmi.password", f"{password}\n", 0o600)
    uid, gid = ids["understudy"]
    disk.folder("/var/lib/understudy", uid, gid, 0o750)
    disk.folder("/var/lib/understudy/reports", uid, gid, 0o750)
    disk.folder("/var/lib/understudy-lists", *ids["list"], 0o750)


def bmc_conf(host, password):
    guid = f"{lc.HOST_NUMBERS[host]:032x}"
    return f"""name "{host}-bmc"
set_working_mc 0x20
  startlan 1
    addr {lc.BMC_ADDRESSES[host]} 623
    priv_limit admin
    guid {guid}
    allowed_auths_admin md5
  endlan
  chassis_control "/usr/bin/python3 -I -S {lc.TOOLS}/chassis_control.py {host}"
  user 2 true "{lc.BMC_USER}" "{password}" admin 10 md5
"""


def write_bmc(disk, passwords):
    for host, password in passwords.items():
        disk.file(f"/etc/lab/bmc-{host}.conf", bmc_conf(host, password), 0o600)
        disk.file(f"/etc/lab/bmc-{host}.emu", "mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\n"
                  "sel_enable 0x20 1000 0x0a\nmc_enable 0x20\n", 0o600)
        # One each: two that make the same folder at the same moment do not both live.
        disk.folder(f"/var/lib/ipmi_sim/{host}", 0, 0, 0o700)


# What only the lab needs. The rest is deploy/postfix, as it is shipped.
# For an IPv6 floating address that is added to.
POSTFIX_IPV6 = {
    "understudy_lmtp": f"lmtp:inet:[{lc.FLOATING6}]:{lc.LMTP_PORT}", "inet_protocols": "all",
    "mynetworks": " ".join(["127.0.0.0/8"] + [f"[{lc.address6(h)}]" for h in lc.CLUSTER_HOSTS]),
    "inet_interfaces": f"127.0.0.1, {lc.MX_ADDRESS}, [{lc.MX_ADDRESS6}]",
}
POSTFIX_SHIPPED = os.path.join(lc.HERE, "..", "..", "deploy", "postfix")
POSTFIX_SITE = {
    "understudy_domains": lc.DOMAIN, "understudy_lmtp": f"lmtp:inet:[{lc.FLOATING}]:{lc.LMTP_PORT}",
    "mynetworks": " ".join(["127.0.0.0/8"] + [lc.address(h, "service") for h in lc.CLUSTER_HOSTS]),
}
POSTFIX_LAB = {
    "compatibility_level": "3.6", "myhostname": "mx.lab.test", "mydestination": "", "inet_protocols": "ipv4",
    "inet_interfaces": f"127.0.0.1, {lc.MX_ADDRESS}", "alias_maps": "", "alias_database": "",
    "local_recipient_maps": "", "maillog_file": "/var/log/postfix.log", "queue_directory": "/var/spool/postfix",
    "data_directory": "/var/lib/postfix", "smtpd_tls_security_level": "none", "smtpd_peername_lookup": "no",
    "smtp_host_lookup": "native", "lmtp_host_lookup": "native", "smtp_dns_support_level": "disabled",
    "lmtp_dns_support_level": "disabled", "default_transport": f"smtp:[{lc.MX_ADDRESS}]:{lc.SINK_PORT}",
    "in_flow_delay": "0", "smtpd_error_sleep_time": "0", "smtpd_client_connection_count_limit": "0",
}


def shipped_lines(name):
    """The lines of deploy/postfix/NAME that say something."""
    with open(os.path.join(POSTFIX_SHIPPED, name), encoding="utf-8") as file:
        return [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]


def shipped_parameters(name):
    return dict(line.split(" =", 1) for line in shipped_lines(name))


def postfix_main(ipv6=False, service="mailman3"):
    """main.cf: the shipped parameters with those of the site filled in, then what only the lab needs."""
    parts = shipped_parameters("main.cf")
    doubled = parts.keys() & POSTFIX_LAB.keys()
    if doubled:
        raise ValueError(f"the lab would hide what is shipped in deploy/postfix/main.cf: {', '.join(sorted(doubled))}")
    more = labmailman2.mx_parameters(parts) if service != "mailman3" else POSTFIX_IPV6 if ipv6 else {}
    parts.update({k: f" {v}" for k, v in {**POSTFIX_SITE, **POSTFIX_LAB, **more}.items()})
    return "".join(f"{k} ={v}\n" for k, v in parts.items())


def postfix_master(name="master.cf"):
    """master.cf: Postfix's own without chroots, with the shipped lines in the place of those of the same service."""
    shipped = {tuple(line.split()[:2]): line + "\n" for line in shipped_lines(name)}
    with open("/usr/share/postfix/master.cf.dist", encoding="utf-8") as file:
        lines = [without_chroot(line) for line in file if not line.startswith("#")]
    lines = [shipped.pop(tuple(line.split()[:2]), line) if not line[:1].isspace() else line for line in lines]
    return "".join(lines + list(shipped.values()))


def write_listhost_postfix(disk, ids):
    common = {**POSTFIX_LAB, "maillog_file": "/var/log/postfix.log"}
    disk.file("/etc/postfix/main.cf", labmailman2.host_main(shipped_parameters("listhost_main.cf"), common))
    disk.file("/etc/postfix/master.cf", postfix_master("listhost_master.cf").replace("192.0.2.100", lc.FLOATING))
    disk.folder("/var/lib/postfix", *ids["postfix"], 0o700)


def write_postfix(disk, ids, ipv6=False, service="mailman3"):
    disk.file("/etc/postfix/main.cf", postfix_main(ipv6, service))
    disk.file("/etc/postfix/master.cf", postfix_master())
    disk.file("/etc/postfix/understudy_lmtp_status", "".join(f"{line}\n" for line in shipped_lines("lmtp_status")))
    disk.folder("/var/lib/postfix", *ids["postfix"], 0o700)


def without_chroot(line):
    """Debian chroots most services into the queue directory and copies libraries there; not needed here."""
    words = line.split()
    if line[:1].isspace() or len(words) < 8:
        return line
    words[4] = "n"
    return " ".join(words) + "\n"


def new_passwords():
    return {host: secrets.token_hex(8) for host in lc.BMC_ADDRESSES}
