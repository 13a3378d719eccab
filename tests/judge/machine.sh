#!/usr/bin/env bash
# Modules, privileges and settings of machines against tools by hand: `modprobe`, `capsh`, `sysctl` and `bpftool` in a guest, on plain Debian
# kernels. What corematrix says of an object must be what bpftool, which shares no code with it but libbpf's, does there.
#
#   tests/judge/machine.sh [SERIES...]        5.10, 6.1, 6.12 and 7.3, or those named
#
# Prints a line for each cell. Ends with 1 on any difference.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../bench/stock.sh"

stock_begin
stock_tools bookworm bpftool libcap2-bin libcap2
work=$(mktemp -d -p "$stock_cache")
trap 'rm -rf "$work"' EXIT
series=("$@")
[ $# != 0 ] || series=(5.10 6.1 6.12 7.3)
for one in "${series[@]}"; do stock_kernel "$one" || fail "kernel \`$one\`: $why"; done
stock_manifest "$work/kernels.toml" "${series[@]}"
objects=$project/target
clang -g -O2 -target bpf -mcpu=v3 -I/usr/include/x86_64-linux-gnu -c "$here/conntrack.bpf.c" -o "$work/conntrack.bpf.o"
ct=$work/conntrack.bpf.o privileges=$objects/programs/privileges.bpf.o constants=$objects/programs/jit-constants.bpf.o
failed=0

# judged KERNEL OBJECT OPTIONS...: `loads` if corematrix has every program of the object loaded, else the verdicts that it has.
judged() {
    local kernel=$1 object=$2
    shift 2
    rm -rf "$work/report"
    "$corematrix" run "$object" --manifest "$work/kernels.toml" --kernel "$kernel" --out "$work/report" "$@" > "$work/log" 2>&1 || [ $? -le 3 ] \
        || { cat "$work/log" >&2; fail "the run failed"; }
    jq -r '[.cells[-1].programs[].verdict] | unique | if . == ["loaded"] then "loads" else join(" ") end' "$work/report/report.json"
}

# by_hand KERNEL MODULES CAPABILITIES SYSCTL OBJECT: `loads` if bpftool loads it all, `-` for nothing to be done; else what it said last.
by_hand() {
    local kernel=$1
    stock_kernel "$kernel"
    rm -rf "$work/out"
    "$corematrix" exec --manifest "$work/kernels.toml" --kernel "$kernel" --timeout 120s --out "$work/out" -- \
        bash "$here/machine-guest.sh" "$stock_root" "$tree" "$release" "${@:2}" > "$work/log" 2>&1 \
        || [ $? -le 3 ] || { cat "$work/log" >&2; fail "exec failed"; }
    cat "$work/out/$kernel/said" 2>/dev/null || { cat "$work/log" >&2; fail "the guest said nothing"; }
}

# compare KERNEL WHAT OURS THEIRS: both load, or neither does.
compare() {
    local verdict=same
    [ "$([ "$3" = loads ] && echo 1)" = "$([ "$4" = loads ] && echo 1)" ] || { verdict=DIFFERENT; failed=1; }
    printf '%-9s %-5s %-44s corematrix: %s; by hand: %s\n' "$verdict" "$1" "$2" "$3" "$4"
}

for kernel in "${series[@]}"; do
    compare "$kernel" "conntrack functions" "$(judged "$kernel" "$ct")" "$(by_hand "$kernel" nf_conntrack - - "$ct")"
    compare "$kernel" "conntrack functions, no modules" "$(judged "$kernel" "$ct" --modules none)" "$(by_hand "$kernel" - - - "$ct")"
    least=$("$corematrix" privileges "$privileges" --manifest "$work/kernels.toml" --kernel "$kernel" --json \
        | jq -r '.objects[0].rows[] | select(.program == null) | .kernels[0].needs.capabilities | join(",")')
    [ -n "$least" ] || fail "no least privileges on $kernel"
    compare "$kernel" "with $least" "$(judged "$kernel" "$privileges" --capabilities "$least")" "$(by_hand "$kernel" - "$least" - "$privileges")"
    for one in ${least//,/ }; do
        rest=$(tr ',' '\n' <<< "$least" | grep -vx "$one" | paste -sd ,)
        compare "$kernel" "without $one" "$(judged "$kernel" "$privileges" --capabilities "${rest:-none}")" \
            "$(by_hand "$kernel" - "${rest:-none}" - "$privileges")"
    done
    compare "$kernel" "many constants" "$(judged "$kernel" "$constants")" "$(by_hand "$kernel" - - - "$constants")"
    compare "$kernel" "net.core.bpf_jit_harden=2" "$(judged "$kernel" "$constants" --profile jit-harden-2)" \
        "$(by_hand "$kernel" - - net.core.bpf_jit_harden=2 "$constants")"
done
exit $failed
