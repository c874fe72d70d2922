# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libepoch.a
libepoch_a_SOURCES = %D%/epoch.h %D%/epoch_file.c %D%/epoch_file.h %D%/epoch_share.c %D%/epoch_share.h \
	%D%/epoch_view.c %D%/epoch_view.h %D%/epoch_local.c %D%/epoch_local.h %D%/epoch_proof.c %D%/epoch_proof.h \
	%D%/epoch_look.c %D%/epoch_print.c %D%/epoch_make.c %D%/epoch_claim.c %D%/epoch_watch.c %D%/epoch_drain.c \
	%D%/epoch_init.c %D%/epoch_maintain.c

pkglibexec_PROGRAMS += understudy-epoch
understudy_epoch_SOURCES = %D%/main.c
understudy_epoch_LDADD = libepoch.a libcommon.a $(INI_LIBS) $(SECCOMP_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/epoch_test
TESTS += tests/unit/epoch_test
endif
tests_unit_epoch_test_SOURCES = tests/unit/epoch_test.c
tests_unit_epoch_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_epoch_test_LDADD = libepoch.a libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)

epoch_programs = tests/unit/epoch_program_test.py tests/unit/epoch_fault_test.py tests/unit/epoch_maintenance_test.py \
	tests/unit/epoch_lost_test.py tests/unit/epoch_sweep_test.py tests/unit/crash_run_test.py tests/unit/hostile_epoch_test.py tests/unit/resources_test.py
TESTS += $(epoch_programs)
EXTRA_DIST += $(epoch_programs) tests/unit/epoch_world.py tests/unit/hostile.py \
	tests/unit/program.py tests/unit/shim.c tests/unit/mallocshim.c

# What a network file system can do to a program, and a machine without memory; preloaded by tests only.
check_DATA += tests/unit/shim.so tests/unit/mallocshim.so
CLEANFILES += tests/unit/shim.so tests/unit/mallocshim.so
tests/unit/shim.so: tests/unit/shim.c
	$(AM_V_CCLD)$(MKDIR_P) tests/unit && $(CC) $(CFLAGS) -fPIC -shared -o $@ $(top_srcdir)/tests/unit/shim.c -ldl
tests/unit/mallocshim.so: tests/unit/mallocshim.c
	$(AM_V_CCLD)$(MKDIR_P) tests/unit && $(CC) $(CFLAGS) -fPIC -shared -o $@ $(top_srcdir)/tests/unit/mallocshim.c

# Ends a program at the system call that one names.
check_PROGRAMS += tests/unit/crash_run
tests_unit_crash_run_SOURCES = tests/unit/crash_run.c tests/unit/crash_changes.c tests/unit/crash_changes.h
tests_unit_crash_run_LDADD = libcommon.a
