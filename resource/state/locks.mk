# SPDX-License-Identifier: GPL-2.0-or-later
# Tests of the locks alone.
if HAVE_CMOCKA
lock_tests = tests/unit/lock_name_test tests/unit/lock_take_test tests/unit/lock_order_test
check_PROGRAMS += $(lock_tests)
TESTS += $(lock_tests)
endif
tests_unit_lock_name_test_SOURCES = tests/unit/lock_name_test.c
tests_unit_lock_name_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lock_name_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_lock_take_test_SOURCES = tests/unit/lock_take_test.c
tests_unit_lock_take_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_lock_take_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)

lock_sched_wrap = -Wl,--wrap=getpid,--wrap=openat,--wrap=fstat,--wrap=fstatat,--wrap=linkat,--wrap=renameat,--wrap=unlinkat,--wrap=flock,--wrap=fsync,--wrap=close
tests_unit_lock_order_test_SOURCES = tests/unit/lock_order_test.c tests/unit/lock_sched.c tests/unit/lock_sched.h
tests_unit_lock_order_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) -pthread
tests_unit_lock_order_test_LDFLAGS = $(AM_LDFLAGS) $(lock_sched_wrap) -pthread
tests_unit_lock_order_test_LDADD = libstate.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)

check_PROGRAMS += tests/unit/lock_contender
tests_unit_lock_contender_SOURCES = tests/unit/lock_contender.c
tests_unit_lock_contender_LDADD = libstate.a libcommon.a $(INI_LIBS)

lock_programs = tests/unit/lock_contention_test.py tests/unit/lock_breakage_test.py tests/unit/lock_faulty_test.py
TESTS += $(lock_programs)
EXTRA_DIST += $(lock_programs) tests/unit/lockfile21.py

# A hundred thousand acquisitions on a share that misbehaves (root, FUSE); several minutes. LOCK_SEED draws other faults.
LOCK_ACQUISITIONS = 100000
.PHONY: check-locks
check-locks: all tests/unit/lock_contender
	$(AM_TESTS_ENVIRONMENT) LOCK_ACQUISITIONS=$(LOCK_ACQUISITIONS) /usr/bin/python3 $(top_srcdir)/tests/unit/lock_faulty_test.py

# Each order of two breakers and a live locker, at each call that matters to another; long.
.PHONY: check-orders
check-orders: tests/unit/lock_order_test
	$(AM_TESTS_ENVIRONMENT) LOCK_ORDERS_ALL=1 tests/unit/lock_order_test test_two_breakers_at_each_call
