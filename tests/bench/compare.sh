#!/usr/bin/env bash
# Measures this tree against another commit, in turn in the same minutes, and fails where this tree is slower beyond chance.
#
#   tests/bench/compare.sh [COMMIT]        the merge base with `main` if none is named
#
# What is slower by more than BENCH_TOLERANCE (5 %), with a chance of less than 1 % that both are equally fast (Mann-Whitney U test),
# ends it with 1. BENCH_ROUNDS (12) are the runs of each; BENCH_KERNELS the kernels.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/stock.sh"
cd "$project"

read -ra kernels <<< "${BENCH_KERNELS:-5.10 6.12 7.3}"
rounds=${BENCH_ROUNDS:-12}
python=/usr/bin/python3
commit=$(git rev-parse --verify --quiet "${1:-$(git merge-base HEAD main)}^{commit}") || fail "no commit \`${1:-}\`" "name a commit of this repository"
[ "$commit" != "$(git rev-parse HEAD)" ] || ! git diff --quiet HEAD || fail "this tree is that commit" "name an older commit"

work=$(mktemp -d)
trap 'git worktree remove --force "$work/tree" 2>/dev/null; rm -rf "$work"' EXIT
say "building ${commit:0:12} and this tree"
git worktree add --quiet --detach "$work/tree" "$commit"
(cd "$work/tree" && "${CARGO:-cargo}" build --quiet --release --locked --target-dir "$project/target/compare")
"${CARGO:-cargo}" build --quiet --release --locked
cp target/compare/release/corematrix "$work/before"
cp target/release/corematrix "$work/after"

cp kernels.toml kernels.lock "$work/"
export COREMATRIX_VIRTME_RUN=${COREMATRIX_VIRTME_RUN:-$project/.venv/bin/virtme-run}
mapfile -t selected < <(printf -- '--kernel\n%s\n' "${kernels[@]}")
tools=(execsnoop opensnoop biosnoop biolatency tcpconnect tcplife runqlat filetop vfsstat mountsnoop)
for count in 1 "${#tools[@]}"; do
    {
        printf 'name = "compare"\n[[package]]\napt = "libbpf-tools"\nsuites = ["bookworm"]\nfiles = [\n'
        printf '    "usr/sbin/%s",\n' "${tools[@]:0:$count}"
        printf ']\n'
    } > "$work/$count.toml"
done

# What is compared: a name and the arguments of corematrix.
declare -A what=(
    ["one object"]="run $work/1.toml ${selected[*]}"
    ["ten objects"]="run $work/10.toml ${selected[*]} --isolation shared"
    ["ten objects, a guest for each cell"]="run $work/10.toml ${selected[*]} --isolation cell"
    ["reports"]="report $work/kept --format json,junit,table,html,markdown"
)
measure() {
    local which=$1 name=$2 arguments code=0
    read -ra arguments <<< "${what[$name]}"
    "$python" "$here/measure.py" "$work/runs" "which=$which" "what=$name" -- "$work/$which" --manifest "$work/kernels.toml" "${arguments[@]}" --out "$work/out" \
        > "$work/log" 2>&1 || code=$?
    [ "$code" -le 1 ] || { tail -n 30 "$work/log" >&2; fail "corematrix ended with $code"; }
}

say "snapshots of both"
for which in before after; do
    measure "$which" "ten objects"
    measure "$which" "ten objects"
done
# A record that takes a report long enough to be measured.
"$python" "$here/synthetic.py" "$work/out/report.json" "$work/kept" 200 20
rm "$work/runs"
for round in $(seq "$rounds"); do
    say "[$SECONDS s] round $round of $rounds"
    # Who comes first changes, so that what the machine does meanwhile meets both alike.
    if [ $((round % 2)) = 0 ]; then order=(before after); else order=(after before); fi
    for name in "${!what[@]}"; do
        for which in "${order[@]}"; do measure "$which" "$name"; done
    done
done
"$python" "$here/compare.py" "$work/runs" "${BENCH_TOLERANCE:-5}"
