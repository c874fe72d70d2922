# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libcommon.a
libcommon_a_SOURCES = \
	%D%/banned.h %D%/exitcodes.h \
	%D%/bootid.c %D%/bootid.h \
	%D%/clock.c %D%/clock.h \
	%D%/config.c %D%/config.h %D%/config_private.h \
	%D%/config_check.c %D%/config_digest.c %D%/config_field.c %D%/config_ini.c %D%/config_lists.c %D%/config_listserver.c %D%/config_names.c \
	%D%/config_reload.c \
	%D%/config_table.c %D%/config_text.c \
	%D%/cpgmsg.c %D%/cpgmsg.h \
	%D%/fileio.c %D%/fileio.h \
	%D%/ipaddr.c %D%/ipaddr.h \
	%D%/listproc.c %D%/listproc.h \
	%D%/num.c %D%/num.h \
	%D%/sandbox.c %D%/sandbox.h \
	%D%/tenure.c %D%/tenure.h \
	%D%/token.c %D%/token.h \
	%D%/wire.c %D%/wire.h
libcommon_a_CFLAGS = $(AM_CFLAGS) $(INI_CFLAGS) $(SECCOMP_CFLAGS)

check_PROGRAMS += tests/unit/config_print
tests_unit_config_print_SOURCES = tests/unit/config_print.c
tests_unit_config_print_LDADD = libcommon.a $(INI_LIBS)
EXTRA_DIST += deploy/understudy.conf.example

if HAVE_CMOCKA
common_tests = tests/unit/config_address_test tests/unit/config_keys_test tests/unit/config_list_test tests/unit/config_test \
	tests/unit/ipaddr_test tests/unit/sandbox_test \
	tests/unit/small_test tests/unit/wire_test
check_PROGRAMS += $(common_tests)
TESTS += $(common_tests)
endif
tests_unit_config_address_test_SOURCES = tests/unit/config_address_test.c tests/unit/config_rows.c tests/unit/config_rows.h
tests_unit_config_address_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_address_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_config_list_test_SOURCES = tests/unit/config_list_test.c
tests_unit_config_list_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_list_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_config_keys_test_SOURCES = tests/unit/config_keys_test.c tests/unit/config_rows.c tests/unit/config_rows.h
tests_unit_config_keys_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_keys_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_config_test_SOURCES = tests/unit/config_test.c
tests_unit_config_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_config_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_ipaddr_test_SOURCES = tests/unit/ipaddr_test.c
tests_unit_ipaddr_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_ipaddr_test_LDADD = libcommon.a $(CMOCKA_LIBS)
tests_unit_sandbox_test_SOURCES = tests/unit/sandbox_test.c tests/unit/sandbox_calls.c tests/unit/sandbox_calls.h
tests_unit_sandbox_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(SECCOMP_CFLAGS)
tests_unit_sandbox_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(SECCOMP_LIBS)
tests_unit_small_test_SOURCES = tests/unit/small_test.c
tests_unit_small_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_small_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
tests_unit_wire_test_SOURCES = tests/unit/wire_test.c
tests_unit_wire_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_wire_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
