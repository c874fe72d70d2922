# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Shared by ./deploy/demo and ./deploy/check: packages, build, progress.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build_root=${UNDERSTUDY_BUILD_ROOT:-$top/build}
jobs=$(nproc)

say() { printf '%s %s\n' "$(date +%H:%M:%S)" "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

need_root() {
    [ "$(id -u)" -eq 0 ] || die "$1 needs root, because it makes network namespaces and mounts: run it with sudo"
}

# missing_packages GROUP...: the packages of these groups that are not installed, one a line.
missing_packages() {
    local group name
    while read -r group name; do
        case " $* " in *" $group "*) ;; *) continue ;; esac
        dpkg-query -W -f '${db:Status-Status}\n' "$name" 2>/dev/null | grep -qx installed || printf '%s\n' "$name"
    done < <(grep -v '^#' "$top/deploy/packages")
}

policy_file=/usr/sbin/policy-rc.d
policy_ours=no

# A package that starts its daemon on this machine would take ports and write to /var; a policy-rc.d that
# says no is put in place for the time of the installation only.
forbid_daemons() {
    [ -e "$policy_file" ] && return 0
    printf '#!/bin/sh\n# temporary: packages must not start daemons while understudy installs what it needs\nexit 101\n' >"$policy_file"
    chmod 755 "$policy_file"
    policy_ours=yes
}

restore_daemons() {
    [ "$policy_ours" = yes ] && rm -f "$policy_file"
    policy_ours=no
}

install_packages() {
    local missing log
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    need_root "installing packages"
    say "installing: $(echo "$missing" | tr '\n' ' ')"
    mkdir -p "$build_root"
    log=$build_root/apt.log
    forbid_daemons
    trap restore_daemons EXIT
    {
        apt-get update && echo "$missing" | DEBIAN_FRONTEND=noninteractive xargs apt-get install -y --no-install-recommends
    } >"$log" 2>&1 </dev/null || { tail -20 "$log" >&2; die "apt-get failed; its output is in $log"; }
    restore_daemons
    trap - EXIT
}

# configure_in NAME [CONFIGURE ARGUMENT...]: an out-of-tree build in $build_root/NAME, configured once.
configure_in() {
    local dir=$build_root/$1 log
    shift
    log=$dir/configure.log
    mkdir -p "$dir"
    if [ ! -x "$top/configure" ] || [ -n "$(find "$top" -path "$build_root" -prune -o \( -name local.mk -o -name '*.mk' -o -name configure.ac -o -name Makefile.am \) -newer "$top/configure" -print -quit)" ]; then
        (cd "$top" && autoreconf -fi) >"$log" 2>&1 || { tail -20 "$log" >&2; die "autoreconf failed; see $log"; }
    fi
    if [ ! -e "$dir/Makefile" ] || [ "$top/configure" -nt "$dir/Makefile" ]; then
        (cd "$dir" && "$top/configure" --enable-option-checking=fatal "$@") >"$log" 2>&1 ||
            { tail -20 "$log" >&2; die "configure failed; see $log"; }
    fi
}

# The build that the lab installs into its hosts.
build_product() {
    configure_in product --enable-werror --prefix=/usr --sysconfdir=/etc --localstatedir=/var --runstatedir=/run \
        --with-ocfdir=/usr/lib/ocf
    make -s -C "$build_root/product" -j"$jobs" all >"$build_root/product/make.log" 2>&1 ||
        { tail -30 "$build_root/product/make.log" >&2; die "make failed; see $build_root/product/make.log"; }
}
