# SPDX-License-Identifier: GPL-2.0-or-later
EXTRA_DIST += deploy/check deploy/demo deploy/common.sh deploy/packages
EXTRA_DIST += deploy/changes/next/first-takeover.md deploy/changes/next/ordinary-days.md deploy/changes/next/planned-release.md \
	deploy/changes/next/bad-input.md deploy/changes/next/fuzz-targets.md deploy/changes/next/gate.md \
	deploy/changes/next/hostile-address.md deploy/changes/next/involuntary-stop.md deploy/changes/next/ipv6.md deploy/changes/next/limits.md \
	deploy/changes/next/share-that-takes-nothing.md deploy/changes/next/nothing-left.md deploy/changes/next/no-memory.md deploy/changes/next/flapping-link.md deploy/changes/next/locks.md deploy/changes/next/locks-under-faults.md deploy/changes/next/share-from-backup.md \
	deploy/changes/next/short-of-programs.md deploy/changes/next/one-patience.md \
	deploy/corosync/corosync.conf.two-nodes deploy/corosync/uidgid.understudy \
	deploy/units/understudy.service.in

# Debian's own ways to start Mailman: `understudy-gate-setup on`, by an administrator or a package's postinst.
pkglibexec_SCRIPTS += deploy/gate/understudy-gate-setup
EXTRA_DIST += deploy/gate/understudy-gate-setup.in tests/unit/gate_setup_test.py
TESTS += tests/unit/gate_setup_test.py
CLEANFILES += deploy/gate/understudy-gate-setup
deploy/gate/understudy-gate-setup: deploy/gate/understudy-gate-setup.in
	$(AM_V_GEN)mkdir -p deploy/gate && $(SED) -e 's,[@]bindir[@],$(bindir),' $< > $@.new && chmod +x $@.new && mv $@.new $@

TESTS += tests/unit/unit_file_test.py
EXTRA_DIST += tests/unit/unit_file_test.py
systemdsystemunit_DATA = deploy/units/understudy.service
CLEANFILES += deploy/units/understudy.service
deploy/units/understudy.service: deploy/units/understudy.service.in
	$(AM_V_GEN)mkdir -p deploy/units && $(SED) -e 's,[@]sbindir[@],$(sbindir),' $< > $@
EXTRA_DIST += deploy/changes/next/mail-around-it.md deploy/changes/next/list-share-unwritable.md deploy/changes/next/third-start.md deploy/changes/next/put-off.md deploy/postfix/README deploy/postfix/main.cf deploy/postfix/master.cf deploy/postfix/lmtp_status \
	deploy/postfix/listhost_main.cf deploy/postfix/listhost_master.cf deploy/changes/next/mailman2.md
