#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Every tracked file is in the tarball, dotfiles apart. usage: tarball.sh TARBALL TOP
set -eu
tarball=$1 top=$2
packed=$(tar -tf "$tarball" | sed 's|^[^/]*/||')
missing=$(git -C "$top" ls-files | grep -v '^\.' | grep -vxF -e "$packed" || true)
if [ -n "$missing" ]; then
    echo "not in the tarball (EXTRA_DIST or dist_man_MANS in the folder's local.mk):"
    echo "$missing"
    exit 1
fi
