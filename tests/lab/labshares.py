# SPDX-License-Identifier: GPL-2.0-or-later
"""What can be done to the shares of a lab: both hosts', or as one of them sees it."""
import labconf
import labfaultfs
import labns
import labshare


class Shares:
    """The part of Lab that freezes, takes away, replaces, and lets misbehave."""

    def freeze_share(self, name):
        """Writes to share NAME ("control" or "lists") hang, for everybody, until thaw_share()."""
        self.event("freeze", share=name)
        labshare.freeze(str(self.dir), name, True)

    def thaw_share(self, name):
        self.event("thaw", share=name)
        labshare.freeze(str(self.dir), name, False)

    def take_share(self, host, name):
        """Host HOST has share NAME no longer; what it has open stays open. Until give_share()."""
        self.event("unmount", host=host, share=name)
        self._move_mount(host, labconf.SHARES[name], f"/run/lab/away.{name}")

    def give_share(self, host, name):
        self.event("mount", host=host, share=name)
        self._move_mount(host, f"/run/lab/away.{name}", labconf.SHARES[name])

    def _move_mount(self, host, source, target):
        self.host(host).exec(["/usr/bin/mkdir", "-p", target])
        self.host(host).exec(["/usr/bin/mount", "--move", source, target])

    def backup_epochs(self):
        """Yesterday's copy of the control share, for replace_epochs()."""
        target = str(self.dir / "share" / f"backup.{labns.boottime_ms()}")
        labshare.copy_epochs(str(self.dir), target)
        return target

    def replace_epochs(self, source=None):
        """Both hosts see the backup SOURCE, or nothing at all, where the epochs were; where these are kept now."""
        self.event("replace-epochs", source=source)
        return labshare.replace_epochs(str(self.dir), source)

    # -- `lab up --faulty`
    def rules(self, host, name):
        """The rules of share NAME of HOST, and what they have met."""
        return labfaultfs.Rules(labfaultfs.rules_folder(str(self.dir), self.host(host).name), name)

    def fault(self, host, name, *rules):
        """Share NAME misbehaves for HOST as RULES say, until the next call; without any it works again.

        They outlive a power cycle of the host, with their counts anew: it is the server that is meant."""
        self.event("fault", host=host, share=name, rules=rules)
        self.rules(host, name).set(rules, self.host(host).powered)

    def heal_shares(self):
        """No share misbehaves any more."""
        for host in labconf.CLUSTER_HOSTS:
            for name in labconf.SHARES:
                if self.rules(host, name).read():
                    self.fault(host, name)
