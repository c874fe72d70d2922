# SPDX-License-Identifier: GPL-2.0-or-later
# The share that misbehaves: `lab up --faulty`.
if HAVE_FUSE
noinst_PROGRAMS += tests/lab/understudy-faultfs
endif
tests_lab_understudy_faultfs_SOURCES = tests/lab/faultfs.h tests/lab/faultfs.c tests/lab/faultfs_back.c \
	tests/lab/faultfs_do.c tests/lab/faultfs_fuse.c tests/lab/faultfs_parse.c tests/lab/faultfs_rules.c tests/lab/faultfs_stale.c \
	tests/lab/faultfs_wire.c
tests_lab_understudy_faultfs_CFLAGS = $(AM_CFLAGS) $(FUSE_CFLAGS) -pthread
tests_lab_understudy_faultfs_LDADD = $(FUSE_LIBS) -lpthread
EXTRA_DIST += tests/lab/labfaultfs.py tests/lab/drills_faulty.py tests/lab/drills_lists.py
