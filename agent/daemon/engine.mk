# SPDX-License-Identifier: GPL-2.0-or-later
noinst_LIBRARIES += libengine.a
libengine_a_SOURCES = \
	%D%/engine_address.c %D%/engine_address.h %D%/engine_fence.c %D%/engine_fence.h \
	%D%/engine_driver.c %D%/engine_driver.h %D%/engine_map.c \
	%D%/engine_answer.c %D%/engine_answer.h %D%/engine_chain.c %D%/engine_chain.h %D%/engine_defer.c %D%/engine_defer.h \
	%D%/engine_explain.c %D%/engine_explain.h \
	%D%/engine_facts.c %D%/engine_facts.h %D%/engine_ignored.c %D%/engine_ignored.h \
	%D%/engine_lists.c %D%/engine_lists.h \
	%D%/log.c %D%/log.h \
	%D%/engine_ops.c %D%/engine_ops.h \
	%D%/engine_parse.c %D%/engine_parse.h \
	%D%/engine_record.c %D%/engine_record.h %D%/engine_release.c %D%/engine_release.h \
	%D%/engine_report.c %D%/engine_report.h %D%/engine_report_json.c %D%/engine_report_text.c \
	%D%/engine_report_mail.c %D%/engine_report_mail.h \
	%D%/engine_again.c %D%/engine_again.h %D%/engine_failed.c %D%/engine_failed.h \
	%D%/engine_slow.c %D%/engine_slow.h %D%/engine_why.c %D%/engine_status.c %D%/engine_status.h %D%/engine_safety.c %D%/engine_safety.h \
	%D%/engine_units.c %D%/engine_units.h \
	%D%/engine_watch.c %D%/engine_watch.h
libengine_a_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS)
engine_libs = libengine.a libcore.a libcommon.a $(QB_LIBS) $(JANSSON_LIBS) $(INI_LIBS)

pkglibexec_PROGRAMS += understudy-engine
understudy_engine_SOURCES = \
	%D%/engine.c %D%/engine.h %D%/engine_events.c %D%/engine_parts.c %D%/engine_rogue.c \
	%D%/engine_ipc.c %D%/engine_ipc.h %D%/engine_reload.c %D%/engine_reload.h %D%/engine_request.c %D%/engine_request.h \
	%D%/engine_recover.c %D%/engine_recover.h \
	%D%/engine_worker.c %D%/engine_worker.h
understudy_engine_CFLAGS = $(AM_CFLAGS) $(QB_CFLAGS) $(JANSSON_CFLAGS) -pthread
understudy_engine_LDADD = $(engine_libs) $(SECCOMP_LIBS)

EXTRA_DIST += tests/unit/engine_day_test.py tests/unit/engine_share_test.py tests/unit/engine_input_test.py tests/unit/engine_test.py tests/unit/engine_fake.py tests/unit/engine_lib.py tests/unit/cli_test.py \
	tests/unit/nomem_engine_test.py tests/unit/nomem_world.py
TESTS += tests/unit/engine_test.py tests/unit/engine_day_test.py tests/unit/engine_share_test.py tests/unit/engine_input_test.py tests/unit/cli_test.py \
	tests/unit/nomem_engine_test.py

if HAVE_CMOCKA
engine_tests = tests/unit/engine_address_test tests/unit/engine_lists_test tests/unit/engine_defer_test tests/unit/engine_parse_test tests/unit/engine_facts_test tests/unit/engine_messages_test tests/unit/engine_driver_test \
	tests/unit/engine_report_test tests/unit/engine_chain_test tests/unit/engine_again_test tests/unit/listproc_test
check_PROGRAMS += $(engine_tests)
TESTS += $(engine_tests)
endif
EXTRA_DIST += tests/unit/takeover.golden.json tests/unit/takeover.golden.txt
tests_unit_engine_parse_test_SOURCES = tests/unit/engine_parse_test.c
tests_unit_engine_parse_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_parse_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_address_test_SOURCES = tests/unit/engine_address_test.c
tests_unit_engine_address_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_address_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_lists_test_SOURCES = tests/unit/engine_lists_test.c
tests_unit_engine_lists_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_lists_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_defer_test_SOURCES = tests/unit/engine_defer_test.c
tests_unit_engine_defer_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS) $(JANSSON_CFLAGS)
tests_unit_engine_defer_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_facts_test_SOURCES = tests/unit/engine_facts_test.c
tests_unit_engine_facts_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_facts_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_messages_test_SOURCES = tests/unit/engine_messages_test.c
tests_unit_engine_messages_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_messages_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_driver_test_SOURCES = tests/unit/engine_driver_test.c
tests_unit_engine_driver_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_driver_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_again_test_SOURCES = tests/unit/engine_again_test.c
tests_unit_engine_again_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_again_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_chain_test_SOURCES = tests/unit/engine_chain_test.c
tests_unit_engine_chain_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_chain_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_engine_report_test_SOURCES = tests/unit/engine_report_test.c
tests_unit_engine_report_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_engine_report_test_LDADD = $(engine_libs) $(CMOCKA_LIBS)
tests_unit_listproc_test_SOURCES = tests/unit/listproc_test.c
tests_unit_listproc_test_CFLAGS = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
tests_unit_listproc_test_LDADD = libcommon.a $(CMOCKA_LIBS) $(INI_LIBS)
