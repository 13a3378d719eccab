#!/usr/bin/env bash
# Runs inside a stock virtme-ng guest: the judge, bpftool and the real tools, one after the other. Prints a line per result.
#
#   guest.sh FOLDER        has judge, bpftool, config, objects/, tools (lines: NAME SECONDS ARGUMENTS...), programs/
set -u
folder=$1
# What an installed system has and this guest lacks; the host's own files stay as they are.
mount -t tmpfs none /boot && cp "$folder/config" "/boot/config-$(uname -r)" || exit 1
mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf || exit 1
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug || exit 1
ulimit -l unlimited
export LC_ALL=C

echo "release $(uname -r)"
"$folder/judge" "$folder"/objects/* | sed 's/^/judge /'
for object in "$folder"/objects/*; do
    name=${object##*/}
    said=$("$folder/bpftool" prog loadall "$object" "/sys/fs/bpf/$name" 2>&1)
    code=$?
    echo "bpftool $name $code $(grep -m 1 . <<< "$said" | cut -c 1-160)"
    rm -rf "/sys/fs/bpf/$name"
done
while read -r name seconds arguments; do
    # A tool that runs on is interrupted as by Ctrl-C, and killed if that is not enough.
    # shellcheck disable=SC2086
    said=$(timeout -s INT -k 5 "$seconds" "$folder/programs/$name" $arguments 2>&1 < /dev/null)
    code=$?
    echo "tool $name $code $(grep -c . <<< "$said") $(grep -E -m 1 -i 'failed|error|cannot|unable' <<< "$said" | cut -c 1-160)"
done < "$folder/tools"
echo "end"
