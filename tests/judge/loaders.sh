#!/usr/bin/env bash
# Holds what is known about libraries (`harness/loader/profile`) against their real loaders: the same objects on the same kernels, by the loader and by
# its profile. Prints each program whose verdict differs, and the counts; fails if there is one.
#
#   tests/judge/loaders.sh [KERNEL...]      OBJECTS="a.o b.o" names other objects
set -euo pipefail
cd "$(dirname "$0")/../.."

kernels=("$@")
[ ${#kernels[@]} -gt 0 ] || kernels=(5.10 6.1 6.12 7.3)
read -ra objects <<< "${OBJECTS:-target/programs target/causes target/loading target/loader-shapes}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
selectors=()
for kernel in "${kernels[@]}"; do selectors+=(--kernel "$kernel"); done
failed=0
for library in cilium-ebpf aya; do
    [ -x "target/loaders/$library" ] || { echo "error: there is no loader $library" >&2; echo "hint: make loaders" >&2; exit 2; }
    code=0
    "${COREMATRIX:-target/release/corematrix}" run "${objects[@]}" "${selectors[@]}" --loader "$library" --loader "$library-profile" \
        --out "$out/$library" > "$out/$library.txt" || code=$?
    [ "$code" -le 1 ] || [ "$code" = 3 ] || { tail -20 "$out/$library.txt" >&2; exit "$code"; }
    python3 - "$out/$library/report.json" "$library" <<'PYTHON' || failed=1
import json, sys

# Verdicts that differ by design; the reasons are in images/loaders/README.md.
BY_DESIGN = {("7.3", "on-cpu-width", "naive", "cilium-ebpf")}
# What becomes of these differs from run to run of the library.
UNKNOWN = {("called", "aya")}

with open(sys.argv[1]) as file:
    record = json.load(file)
kernels, objects = record["kernels"], record["objects"]
number = {one["name"]: place for place, one in enumerate(objects)}
cell = lambda o, k: record["cells"][o * len(kernels) + k]
same = verdicts = total = by_design = 0
for other, one in enumerate(objects):
    if "beside" not in one:
        continue
    real = number[one["beside"]]
    for k, kernel in enumerate(kernels):
        for a, b in zip(cell(real, k)["programs"], cell(other, k)["programs"]):
            if "not_run" in (a["verdict"], b["verdict"]):
                continue
            total += 1
            verdicts += a["verdict"] == b["verdict"]
            same += (a["verdict"] == "loaded") == (b["verdict"] == "loaded")
            if a["verdict"] == b["verdict"]:
                continue
            if (one["beside"], sys.argv[2]) in UNKNOWN:
                by_design += 1
                continue
            if (kernel["name"], one["beside"], a["name"], sys.argv[2]) in BY_DESIGN:
                by_design += 1
                continue
            words = lambda one: f'{one["verdict"]} ({one.get("reason") or "-"})'
            print(f'{kernel["name"]} {one["beside"]}/{a["name"]}: {words(a)}; by profile {words(b)}')
print(f"{sys.argv[2]}: {same} of {total} programs load alike, {verdicts} with the same verdict, {by_design} differ by design")
sys.exit(0 if total and verdicts + by_design == total else 1)
PYTHON
done
exit "$failed"
