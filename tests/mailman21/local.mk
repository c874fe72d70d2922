# SPDX-License-Identifier: GPL-2.0-or-later
# The stand-in for Mailman 2.1.39 and its tests; they need Python only, and try nothing that sanitizers could see.
MAILMAN21_TESTS = %D%/locks_test.py %D%/queues_test.py %D%/crash_test.py %D%/mm20_test.py %D%/nodes_test.py %D%/lists_test.py
if !SANITIZED
TESTS += $(MAILMAN21_TESTS)
endif
EXTRA_DIST += $(MAILMAN21_TESTS) \
	%D%/README \
	%D%/crashpoints.py \
	%D%/install.py \
	%D%/mm20.py \
	%D%/mmcommands.py \
	%D%/mmconf.py \
	%D%/mmdeliver.py \
	%D%/mmlist.py \
	%D%/mmlock.py \
	%D%/mmmaster.py \
	%D%/mmqueue.py \
	%D%/mmrunner.py \
	%D%/mmrunners.py \
	%D%/standin_world.py
