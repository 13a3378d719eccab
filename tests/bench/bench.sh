#!/usr/bin/env bash
# Measures corematrix, in one run and against stock virtme-ng, and writes reports/bench/.
#
#   tests/bench/bench.sh [PART...]         boot warm matrix evidence growth guests reports (all, in this order, if none is named)
#
# boot      cold corematrix against stock `vng --run`                  needs the network for plain kernels, once
# warm      restore until the guest answers, and cold boots            of the default kernels
# matrix    objects x kernels, warm, against a loop of stock `vng` running `bpftool prog loadall` on the same objects
# evidence  time inside the guest against bare libbpf loads
# growth    with kernels and with objects; CPU and memory
# guests    1 to 64 at once: time, and memory of each
# reports   of a synthetic record of 500 objects on 40 kernels: written, and opened in Chromium
#
# Each part leaves a JSON file; results.md, results.json and the plots are made of those that are there, with their dates. To try
# the scripts out: BENCH_KERNELS="5.10" BENCH_STOCK="5.10" BENCH_OBJECTS=2 BENCH_ROUNDS=1. On a busy machine results are worthless.
# Ends non-zero on errors only; a missed goal is marked.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/stock.sh"
cd "$project"

# The default kernels that Debian has.
read -ra kernels <<< "${BENCH_KERNELS:-5.10 6.1 6.12 6.17 6.18 6.19 7.1 7.3}"
# Those on which the loop of stock virtme-ng is measured; the rest is extrapolated, since a loop takes hours.
read -ra stock_measured <<< "${BENCH_STOCK:-5.10 6.12 7.3}"
rounds=${BENCH_ROUNDS:-3}
# Of Debian's libbpf-tools; each embeds one object.
tools=(
    execsnoop opensnoop biosnoop biolatency tcpconnect tcplife runqlat filetop vfsstat mountsnoop
    biotop biostacks cachestat capable cpudist exitsnoop filelife fsdist klockstat ksnoop
    offcputime readahead runqslower sigsnoop statsnoop tcpconnlat tcprtt tcpstates tcptracer wakeuptime
    bindsnoop biopattern bitesize drsnoop fsslower funclatency gethostlatency hardirqs llcstat oomkill
)
most=${BENCH_OBJECTS:-${#tools[@]}}
# The real object of about five programs.
one=biosnoop
guest_deadline=1500

parts=("$@")
[ $# != 0 ] || parts=(boot warm matrix evidence growth guests reports)
out=$project/reports/bench
python=/usr/bin/python3
begin=$SECONDS
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

[ -x "$corematrix" ] || fail "corematrix is not built" "run \`make build\`"
busy=$(awk -v cores="$(nproc)" '$1 > cores / 4 { print $1 }' /proc/loadavg)
[ -z "$busy" ] || say "warning: the machine is busy (load $busy); nothing that is measured now counts"

progress() { say "[$((SECONDS - begin)) s] $*"; }

# suite FILE NAME...: a suite of these tools.
suite() {
    local file=$1
    shift
    {
        printf 'name = "bench"\n[[package]]\napt = "libbpf-tools"\nsuites = ["bookworm"]\nfiles = [\n'
        printf '    "usr/sbin/%s",\n' "$@"
        printf ']\n'
    } > "$file"
}

# The first COUNT tools: objects COUNT; sets `objects` to the suite.
objects() { objects=$work/$1.toml; suite "$objects" "${tools[@]:0:$1}"; }

# run FILE MANIFEST LABELS... -- ARGUMENTS...: measures a run; without FILE nothing looks at it while it runs, which takes a core now and
# then. A program that fails on a kernel is a result.
run() {
    local file=$1 manifest=$2 labels=() code=0
    shift 2
    while [ "$1" != -- ]; do labels+=("$1"); shift; done
    shift
    local measured=()
    [ -z "$file" ] || measured=("$python" "$here/measure.py" "$file" "${labels[@]}" --)
    "${measured[@]}" "$corematrix" --manifest "$manifest" run "$@" --out "$work/report" \
        > "$work/run.log" 2>&1 || code=$?
    [ "$code" -le 1 ] || { tail -n 30 "$work/run.log" >&2; fail "corematrix ended with $code"; }
}

# What a run pins in the lock file must not end up in the project.
manifest=$work/kernels.toml
cp kernels.toml kernels.lock "$work/"
export COREMATRIX_VIRTME_RUN=${COREMATRIX_VIRTME_RUN:-$project/.venv/bin/virtme-run}
selected() { printf -- '--kernel\n%s\n' "$@"; }
mapfile -t all < <(selected "${kernels[@]}")

# Fetches what is missing and makes every snapshot, so that no measurement has to.
prepare() {
    progress "preparing ${kernels[*]}"
    objects "$most"
    run "$work/unused" "$manifest" -- tests/fixtures/faults/five.bpf.o "$objects" "${all[@]:0:2}"
    run "$work/unused" "$manifest" -- tests/fixtures/faults/five.bpf.o "${all[@]}"
}

# part NAME FILES...: puts what was measured, the machine and the tools together.
part() {
    local name=$1
    shift
    "$python" "$here/results.py" part "$name" "$out/$name.json" "$work/report/report.json" "$@"
}

part_boot() {
    BENCH_RUNS=$((rounds > 3 ? 2 : 1)) "$here/boot.sh" ${BENCH_STOCK:+"${stock_measured[@]}"} > /dev/null
}

part_warm() {
    local round
    for round in $(seq "$rounds"); do
        progress "warm $round of $rounds"
        # One at a time: this is about one guest, not about the machine's load.
        run "" "$manifest" -- tests/fixtures/faults/five.bpf.o "${all[@]}" --jobs 1
        cp "$work/report/report.json" "$work/warm-$round.json"
    done
    progress "cold"
    run "" "$manifest" -- tests/fixtures/faults/five.bpf.o "${all[@]}" --jobs 1 --cold
    cp "$work/report/report.json" "$work/cold.json"
    "$corematrix" --manifest "$manifest" store list | awk '$1 == "snapshot"' > "$work/snapshots"
    part warm "$work"/warm-*.json "$work/cold.json" "$work/snapshots"
}

part_matrix() {
    local series plain=$work/plain/kernels.toml guest=$work/guest config code=0
    stock_begin
    stock_tools bookworm bpftool
    for series in "${stock_measured[@]}"; do stock_kernel "$series" || fail "kernel $series: $why"; done
    mkdir -p "$work/plain" "$guest/objects"
    stock_manifest "$plain" "${stock_measured[@]}"
    # Suites pin their packages beside the manifest.
    cp kernels.lock "$work/plain/"
    suite "$work/one.toml" "$one"
    objects "$most"
    local round
    progress "preparing ${stock_measured[*]} of the plain flavour"
    # Kernels that only this part wants stay out of the user's store.
    COREMATRIX_STORE=$stock_cache/store run "$work/unused" "$plain" -- "$work/one.toml"
    for round in $(seq "$rounds"); do
        progress "one object, $round of $rounds"
        run "$work/matrix.runs" "$manifest" kernels=default objects=one -- "$work/one.toml" "${all[@]}"
        run "$work/matrix.runs" "$manifest" kernels=default objects=five -- tests/fixtures/faults/five.bpf.o "${all[@]}"
        COREMATRIX_STORE=$stock_cache/store run "$work/matrix.runs" "$plain" kernels=plain objects=one -- "$work/one.toml"
    done
    progress "$most objects on ${#stock_measured[@]} plain kernels"
    COREMATRIX_STORE=$stock_cache/store run "$work/matrix.runs" "$plain" kernels=plain objects=all -- "$objects"
    cp "$work/report/report.json" "$work/plain.json"
    progress "the same with --isolation cell"
    COREMATRIX_STORE=$stock_cache/store run "$work/matrix.runs" "$plain" kernels=plain objects=apart -- "$objects" --isolation cell
    for round in $(seq "$rounds"); do
        progress "$most objects on ${#kernels[@]} kernels, $round of $rounds"
        run "$work/matrix.runs" "$manifest" kernels=default objects=all -- "$objects" "${all[@]}"
    done
    progress "the same with --isolation cell"
    run "$work/matrix.runs" "$manifest" kernels=default objects=apart -- "$objects" "${all[@]}" --isolation cell
    for round in $(seq "$rounds"); do
        progress "the same with --reuse, $round of $rounds"
        run "$work/matrix.runs" "$manifest" kernels=default objects=again -- "$objects" "${all[@]}" --reuse
    done

    # The objects as corematrix found them, for bpftool.
    while IFS=$'\t' read -r name file offset size sha256; do
        dd if="$file" of="$guest/objects/$name" bs=64K iflag=skip_bytes,count_bytes skip=$((offset)) count="$size" status=none
        echo "$sha256  $guest/objects/$name" | sha256sum --check --quiet || fail "object $name is not where corematrix says"
    done < <("$python" "$here/results.py" origins "$work/plain.json")
    ln -s "$stock_root/usr/sbin/bpftool" "$guest/bpftool"
    cp "$here/guest.sh" "$guest/"
    [ "$("$python" "$here/results.py" accel "$work/plain.json")" = kvm ] || stock_guest+=(--disable-kvm)
    for series in "${stock_measured[@]}"; do
        stock_kernel "$series"
        config=$tree/boot/config-$release
        [ -e "$config" ] || config=$tree/usr/lib/modules/$release/config
        cp "$config" "$guest/config"
        progress "stock virtme-ng with bpftool: $release"
        "$python" "$here/measure.py" "$work/stock.runs" "kernel=$series" -- timeout "$guest_deadline" \
            bash -c 'stock_vng "$@"' stock_vng --run "$image" "${stock_guest[@]}" -- "bash $guest/guest.sh $guest" \
            > "$work/stock-$series.txt" 2> "$work/stock.err" || code=$?
        [ "$(tail -n 1 "$work/stock-$series.txt")" = end ] || {
            tail -n 20 "$work/stock-$series.txt" "$work/stock.err" >&2
            fail "kernel $series: the stock guest did not finish (exit code $code)"
        }
        sed -nE "s/^load ([^ ]+) ([0-9]+) ([0-9]+)$/$series \1 \2 \3/p" "$work/stock-$series.txt" >> "$work/loads"
    done
    part matrix "$work/matrix.runs" "$work/stock.runs" "$work/loads" "${#kernels[@]}" "$most"
}

part_evidence() {
    BENCH_ROUNDS=$rounds "$here/evidence.sh" "${stock_measured[@]}" > "$work/evidence.txt"
    part evidence "$work/evidence.txt"
}

part_growth() {
    local count number=0
    for count in 1 2 4 8; do
        [ "$count" -le "${#kernels[@]}" ] || continue
        objects $((most < 10 ? most : 10))
        progress "growth: $count kernels"
        run "$work/growth.runs" "$manifest" with=kernels "kernels=$count" "objects=$((most < 10 ? most : 10))" -- "$objects" "${all[@]:0:$((2 * count))}"
    done
    for count in 1 5 10 20 "$most"; do
        [ "$count" -gt "$number" ] && [ "$count" -le "$most" ] || continue
        number=$count
        objects "$count"
        progress "growth: $count objects"
        run "$work/growth.runs" "$manifest" with=objects "kernels=${#kernels[@]}" "objects=$count" -- "$objects" "${all[@]}"
    done
    part growth "$work/growth.runs"
}

part_guests() {
    local jobs small=$work/small/kernels.toml
    objects $((most < 10 ? most : 10))
    mkdir -p "$work/small"
    # So that this machine has room for all of them.
    sed 's/^memory = .*/memory = "256MiB"/' "$manifest" > "$small"
    cp kernels.lock "$work/small/"
    progress "preparing guests of 256 MiB"
    run "$work/unused" "$small" -- "$objects" "${all[@]}"
    for jobs in 1 2 4 8 16 32 64; do
        progress "$jobs guests at once"
        run "$work/guests.runs" "$small" "jobs=$jobs" -- "$objects" "${all[@]}" --isolation cell --jobs "$jobs"
    done
    part guests "$work/guests.runs"
}

part_reports() {
    local round page browser many=$work/many
    browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || fail "no browser" "run \`make setup-tests\`"
    objects "$most"
    progress "a run to copy"
    run "$work/unused" "$manifest" -- "$objects" "${all[@]}"
    "$python" "$here/synthetic.py" "$work/report/report.json" "$many" 500 40
    echo '<!doctype html><title>blank</title>' > "$work/blank.html"
    for round in $(seq "$rounds"); do
        progress "written, $round of $rounds"
        "$python" "$here/measure.py" "$work/written.runs" -- "$corematrix" --manifest "$manifest" report "$many" --format json,junit,table,html,markdown --out "$many/out" > /dev/null
    done
    for round in $(seq "$rounds"); do
        for page in blank report; do
            progress "opened, $round of $rounds: $page"
            [ "$page" = blank ] && set -- "$work/blank.html" || set -- "$many/out/report.html"
            "$python" "$here/measure.py" "$work/opened.runs" "page=$page" -- "$browser" --headless --no-sandbox --disable-gpu --no-first-run --user-data-dir="$work/browser" \
                --window-size=1366,768 --screenshot="$work/$page.png" "file://$1" > /dev/null 2>&1
        done
    done
    part reports "$work/written.runs" "$work/opened.runs" "$many/out/report.html" 40 500
}

for name in "${parts[@]}"; do
    declare -F "part_$name" >/dev/null || fail "no part \`$name\`" "the parts are: boot warm matrix evidence growth guests reports"
done
[ "${parts[*]}" = boot ] || prepare
for name in "${parts[@]}"; do
    progress "$name"
    "part_$name"
done
"$python" "$here/results.py" all "$out"
cat "$out/results.md"
progress "done: reports/bench/results.md"
