# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the list of the lab: runs on a host, as the list user, before the list share is used for the first time.

Arguments: list address, then its members."""
import sys

from mailman.app.lifecycle import create_list
from mailman.core.initialize import initialize
from mailman.database.transaction import transaction
from mailman.interfaces.action import Action
from mailman.interfaces.archiver import ArchivePolicy
from mailman.interfaces.domain import IDomainManager
from mailman.interfaces.subscriptions import ISubscriptionManager
from mailman.interfaces.usermanager import IUserManager
from zope.component import getUtility


def make_list(address, members):
    with transaction():
        getUtility(IDomainManager).add(address.partition("@")[2])
        mlist = create_list(address, ["owner@members.test"])
        mlist.default_member_action = Action.accept
        mlist.default_nonmember_action = Action.accept
        mlist.archive_policy = ArchivePolicy.never
        mlist.digests_enabled = False
        mlist.administrivia = False
        mlist.send_welcome_message = False
        mlist.process_bounces = False
        mlist.max_message_size = 0
    with transaction():
        for member in members:
            user = getUtility(IUserManager).make_user(member)
            for one in user.addresses:
                one.verified_on = one.registered_on
            ISubscriptionManager(mlist).register(list(user.addresses)[0], pre_verified=True, pre_confirmed=True,
                                                 pre_approved=True)


if __name__ == "__main__":
    initialize("/etc/mailman3/mailman.cfg")
    make_list(sys.argv[1], sys.argv[2:])
