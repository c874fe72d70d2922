# SPDX-License-Identifier: GPL-2.0-or-later
# Hosts with kernels of their own and real NFS between them: user-mode Linux.
LAB_NFS = tests/lab/test_uml_guests.py tests/lab/test_uml_epoch.py tests/lab/test_uml_locks.py tests/lab/test_uml_state.py \
	tests/lab/test_uml_softdog.py tests/lab/test_uml_mailman21.py
EXTRA_DIST += tests/lab/umlguest.py tests/lab/umlinit.py tests/lab/umlmailman21.py tests/lab/umlnfs.py \
	tests/lab/umlproduct.py tests/lab/umlsender.py $(LAB_NFS)

# The executor on a guest with a real watchdog.
if HAVE_CMOCKA
check_PROGRAMS += tests/lab/umlsoftdog
lab_nfs_needs = tests/lab/umlsoftdog tests/unit/fake_engine
endif
tests_lab_umlsoftdog_SOURCES = tests/lab/umlsoftdog.c tests/unit/executor_lib.c tests/unit/executor_lib.h
tests_lab_umlsoftdog_CFLAGS = $(executor_test_flags)
tests_lab_umlsoftdog_LDADD = $(executor_libs) $(CMOCKA_LIBS)

# check-nfs: in a few minutes. check-nfs-long: as often as is promised.
check-nfs: all tests/unit/lock_contender $(lab_nfs_needs)
	$(LAB_PYTEST) -m 'not long' $(LAB_NFS)

check-nfs-long: all tests/unit/lock_contender $(lab_nfs_needs)
	export UML_ROUNDS=200 UML_RESTARTS=20 UML_PAUSES=20 UML_LOCK_ROUNDS=10000 UML_LOOKS=20 UML_MESSAGES=1000; $(LAB_PYTEST) $(LAB_NFS)

.PHONY: check-nfs check-nfs-long
