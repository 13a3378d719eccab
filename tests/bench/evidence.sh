#!/usr/bin/env bash
# What collecting evidence costs: the same objects in the same kernels, with it and as a bare libbpf load, alternating in one run.
# Usage: tests/bench/evidence.sh [KERNEL...]      (after `make build`)
set -euo pipefail
cd "$(dirname "$0")/../.."
kernels=("${@:-5.10}")
[ $# -gt 0 ] || kernels=(5.10 6.12 7.3)
command -v jq >/dev/null || { . tests/bench/stock.sh; stock_begin; }
rounds=${BENCH_ROUNDS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
selectors=()
for kernel in "${kernels[@]}"; do selectors+=(--kernel "$kernel"); done

# The same manifest with the guest set to collect nothing.
sed -E 's/^\[kernel\..*\]$/&\nappend = ["corematrix.fault=bare"]/' kernels.toml > "$work/kernels.toml"
cp kernels.lock "$work/kernels.lock"
export COREMATRIX_VIRTME_RUN="${COREMATRIX_VIRTME_RUN:-$PWD/.venv/bin/virtme-run}"

# Time in the guest over all objects, in ms, for each kernel.
load() { # MANIFEST OUT
    target/release/corematrix --manifest "$1" run programs/libbpf-tools.toml "${selectors[@]}" --isolation cell --jobs 1 --out "$2" >/dev/null 2>"$2.err" || [ $? -eq 1 ]
    jq -r '.cells | group_by(.kernel)[] | [.[0].kernel, (map(.wall_ms) | add)] | @tsv' "$2/report.json"
}
cp programs/libbpf-tools.toml "$work/"
for round in $(seq $rounds); do
    load "$work/kernels.toml" "$work/bare-$round" | sed "s/^/bare\t/"
    load kernels.toml "$work/evidence-$round" | sed "s/^/evidence\t/"
done | awk -F'\t' '
    { sum[$1 " " $2] += $3; kernels[$2] = 1 }
    END {
        printf "%-8s %12s %14s %8s\n", "kernel", "bare (ms)", "evidence (ms)", "ratio"
        for (kernel in kernels) {
            bare = sum["bare " kernel] / '$rounds'; all = sum["evidence " kernel] / '$rounds'
            printf "%-8s %12.0f %14.0f %8.2f\n", kernel, bare, all, all / bare
        }
    }'
