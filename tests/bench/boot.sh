#!/usr/bin/env bash
# How long a kernel takes to its first verdict: stock virtme-ng against corematrix, on the very same kernels.
#
#   tests/bench/boot.sh [SERIES...]        all kernels that stock virtme-ng can boot, or those named
#
# Writes reports/bench/boot.md and boot.json. Ends non-zero on errors only; a missed goal is marked in the table.
set -euo pipefail
. "$(dirname "$0")/stock.sh"

# The guest's hello is to come within this part of stock virtme-ng's time.
goal=0.2
runs=${BENCH_RUNS:-2}

stock_begin
if [ $# = 0 ]; then
    stock_present
else
    present=("$@")
    for series in "$@"; do stock_kernel "$series" || fail "kernel $series: $why"; done
fi
out=$project/reports/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
manifest=$work/kernels.toml
stock_manifest "$manifest" "${present[@]}"

# plain.bpf.o holds one program that loads everywhere and one that nothing can load: the exit code is not 0 by intent, so
# the reports say whether all went well.
judged() { jq -e -s 'length > 0 and all(.[].cells[].programs[] | select(.name == "filter"); .verdict == "loaded")' "${@/%//report.json}" >/dev/null; }

# One run ahead: it unpacks the kernels, finds out whether KVM works, and proves that all is well.
ours=("$corematrix" --manifest "$manifest" --store "$stock_cache/store" run "$project/tests/fixtures/objects/plain.bpf.o" --cold)
say "corematrix: preparing ${present[*]}"
"${ours[@]}" --jobs 1 --out "$work/first" >"$work/first.log" 2>&1 || true
judged "$work/first" || { cat "$work/first.log" >&2; fail "corematrix failed"; }
accel=$(jq -r .tool.accel "$work/first/report.json")
[ "$accel" = kvm ] || stock_guest+=(--disable-kvm)

rows=()
for series in "${present[@]}"; do
    stock_kernel "$series"
    say "$release"
    stock="--run '$image' ${stock_guest[*]} -- uname -r"
    command="${ours[*]} --kernel $series"
    hyperfine --shell bash --style basic --runs "$runs" --ignore-failure --export-json "$work/$series.json" \
        --command-name stock "stock_vng $stock" \
        --command-name corematrix "$command --out '$work/$series'-\$\$" >"$work/hyperfine.log" 2>&1 \
        || { cat "$work/hyperfine.log" >&2; fail "kernel $series: hyperfine failed"; }
    jq -e '.results[] | select(.command == "stock") | all(.exit_codes[]; . == 0)' "$work/$series.json" >/dev/null \
        || fail "kernel $series: stock virtme-ng failed" "run \`vng --run $image -- uname -r\` to see why"
    judged "$work/$series"-* || fail "kernel $series: corematrix failed"
    # The machine as it is, where that has no udev: faster, but neither output nor exit code come back.
    bare=null
    if [ "$udev" != host ]; then
        hyperfine --shell bash --style basic --runs 1 --ignore-failure --export-json "$work/bare.json" "udev=host; stock_vng $stock" \
            >"$work/hyperfine.log" 2>&1 || { cat "$work/hyperfine.log" >&2; fail "kernel $series: hyperfine failed"; }
        bare=$(jq '.results[0].mean' "$work/bare.json")
    fi
    jq -s '[.[].kernels[].hello_ms[]] | add / length' "$work/$series"-*/report.json > "$work/hello"
    jq --arg kernel "$series" --arg release "$release" --argjson bare "$bare" --argjson goal "$goal" --slurpfile hello "$work/hello" '
        (.results | map({key: .command, value: .mean}) | from_entries) as $mean
        | {kernel: $kernel, release: $release, stock_s: $mean.stock, stock_without_udev_s: $bare, corematrix_s: $mean.corematrix,
           corematrix_to_stock: ($mean.corematrix / $mean.stock), hello_ms: $hello[0],
           hello_to_stock: ($hello[0] / 1000 / $mean.stock), runs: (.results | map({key: .command, value: .times}) | from_entries)}
        | .goal_met = (.hello_to_stock <= $goal)' "$work/$series.json" > "$work/row-$series.json"
    rows+=("$work/row-$series.json")
done


cpu=$(sed -nE 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)
jq -s --arg cpu "$cpu" --argjson cores "$(nproc)" --argjson load "$(cut -d ' ' -f 1 /proc/loadavg)" --arg udev "${udev##*/}" \
    --arg when "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --argjson goal "$goal" --argjson runs "$runs" --slurpfile first "$work/first/report.json" \
    '{schema_version: 1, when: $when, machine: {cores: $cores, cpu: $cpu, load_at_the_end: $load, udev: $udev},
      tool: $first[0].tool, runs: $runs, goal: $goal, kernels: ., not_measured: $ARGS.positional}' \
    "${rows[@]}" --args ${stock_missing[@]+"${stock_missing[@]}"} > "$out/boot.json.new"
mv "$out/boot.json.new" "$out/boot.json"

jq -r '
    def seconds: if . == null then "" else (. * 10 | round / 10 | tostring) + " s" end;
    def ratio: . * 1000 | round / 1000;
    "# Boot: stock virtme-ng against corematrix\n",
    "\(.machine.cores) cores of \(.machine.cpu); QEMU \(.tool.qemu) with \(.tool.accel), virtme-ng \(.tool.virtme_ng); load \(.machine.load_at_the_end) at the end; \(.when); \(.runs) runs each, means.",
    "Stock is `vng --run IMAGE -- uname -r`. corematrix is `corematrix run plain.bpf.o --cold --kernel K`, the whole command with verdict and reports; hello is the time from starting QEMU until its guest answers.",
    (if .machine.udev == "host" then empty else
     "This machine has no udev, without which stock virtme-ng loses output and exit code; its guest was shown Debian\u0027s package. \"No udev\" is one run without." end),
    "\n| kernel | release | stock | no udev | corematrix | corematrix / stock | hello | hello / stock | goal: at most \(.goal) |",
    "|---|---|---|---|---|---|---|---|---|",
    (.kernels[] | "| \(.kernel) | \(.release) | \(.stock_s | seconds) | \(.stock_without_udev_s | seconds) | \(.corematrix_s | seconds) | \(.corematrix_to_stock | ratio) | \(.hello_ms | round) ms | \(.hello_to_stock | ratio) | \(if .goal_met then "met" else "**missed**" end) |"),
    ([.kernels[] | select(.stock_without_udev_s) | .hello_ms / 1000 / .stock_without_udev_s] | if . == [] then empty else
     "\nAgainst the run without udev, hello takes \(min | ratio) to \(max | ratio)." end),
    (if .not_measured == [] then empty else "\nNot measured, since stock virtme-ng cannot boot them:\n", (.not_measured[] | "- " + .) end)
' "$out/boot.json" | tee "$out/boot.md"
