#!/usr/bin/env bash
# Runs inside a stock virtme-ng guest: bpftool loads each object. Prints a line for each: its name, the exit code, milliseconds.
#
#   guest.sh FOLDER        has bpftool, config, objects/
set -u
folder=$1
# What an installed system has and this guest lacks; the host's own files stay as they are.
mount -t tmpfs none /boot && cp "$folder/config" "/boot/config-$(uname -r)" || exit 1
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf || exit 1
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug || exit 1
ulimit -l unlimited
for object in "$folder"/objects/*; do
    name=${object##*/}
    begin=${EPOCHREALTIME/./}
    "$folder/bpftool" prog loadall "$object" "/sys/fs/bpf/$name" > /dev/null 2>&1
    code=$?
    echo "load $name $code $(((${EPOCHREALTIME/./} - begin) / 1000))"
    rm -rf "/sys/fs/bpf/$name"
done
echo "end"
