#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What needs neither root nor a service: metadata, usage, parameters. TAP.
set -u
agents=${top_builddir:?run it by make check}/resource
dtd=/usr/share/resource-agents/ra-api-1.dtd
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
n=0

check() { # NAME EXPECTED GOT
    n=$((n + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1: expected $2, got $3"
    fi
}

says() { # NAME WORD: the last run said WORD
    n=$((n + 1))
    if grep -q -- "$2" "$work/err"; then
        echo "ok $n - $1"
    else
        echo "not ok $n - $1: nothing about '$2' in: $(cat "$work/err")"
    fi
}

run() { # AGENT ACTION [NAME=VALUE...]: leaves the exit code in rc
    agent=$1 action=$2
    shift 2
    env -i "$@" "$agents/$agent" "$action" unused >"$work/out" 2>"$work/err"
    rc=$?
}

for agent in mailman3 mailman2 address; do
    run $agent meta-data
    check "$agent meta-data needs no parameter" 0 $rc
    if [ -r "$dtd" ]; then
        # The file knows the actions of the API only; its own subset adds those beyond it.
        grep -Ev '<action name="(release|resume)"' "$work/out" >"$work/api.xml"
        xmllint --nonet --noout --dtdvalid "$dtd" "$work/api.xml" >"$work/err" 2>&1
        check "$agent metadata is valid by ra-api-1.dtd" 0 $?
        sed "s|\"ra-api-1.dtd\"|\"$dtd\"|" "$work/out" >"$work/internal.xml"
        xmllint --nonet --noout --valid "$work/internal.xml" >"$work/err" 2>&1
        check "$agent metadata is valid by its own internal subset" 0 $?
    else
        n=$((n + 2))
        echo "ok $((n - 1)) - $agent metadata # SKIP no $dtd (package resource-agents)"
        echo "ok $n - $agent metadata # SKIP no $dtd (package resource-agents)"
    fi
    for action in start stop monitor meta-data validate-all; do
        grep -q "<action name=\"$action\" timeout=" "$work/out"
        check "$agent advertises $action" 0 $?
    done
    run $agent promote
    check "$agent refuses an unknown action" 3 $rc
    run $agent ""
    check "$agent refuses no action" 3 $rc
    run $agent monitor OCF_RA_VERSION_MAJOR=2 OCF_RESKEY_ip=192.0.2.1
    check "$agent refuses another major version of the API" 1 $rc
    says "$agent says which" "version 2"
done

for beyond in release resume; do
    for lists in mailman3 mailman2; do
        run $lists meta-data
        grep -q "<action name=\"$beyond\" timeout=" "$work/out"
        check "$lists advertises $beyond" 0 $?
    done
    run address $beyond OCF_RESKEY_ip=192.0.2.1
    check "address has no $beyond" 3 $rc
done
run mailman3 validate-all OCF_RESKEY_release_timeout_ms=10
check "mailman3 refuses a release without time" 6 $rc

run address validate-all
check "address wants its ip" 6 $rc
says "and says so" "parameter ip is missing"
run address validate-all OCF_RESKEY_ip=192.0.2.100/24
check "address takes a good ip" 0 $rc
for ip in 192.0.2.300 fe80::1 127.0.0.1 192.0.2.1/33; do
    run address validate-all OCF_RESKEY_ip=$ip
    check "address refuses $ip" 6 $rc
done
run address validate-all OCF_RESKEY_ip=192.0.2.100/24 OCF_RESKEY_dad_ms=0
check "address wants to listen for duplicates" 6 $rc
run mailman3 validate-all
check "mailman3 takes its defaults" 0 $rc
run mailman3 validate-all OCF_RESKEY_runners="in in"
check "mailman3 refuses a runner named twice" 6 $rc
run mailman3 validate-all OCF_RESKEY_lock_dir=relative/locks
check "mailman3 refuses a relative path" 6 $rc
run mailman3 validate-all OCF_RESKEY_lmtp_port=0
check "mailman3 refuses port 0" 6 $rc
run mailman2 validate-all
check "mailman2 takes its defaults" 0 $rc
run mailman2 validate-all OCF_RESKEY_generation=2.2
check "mailman2 refuses an unknown generation" 6 $rc
says "and names it" "2.2"
run mailman2 validate-all OCF_RESKEY_generation=2.0
check "mailman2 takes 2.0" 0 $rc
run mailman2 validate-all OCF_RESKEY_runners="IncomingRunner:3"
check "mailman2 refuses three slices" 6 $rc
run mailman2 validate-all OCF_RESKEY_prefix=usr/lib/mailman
check "mailman2 refuses a relative prefix" 6 $rc
run mailman2 monitor OCF_RESKEY_user=root
check "mailman2 will not look for a list server of root" 6 $rc
run mailman3 monitor OCF_RESKEY_user=no-such-user-here
check "mailman3 wants its user" 5 $rc
run mailman3 monitor OCF_RESKEY_user=root
check "mailman3 will not look for a list server of root" 6 $rc
if [ "$(id -u)" -ne 0 ]; then
    run mailman3 stop
    check "mailman3 stop needs root" 4 $rc
fi
run mailman3 monitor OCF_RESKEY_user=no-such-user-here OCF_EXIT_REASON_PREFIX=ocf-exit-reason:
says "Pacemaker's prefix for the reason is used" "^ocf-exit-reason:user no-such-user-here"
echo "1..$n"
