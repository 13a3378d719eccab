#!/usr/bin/env bash
# Runs in a guest: what tests/judge/machine.sh compares with.
#
#   machine-guest.sh TOOLS KERNEL-TREE RELEASE MODULES CAPABILITIES SYSCTL OBJECT
set -u
tools=$1 tree=$2 release=$3 modules=$4 capabilities=$5 sysctl=$6 object=$7
export LC_ALL=C LD_LIBRARY_PATH=$tools/usr/lib/x86_64-linux-gnu:$tools/lib/x86_64-linux-gnu PATH=$tools/usr/sbin:$tools/sbin:$tools/usr/bin:$tools/bin:$PATH
bpftool version > /dev/null 2>&1 && capsh --print > /dev/null 2>&1 || exit 99
say() { echo "$1" > "$OUT/said"; exit 0; }
if [ "$modules" != - ]; then modprobe -d "$tree" -S "$release" "$modules" || say "modprobe failed"; fi
if [ "$sysctl" != - ]; then echo "${sysctl#*=}" > "/proc/sys/$(tr . / <<< "${sysctl%=*}")" || say "the sysctl was refused"; fi
# What another user can read and write.
mkdir -p /tmp/judge/pins && chmod 755 /tmp/judge && cp "$object" /tmp/judge/object.o && cp "$(command -v bpftool)" /tmp/judge/bpftool || exit 99
chmod 644 /tmp/judge/object.o
mount -t bpf -o mode=1777 none /tmp/judge/pins || exit 99
load=(/tmp/judge/bpftool prog loadall /tmp/judge/object.o /tmp/judge/pins/it)
if [ "$capabilities" = - ]; then
    said=$("${load[@]}" 2>&1)
else
    lower=${capabilities,,}
    keep=()
    if [ "$lower" != none ]; then keep=("--inh=$lower" "--addamb=$lower"); fi
    # What a kernel gives processes; the guest of corematrix has lifted it for commands.
    ulimit -l 64
    said=$(capsh --keep=1 --gid=65534 --uid=65534 "${keep[@]}" --shell=/bin/bash -- -c "/tmp/judge/bpftool version > /dev/null || exit 99; ${load[*]}" 2>&1)
fi
code=$?
# The judge itself does not work.
[ $code != 99 ] || exit 99
[ $code = 0 ] && say loads
say "$(grep -m 1 -E "Error|rror:|denied|permitted" <<< "$said" | cut -c 1-120)"
