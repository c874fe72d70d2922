# SPDX-License-Identifier: GPL-2.0-or-later
include agent/daemon/engine.mk

sbin_PROGRAMS += understudyd
noinst_LIBRARIES += libexecutor.a
libexecutor_a_SOURCES = \
	%D%/executor.c %D%/executor.h %D%/executor_active.c %D%/executor_child.c %D%/executor_engine.c \
	%D%/executor_fence.c %D%/executor_notify.c %D%/executor_output.c %D%/executor_reload.c %D%/executor_start.c \
	%D%/executor_stop.c %D%/executor_tell.c %D%/executor_tenure.c %D%/executor_token.c %D%/executor_watchdog.c \
	%D%/jobs.c %D%/jobs.h \
	%D%/log.c %D%/log.h \
	%D%/privileges.c %D%/privileges.h \
	%D%/secrets.c %D%/secrets.h
libexecutor_a_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(SYSTEMD_CFLAGS)
understudyd_SOURCES = %D%/executor_main.c
understudyd_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS)
executor_libs = libexecutor.a libcommon.a $(QB_LIBS) $(SYSTEMD_LIBS) $(INI_LIBS)
understudyd_LDADD = $(executor_libs)

pkglibexec_PROGRAMS += understudy-members
understudy_members_SOURCES = \
	%D%/members.c %D%/members.h %D%/members_cmap.c %D%/members_cpg.c %D%/members_quorum.c \
	%D%/log.c %D%/log.h
understudy_members_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(CPG_CFLAGS) $(VOTEQUORUM_CFLAGS) $(CMAP_CFLAGS)
understudy_members_LDADD = libcommon.a $(QB_LIBS) $(CPG_LIBS) $(VOTEQUORUM_LIBS) $(CMAP_LIBS) $(SECCOMP_LIBS)

EXTRA_DIST += tests/unit/attack_test.py tests/unit/members_test.py
TESTS += tests/unit/attack_test.py tests/unit/members_test.py

if HAVE_CMOCKA
executor_tests = tests/unit/executor_test tests/unit/executor_hang_test tests/unit/executor_stop_test \
	tests/unit/executor_token_test tests/unit/executor_fence_test tests/unit/executor_watchdog_test \
	tests/unit/executor_nomem_test tests/unit/executor_watch_test tests/unit/executor_attack_test tests/unit/privileges_test tests/unit/secrets_test tests/unit/members_fake_test
check_PROGRAMS += $(executor_tests) tests/unit/fake_engine
TESTS += $(executor_tests)
endif
tests_unit_fake_engine_SOURCES = tests/unit/fake_engine.c
tests_unit_fake_engine_LDADD = libcommon.a
executor_test_flags = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(QB_CFLAGS)
tests_unit_executor_test_SOURCES = tests/unit/executor_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_hang_test_SOURCES = tests/unit/executor_hang_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_hang_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_hang_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_nomem_test_SOURCES = tests/unit/executor_nomem_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_nomem_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_nomem_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_watch_test_SOURCES = tests/unit/executor_watch_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_watch_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_watch_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_attack_test_SOURCES = tests/unit/executor_attack_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_attack_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_attack_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_privileges_test_SOURCES = tests/unit/privileges_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_privileges_test_CFLAGS = $(executor_test_flags)
tests_unit_privileges_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_stop_test_SOURCES = tests/unit/executor_stop_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_stop_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_stop_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_token_test_SOURCES = tests/unit/executor_token_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_token_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_token_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
tests_unit_executor_fence_test_SOURCES = tests/unit/executor_fence_test.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_unit_executor_fence_test_CFLAGS = $(executor_test_flags)
tests_unit_executor_fence_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
# The lab's device, linked in: its open, ioctl, write and close go before those of libc.
tests_unit_executor_watchdog_test_SOURCES = tests/unit/executor_watchdog_test.c tests/unit/executor_lib.c \
	tests/unit/executor_lib.h tests/lab/watchdogshim.c
tests_unit_executor_watchdog_test_CFLAGS = $(executor_test_flags) -Wno-missing-prototypes
tests_unit_executor_watchdog_test_LDADD = $(executor_libs) $(CMOCKA_LIBS) -ldl
tests_unit_secrets_test_SOURCES = tests/unit/secrets_test.c
tests_unit_secrets_test_CFLAGS = $(executor_test_flags)
tests_unit_secrets_test_LDADD = $(executor_libs) $(CMOCKA_LIBS)
# members.c as it is, but its main has another name.
check_LIBRARIES = libmembersfake.a
libmembersfake_a_SOURCES = %D%/members.c %D%/log.c
libmembersfake_a_CPPFLAGS = $(AM_CPPFLAGS) -Dmain=members_main
libmembersfake_a_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) -Wno-missing-prototypes
tests_unit_members_fake_test_SOURCES = tests/unit/members_fake_test.c
tests_unit_members_fake_test_CFLAGS = $(executor_test_flags)
tests_unit_members_fake_test_LDADD = libmembersfake.a libcommon.a $(QB_LIBS) $(CMOCKA_LIBS) $(SECCOMP_LIBS)
