#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""understudy-gate-setup with the real dpkg, in a root of its own: Debian's starts of Mailman go through the gate."""
import os
import shutil
import subprocess
import sys

import program
from program import eq, test

SETUP = os.path.join(program.BUILD, "deploy/gate/understudy-gate-setup")
CRON = "/etc/cron.d/mailman3"
JOBS = """# /etc/cron.d/mailman3: crontab entries for the mailman3 package

SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

# At 8AM, send out notifices of pending requests to list moderators
0  8 * * *  list\tif [ -x /usr/bin/mailman ]; then /usr/bin/mailman notify; fi

# At 12AM, send mail digests for lists that do periodic as well as threshold delivery
0 12 * * *  list\tif [ -x /usr/bin/mailman ]; then /usr/bin/mailman digests --periodic; fi
"""
UNIT = "[Service]\nExecStart=/usr/bin/mailman start --force\n"


class Root:
    """A root with dpkg's own records in it, and a package mailman3 as Debian's is laid out."""

    def __enter__(self):
        self.top = program.scratch()
        self.root = self.top + "/root"
        for folder in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "etc/cron.d", "etc/systemd/system"):
            os.makedirs(f"{self.root}/{folder}")
        open(self.root + "/var/lib/dpkg/status", "w", encoding="ascii").close()
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.top, ignore_errors=True)

    def package(self, version, jobs=JOBS):
        tree = f"{self.top}/deb"
        shutil.rmtree(tree, ignore_errors=True)
        for name, text in ((CRON, jobs), ("/lib/systemd/system/mailman3.service", UNIT), ("/DEBIAN/conffiles", CRON + "\n"),
                           ("/DEBIAN/control", f"Package: mailman3\nVersion: {version}\nArchitecture: all\nMaintainer: "
                            "x <x@example.org>\nDescription: as laid out by Debian\n")):
            os.makedirs(os.path.dirname(tree + name), exist_ok=True)
            with open(tree + name, "w", encoding="utf-8") as f:
                f.write(text)
        subprocess.run(["dpkg-deb", "-b", "--root-owner-group", tree, tree + ".deb"], check=True, capture_output=True)
        self.dpkg("--install", tree + ".deb")

    def dpkg(self, *words):
        path = os.environ["PATH"] + ":/usr/sbin:/sbin"
        done = subprocess.run(["dpkg", "--root", self.root, "--force-not-root", "--force-unsafe-io", "--force-confdef", *words],
                              capture_output=True, text=True, check=False, env=dict(os.environ, PATH=path))
        eq(done.returncode, 0, done.stdout + done.stderr)

    def setup(self, *words, wanted=0):
        code, out, err = program.run(["sh", SETUP, "--root", self.root, *words])
        eq(code, wanted, out + err)
        return out if wanted == 0 or words[-1] == "status" else err

    def states(self, wanted):
        return [word.partition("=")[2] for line in self.setup("status", wanted=wanted).splitlines()
                for word in line.split() if word.startswith("state=")]

    def text(self, name=CRON):
        with open(self.root + name, encoding="utf-8") as f:
            return f.read()

    def write(self, name, text):
        with open(self.root + name, "w", encoding="utf-8") as f:
            f.write(text)

    def exists(self, name):
        return os.path.lexists(self.root + name)

    def files(self):
        return sorted(os.listdir(self.root + "/etc/cron.d"))

    def jobs(self):
        """(user, command) of every job that cron would run: files with a dot in their names are none of its."""
        found = []
        for name in self.files():
            if "." in name:
                continue
            for line in self.text("/etc/cron.d/" + name).splitlines():
                fields = line.split(None, 6)
                if line[:1].isdigit() or line[:1] == "*":
                    found.append((fields[5], fields[6]))
                elif line[:1] == "@":
                    found.append(tuple(line.split(None, 2)[1:]))
        return found


def run_job(root, command, gate):
    """Runs a job's command as cron does, with a gate that says yes (0), no (1), or is not there (None)."""
    stub, mailman, log = root.top + "/understudy", root.top + "/mailman", root.top + "/ran"
    for path in (stub, log):
        if os.path.exists(path):
            os.unlink(path)
    with open(mailman, "w", encoding="ascii") as f:
        f.write(f"#!/bin/sh\necho mailman $* >>{log}\n")
    os.chmod(mailman, 0o755)
    if gate is not None:
        with open(stub, "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\n[ "$*" = "gate --quiet" ] && exit {gate}\nexit 9\n')
        os.chmod(stub, 0o755)
    word = next(w for w in command.split() if w.endswith("/understudy"))
    done = subprocess.run(["/bin/sh", "-c", command.replace(word, stub).replace("/usr/bin/mailman", mailman)], check=False,
                          capture_output=True)
    eq(done.returncode, 0, done.stderr)
    if not os.path.exists(log):
        return ""
    with open(log, encoding="ascii") as f:
        return f.read()


@test
def every_job_asks_the_gate():
    with Root() as r:
        r.package("3.3.8-2")
        eq(r.states(1), ["startable", "ungated"])
        r.setup("on")
        eq(r.states(0), ["masked", "gated"])
        eq([user for user, _ in r.jobs()], ["list", "list"])
        eq([run_job(r, command, 0) for _, command in r.jobs()], ["mailman notify\n", "mailman digests --periodic\n"])
        for answer in (1, 2, None):         # closed, cannot tell, not installed any more
            eq([run_job(r, command, answer) for _, command in r.jobs()], ["", ""], answer)
        eq(os.readlink(r.root + "/etc/systemd/system/mailman3.service"), "/dev/null")
        eq(os.stat(r.root + CRON).st_mode & 0o7777, 0o644)
        assert "PATH=/usr/local/sbin" in r.text()


@test
def mailman_2_1_has_other_names():
    with Root() as r:
        os.makedirs(r.root + "/lib/systemd/system", exist_ok=True)
        r.package("3.3.8-2")
        r.write("/etc/cron.d/mailman", "0 12 * * *  list\t/usr/lib/mailman/cron/senddigests\n* * * * * list /usr/bin/mailman qrunner\n")
        r.write("/lib/systemd/system/mailman.service", UNIT)
        r.setup("--service", "mailman2", "on")
        eq(r.files(), ["mailman", "mailman.distrib", "mailman3"])
        eq([r.exists(f"/etc/systemd/system/{unit}.service") for unit in ("mailman", "mailman3")], [True, False])
        jobs = [command for _, command in r.jobs() if "/understudy gate --quiet || exit 0; " in command]
        eq(len(jobs), 2)
        eq([run_job(r, jobs[1], answer) for answer in (0, 1, None)], ["mailman qrunner\n", "", ""])
        eq(r.setup("--service", "mailman2", "status").count("state="), 2)
        eq(r.states(1), ["startable", "ungated"])       # those of Mailman 3 are another matter
        r.setup("--service", "mailman2", "off")
        eq((r.files(), r.exists("/etc/systemd/system/mailman.service")), (["mailman", "mailman3"], False))
        r.setup("--service", "majordomo", "on", wanted=2)


@test
def on_and_off_are_idempotent_and_leave_nothing():
    with Root() as r:
        r.package("3.3.8-2")
        for _ in range(2):
            r.setup("on")
        before = r.text()
        eq(r.setup("on"), "")               # nothing to do, nothing said
        eq((r.text(), r.files()), (before, ["mailman3", "mailman3.distrib"]))
        for _ in range(2):
            r.setup("off")
        eq((r.text(), r.files()), (JOBS, ["mailman3"]))
        eq(r.exists("/etc/systemd/system/mailman3.service"), False)
        eq(r.states(1), ["startable", "ungated"])
        r.dpkg("--verify", "mailman3")
        out = subprocess.run(["dpkg-divert", "--root", r.root, "--list"], capture_output=True, text=True, check=True).stdout
        eq(out, "")


@test
def an_upgrade_of_the_package_does_not_open_it():
    with Root() as r:
        r.package("3.3.8-2")
        r.setup("on")
        r.package("3.3.8-3", JOBS + "@daily list /usr/bin/mailman new-job\n")
        eq(len(r.jobs()), 2)                # the new one is not run ungated
        assert all("gate --quiet || exit 0;" in command for _, command in r.jobs()), r.jobs()
        eq(r.states(1), ["masked", "stale"])
        r.setup("on")
        eq(r.states(0), ["masked", "gated"])
        eq(run_job(r, r.jobs()[2][1], 0), "mailman new-job\n")
        eq(run_job(r, r.jobs()[2][1], 1), "")


@test
def before_the_package_and_after_it():
    with Root() as r:
        r.setup("on")
        eq(r.states(0), ["masked", "absent"])
        r.package("3.3.8-2")
        eq((r.jobs(), r.states(1)), ([], ["masked", "stale"]))
        r.setup("on")
        eq(r.states(0), ["masked", "gated"])
        r.dpkg("--purge", "mailman3")
        assert all("gate --quiet || exit 0;" in command for _, command in r.jobs()), r.jobs() # dpkg leaves diverted ones
    with Root() as r:
        r.package("3.3.8-2")
        r.setup("on")
        r.setup("off")
        r.dpkg("--purge", "mailman3")
        eq(r.exists(CRON), False)


@test
def what_an_administrator_changed_is_kept():
    with Root() as r:
        own = JOBS.replace("0 12", "30 6").replace("mailman digests", "/opt/wrap /usr/bin/mailman digests")
        r.package("3.3.8-2")
        r.write(CRON, own)
        r.setup("on")
        assert "30 6 * * *  list\t" in r.text() and "/opt/wrap" in r.text()
        eq(r.states(0), ["masked", "gated"])
        r.write(CRON, r.text() + "0 1 * * * list /usr/bin/mailman beside\n")
        eq(r.states(1), ["masked", "stale"])
        r.setup("off")
        eq(r.text(), own)


@test
def what_is_somebody_elses_is_not_touched():
    with Root() as r:
        r.package("3.3.8-2")
        r.write("/etc/systemd/system/mailman3.service", UNIT)
        assert "move it away" in r.setup("on", wanted=1)
        eq(r.text("/etc/systemd/system/mailman3.service"), UNIT)
        os.unlink(r.root + "/etc/systemd/system/mailman3.service")
        r.setup("on")
        r.write(CRON, JOBS)                 # somebody's own, in the place of ours
        eq(r.states(1), ["masked", "stale"])
        assert "somebody else" in r.setup("on", wanted=1)
        assert "move it away" in r.setup("off", wanted=1)
        eq(r.text(), JOBS)
    with Root() as r:
        subprocess.run(["dpkg-divert", "--root", r.root, "--quiet", "--local", "--rename", "--add", CRON], check=True)
        assert "diverted by" in r.setup("on", wanted=1)
        eq(r.states(1), ["masked", "ungated"])


@test
def a_job_that_cannot_be_read_is_not_let_through():
    with Root() as r:
        r.package("3.3.8-2", JOBS + "0 1 * * *\n")
        assert "form of a crontab" in r.setup("on", wanted=1)
        eq((r.jobs(), r.states(1)), ([], ["masked", "stale"]))


@test
def quiet_and_usage():
    with Root() as r:
        r.package("3.3.8-2")
        eq(program.run(["sh", SETUP, "--root", r.root, "--quiet", "status"]), (1, "", ""))
        r.setup("on")
        eq(program.run(["sh", SETUP, "--root", r.root, "--quiet", "status"]), (0, "", ""))
        for words in ([], ["look"], ["--root", r.top, "status"], ["on", "off"], ["--root"]):
            eq(program.run(["sh", SETUP, *words])[0], 2, words)


@test
def systemd_takes_the_mask_for_one():
    if not shutil.which("systemctl"):
        raise program.Skip("there is no systemctl")
    with Root() as r:
        r.package("3.3.8-2")
        r.setup("on")
        code, out, _ = program.run(["systemctl", "--root", r.root, "is-enabled", "mailman3.service"])
        eq((code != 0, out), (True, "masked\n"))


if __name__ == "__main__":
    if not shutil.which("dpkg-divert") or not shutil.which("dpkg-deb"):
        print("1..0 # SKIP there is no dpkg")
        sys.exit(0)
    program.enter_mount_namespace()
    sys.exit(program.main())
