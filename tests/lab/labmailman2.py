# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab with --service mailman2 or mailman20: the stand-in for Mailman 2.1 or 2.0 (tests/mailman21) on the hosts and on the list share, and the hosts' own
Postfix, which pipes what the MX brings into mail/mailman. What is not of Mailman 2 is in labparts."""
import os
import sys

import labconf as lc

STANDIN = os.path.join(lc.HERE, "..", "mailman21")
sys.path.insert(0, STANDIN)
import install  # noqa: E402  pylint: disable=wrong-import-position

PREFIX, SPOOL = "/usr/lib/mailman", "/var/spool/postfix"
SETTINGS = {"PREFIX": repr(PREFIX), "VAR_PREFIX": repr(lc.LIST_SHARE), "DEFAULT_EMAIL_HOST": repr(lc.DOMAIN),
            "SMTPHOST": repr(lc.MX_ADDRESS), "SMTPPORT": str(lc.SINK_PORT), "QRUNNER_SLEEP_TIME": "0.3"}
# Makes the folders and the lists, on the share of a host, as the list user.
PREP = """import subprocess, sys
sys.path.insert(0, {modules!r})
import mmconf
mmconf.make_folders()
name, members = sys.argv[1].partition('@')[0], sys.argv[2:]
for one in ('mailman', name):
    subprocess.run([{prefix!r} + '/bin/newlist', '-q', one, 'owner@members.test', 'x'], check=True)
subprocess.run([{prefix!r} + '/bin/add_members', '-r', '-', name], input='\\n'.join(members), text=True, check=True)
"""

GENERATIONS = {"mailman2": "2.1", "mailman20": "2.0"}


def mm_cfg(service):
    settings = {**SETTINGS, "GENERATION": repr(GENERATIONS[service])}
    return "".join(f"{name} = {value}\n" for name, value in settings.items())


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def standin(service):
    """Everything that the prepared list share comes from."""
    return mm_cfg(service) + PREP + "".join(read(os.path.join(STANDIN, name)) for name in install.MODULES)


def write_mailman(disk, service):
    """As install.py does it, into a disk that is not mounted."""
    modules = f"{PREFIX}/Mailman"
    for name in install.MODULES:
        disk.file(f"{modules}/{name}", read(os.path.join(STANDIN, name)))
    disk.file(f"{modules}/mm_cfg.py", mm_cfg(service))
    for path, name in install.PROGRAMS.items():
        disk.file(f"{PREFIX}/{path}", install.PROGRAM.format(python="/usr/bin/python3", modules=modules, name=name), 0o755)
    disk.file("/etc/lab/listprep2.py", PREP.format(modules=modules, prefix=PREFIX))
    disk.folder(lc.CONTROL_SHARE)
    disk.folder(lc.LIST_SHARE)


def prepare_argv():
    return ["/usr/bin/python3", "/etc/lab/listprep2.py", lc.LIST_ADDRESS, *lc.LIST_MEMBERS]


def conf_section(service):
    return f"[mailman2]\ngeneration = {GENERATIONS[service]}\nuser = list\nprefix = {PREFIX}\nvar_prefix = {lc.LIST_SHARE}\n"


# -- mail
def mx_parameters(shipped):
    """For an MX that delivers by SMTP: what is shipped for LMTP, under the names of SMTP."""
    twins = {f"smtp_{key[5:].replace('lhlo', 'helo')}": value for key, value in shipped.items()
             if key.startswith("lmtp_") and key.endswith("_timeout")}
    return {**twins, "understudy_lmtp": f"smtp:[{lc.FLOATING}]:25"}


def host_main(shipped, common):
    """main.cf of a list host, from deploy/postfix/listhost_main.cf."""
    site = {"understudy_domains": lc.DOMAIN, "mynetworks": f"127.0.0.0/8 {lc.MX_ADDRESS} "
            + " ".join(lc.address(h, "service") for h in lc.CLUSTER_HOSTS)}
    own = {key: value for key, value in common.items() if key not in ("inet_interfaces", "myhostname", "default_transport")}
    return "".join(f"{k} = {v.strip()}\n" for k, v in {**shipped, **own, **site}.items())
