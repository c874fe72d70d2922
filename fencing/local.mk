# SPDX-License-Identifier: GPL-2.0-or-later
pkglibexec_PROGRAMS += %D%/ipmitool-password-file
%C%_ipmitool_password_file_SOURCES = %D%/ipmitool_password_file.c

EXTRA_DIST += %D%/README
