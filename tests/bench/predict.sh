#!/usr/bin/env bash
# Measures `corematrix predict` on many kernels against a loop of `bpftool gen min_core_btf`, which matches the same relocations, in one run.
#
#   tests/bench/predict.sh [OBJECT]      COUNT=1000 kernels; the loop is measured on LOOP=100 of them
#
# The kernels never were: they are those of the store with 500 types changed in each. Prints seconds, the ratio and the largest memory. Needs
# some 5 MiB of disk for each kernel.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/stock.sh"
cd "$project"

count=${COUNT:-1000} loop=${LOOP:-100}
stock_begin
stock_tools bookworm bpftool time golang-github-cilium-ebpf-dev
object=${1:-$stock_root/usr/share/gocode/src/github.com/cilium/ebpf/btf/testdata/relocs_read-el.elf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "writing $count sets of types"
COREMATRIX_RELO_OUT=$work/btf COREMATRIX_RELO_COUNT=$count cargo test --quiet --profile checked --test core_relo -- --ignored write_variants > /dev/null
mkdir "$work/store"

measure() { # measure FILE COMMAND...: seconds and KiB. A program that does not resolve is a result.
    local to=$1 code=0
    shift
    "$stock_root/usr/bin/time" --format '%e %M' --output "$to" "$@" > /dev/null || code=$?
    [ "$code" -le 1 ] || fail "\`$1\` ended with $code"
    sed -i '/^Command exited/d' "$to"
}
find "$work/btf" -name '*.btf' | sort > "$work/all"
first=$(sed -n 1p "$work/all")
export COREMATRIX_STORE=$work/store
measure "$work/one" "$corematrix" predict "$object" --btf "$first"
measure "$work/cold" "$corematrix" predict "$object" --btf "$work/btf"
for round in 1 2 3; do measure "$work/warm-$round" "$corematrix" predict "$object" --btf "$work/btf"; done
awk -v every=$((count / loop)) -v most="$loop" 'NR % every == 0 && found++ < most' "$work/all" > "$work/listed"
cat > "$work/loop.sh" <<LOOP
while read -r file; do "$stock_root/usr/sbin/bpftool" gen min_core_btf "\$file" "$work/min.btf" "$object" || exit 3; done < "$work/listed"
LOOP
measure "$work/loop" env LD_LIBRARY_PATH="$stock_libraries" bash "$work/loop.sh"
sort -n "$work"/warm-* | sed -n 2p | {
    read -r seconds memory
    read -r cold _ < "$work/cold"
    read -r one _ < "$work/one"
    read -r rival _ < "$work/loop"
    awk -v count="$count" -v loop="$loop" -v seconds="$seconds" -v memory="$memory" -v cold="$cold" -v one="$one" -v rival="$rival" 'BEGIN {
        whole = rival * count / loop
        printf "%d kernels, warm: %.2f s (median of 3), %d MiB\n", count, seconds, memory / 1024
        printf "%d kernels, the first time: %.2f s; one kernel, the first time: %.2f s\n", count, cold, one
        printf "loop of bpftool gen min_core_btf: %.1f s for %d, %.0f s for all\n", rival, loop, whole
        printf "%.0f times faster\n", whole / seconds
    }'
}
