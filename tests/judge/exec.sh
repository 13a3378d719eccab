#!/usr/bin/env bash
# Do real loaders fare in `corematrix exec` as their objects do in `corematrix run`? Runs tools of Debian's libbpf-tools for some seconds
# on each kernel, with generated activity, asks the kernel which programs they have loaded, and compares with object mode: a program
# that object mode refuses must be one that the tool has not loaded.
#
#   tests/judge/exec.sh [SERIES...]        the default matrix, or those named
#
# Writes reports/judge/exec.md. Ends with 1 on any difference that this does not explain.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../bench/stock.sh"

# NAME ARGUMENTS...; all of them run until they are interrupted.
tools=("opensnoop" "execsnoop" "tcpconnect" "biosnoop" "mountsnoop")
seconds=5

stock_begin
stock_tools bookworm bpftool libbpf-tools
mkdir -p "$project/reports/judge"
work=$(mktemp -d -p "$stock_cache")
trap 'rm -rf "$work"' EXIT
report=$project/reports/judge/exec
rm -rf "$report"
mkdir -p "$report"
selected=()
for series in "$@"; do selected+=(--kernel "$series"); done
names=("${tools[@]%% *}")
programs=$stock_root/usr/sbin

say "object mode: ${names[*]}"
"$corematrix" run "${names[@]/#/$programs/}" "${selected[@]}" --attach --out "$report/objects" > "$work/log" 2>&1 || [ $? -le 3 ] || { cat "$work/log" >&2; fail "object mode failed"; }
for tool in "${tools[@]}"; do
    name=${tool%% *}
    say "exec: $tool"
    read -ra words <<< "$tool"
    "$corematrix" exec "${selected[@]}" --exercise --timeout 150s --name "$name" --out "$work/out/$name" --report "$report/$name" -- \
        bash "$here/exec-guest.sh" "$stock_root/usr/sbin/bpftool" "$seconds" "$programs/$name" "${words[@]:1}" > "$work/log" 2>&1 \
        || [ $? -le 3 ] || { cat "$work/log" >&2; fail "exec failed"; }
done

# KERNEL, TOOL, verdict of exec, its reason, last line, programs loaded, programs that object mode refuses, those of them that were loaded all the same.
for name in "${names[@]}"; do
    while IFS=$'\t' read -r kernel verdict reason said; do
        loaded=$work/out/$name/$kernel/programs
        [ -e "$loaded" ] || loaded=/dev/null
        refused=$(jq -r --arg k "$kernel" --arg o "$name" '.cells[] | select(.kernel == $k and .object == $o) | .programs[]
            | select(.verdict != "loaded") | .name' "$report/objects/report.json")
        # What cannot be attached may have been loaded.
        unloadable=$(jq -r --arg k "$kernel" --arg o "$name" '.cells[] | select(.kernel == $k and .object == $o) | .programs[]
            | select(.verdict != "loaded" and .verdict != "attach_failed") | .name' "$report/objects/report.json")
        # The kernel keeps 15 characters of a name.
        contradicted=$(for program in $unloadable; do grep -qxF "${program:0:15}" "$loaded" && echo "$program" || true; done)
        printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$kernel" "$name" "$verdict" "${reason:--}" "${said:--}" "$(grep -c . "$loaded" || true)" \
            "$(echo $refused)" "$(echo $contradicted)"
    done < <(jq -r '. as $r | .cells[] | [.kernel, .programs[0].verdict, (.programs[0].reason // "-"), ((.programs[0].log_tail | last) // "-")] | @tsv' "$report/$name/report.json")
done > "$work/rows"

awk -F '\t' -v OFS='\t' '
    $3 == "not_run" { next }
    $8 != "" { print $0, "**contradiction: " $8 " was loaded by the tool**"; next }
    $3 == "succeeded" && $7 == "" { print $0, "agree: everything loads"; next }
    $3 == "succeeded" { print $0, "explained: the tool does not load what object mode refuses"; next }
    $7 != "" { print $0, "agree: object mode refuses " $7; next }
    { print $0, "**unexplained**" }' "$work/rows" > "$work/judged"
{
    echo "# Real loaders against object mode"
    echo
    echo "Tools of Debian's libbpf-tools, run for $seconds s by \`corematrix exec --exercise\` on each kernel, and their objects in \`corematrix run\`. \`programs\` are those that the kernel had while the tool ran."
    echo
    echo "| kernel | tool | exec | output | programs | refused in object mode | |"
    echo "|---|---|---|---|---|---|---|"
    sort -V "$work/judged" | awk -F '\t' '{ gsub(/\|/, "\\|"); said = $5; sub(/;.*/, "", said); print "| " $1 " | " $2 " | " $3 ($3 == "succeeded" ? "" : ": " $4) " | " said " | " $6 " | " $7 " | " $9 " |" }'
} > "$project/reports/judge/exec.md"
cat "$project/reports/judge/exec.md"
! grep -q '\*\*' "$work/judged" || exit 1
