# SPDX-License-Identifier: GPL-2.0-or-later
noinst_PROGRAMS += tests/lab/understudy-audit
tests_lab_understudy_audit_SOURCES = tests/lab/audit.h tests/lab/audit.c tests/lab/audit_out.c tests/lab/audit_ns.c \
	tests/lab/audit_proc.c tests/lab/audit_fs.c
EXTRA_DIST += tests/lab/auditor.py tests/lab/auditrules.py tests/lab/traffic.py tests/lab/drills.py tests/lab/drillrun.py \
	tests/lab/drillreport.py tests/lab/drillexpect.py tests/lab/drillfigures.py tests/lab/drillproduct.py \
	tests/lab/drillrecord.py tests/lab/drillset.py tests/lab/drills_boot.py tests/lab/drills_days.py \
	tests/lab/campaign.py tests/lab/drills_lies.py tests/lab/drills_net.py tests/lab/drills_pause.py \
	tests/lab/drills_resources.py tests/lab/drills_clock.py tests/lab/drills_pids.py tests/lab/healing.py tests/lab/drills_runner.py tests/lab/drills_share.py \
	tests/lab/drills_stop.py tests/lab/stockparts.py
