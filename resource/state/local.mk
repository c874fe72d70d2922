# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libstate.a
libstate_a_SOURCES = %D%/state.h \
	%D%/bounces.c %D%/bounces.h %D%/bounces21.c %D%/bounces21.h %D%/defer.c %D%/defer.h %D%/defer_line.c %D%/ledger.c %D%/ledger.h \
	%D%/lock.c %D%/lock.h %D%/lock_claim.c %D%/lock_claim.h %D%/lock_name.c %D%/lock_name.h \
	%D%/lock_take.c %D%/lock_take.h %D%/locks.c \
	%D%/linefile.c %D%/linefile.h %D%/list21.c %D%/list21.h %D%/lists.c %D%/lists.h %D%/pass.c %D%/pass.h %D%/pickle.c %D%/pickle.h \
	%D%/quarantine.c %D%/quarantine.h %D%/probe.c %D%/queue.c %D%/queue.h %D%/queue20.c %D%/queue20.h \
	%D%/queue_name.c %D%/queue_name.h %D%/recover.c %D%/unit.c %D%/unit.h \
	%D%/state_out.c %D%/state_out.h %D%/state_process.c %D%/sync.c

pkglibexec_PROGRAMS += understudy-state
understudy_state_SOURCES = %D%/main.c
understudy_state_LDADD = libstate.a libcommon.a $(INI_LIBS) $(SECCOMP_LIBS)

test_dir = tests/unit/test_dir.c tests/unit/test_dir.h
if HAVE_CMOCKA
check_PROGRAMS += tests/unit/state_test tests/unit/defer_test tests/unit/ledger_test tests/unit/list21_test tests/unit/pass_test tests/unit/queue20_test tests/unit/bounces21_test
TESTS += tests/unit/state_test tests/unit/defer_test tests/unit/ledger_test tests/unit/list21_test tests/unit/pass_test tests/unit/queue20_test tests/unit/bounces21_test
endif
tests_unit_defer_test_SOURCES = tests/unit/defer_test.c
tests_unit_defer_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_defer_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_ledger_test_SOURCES = tests/unit/ledger_test.c $(test_dir)
tests_unit_ledger_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ledger_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_list21_test_SOURCES = tests/unit/list21_test.c $(test_dir)
tests_unit_list21_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_list21_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_pass_test_SOURCES = tests/unit/pass_test.c
tests_unit_pass_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_pass_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_bounces21_test_SOURCES = tests/unit/bounces21_test.c $(test_dir)
tests_unit_bounces21_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_bounces21_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_queue20_test_SOURCES = tests/unit/queue20_test.c $(test_dir)
tests_unit_queue20_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_queue20_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_state_test_SOURCES = tests/unit/state_test.c
tests_unit_state_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_state_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)

state_programs = tests/unit/state_program_test.py tests/unit/state_probe_test.py \
	tests/unit/state_slices_test.py tests/unit/state_mailman2_test.py tests/unit/state_fault_test.py \
	tests/unit/state_pass_test.py tests/unit/state_lists_test.py \
	tests/unit/state_sweep_test.py tests/unit/hostile_state_test.py tests/unit/list_directories_test.py
TESTS += $(state_programs)
EXTRA_DIST += $(state_programs) tests/unit/state_world.py tests/unit/state_world2.py tests/unit/opened.py

# 3,000 lists of which one is locked for a minute, and 200 kills of the pass: a quarter of an hour on a busy machine.
.PHONY: check-pass-long
check-pass-long: understudy-state tests/unit/shim.so
	top_builddir=$(abs_top_builddir) PASS_LISTS=3000 PASS_LOCKED_S=60 PASS_KILLS=200 \
		/usr/bin/python3 $(top_srcdir)/tests/unit/state_lists_test.py
	top_builddir=$(abs_top_builddir) PASS_KILLS=200 /usr/bin/python3 $(top_srcdir)/tests/unit/state_pass_test.py

include resource/state/locks.mk

check_PROGRAMS += tests/unit/link_racer
tests_unit_link_racer_SOURCES = tests/unit/link_racer.c
tests_unit_link_racer_LDADD = libcommon.a
