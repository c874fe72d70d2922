#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The core decides and does nothing else: the linker proves that it calls nobody.
set -u
archive="${top_builddir:-.}/libcore.a"
echo 1..3
if [ ! -f "$archive" ]; then
	echo "Bail out! $archive is missing: run make"
	exit 1
fi
echo "ok 1 - $archive is there"
defined=$(nm "$archive" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ { print $3 }' | sort -u)
foreign=$(nm -u "$archive" | awk '$1 == "U" { print $2 }' | sort -u | grep -vxF "$defined" |
	grep -vxE 'mem(cpy|set|move|cmp)|__mem(cpy|set|move)_chk|__assert_fail|__stack_chk_fail|_GLOBAL_OFFSET_TABLE_|__(asan|ubsan|tsan|sanitizer)_.*')
if [ -z "$foreign" ]; then
	echo "ok 2 - libcore.a needs nothing but memory functions and hooks of the compiler"
else
	echo "not ok 2 - libcore.a calls out of the core: $(echo "$foreign" | tr "\n" " ")"
fi
variables=$(nm "$archive" | awk 'NF == 3 && $2 ~ /[Bb]/ && $3 !~ /san/ { print $3 }' | sort -u)
if [ -z "$variables" ]; then
	echo "ok 3 - libcore.a keeps no state of its own"
else
	echo "not ok 3 - libcore.a has variables: $(echo "$variables" | tr "\n" " ")"
fi
