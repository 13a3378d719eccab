#!/usr/bin/env bash
# Are corematrix's verdicts right? Debian's own libbpf and bpftool judge the same programs on the same kernels, in guests of
# stock virtme-ng, and every program is compared: corematrix says `loaded` exactly where the judge's load succeeds.
#
#   tests/judge/judge.sh [SERIES...]       all kernels that stock virtme-ng can boot, or those named
#
# Writes reports/judge/judge.md, the guests' output and corematrix's own report beside it. Ends with 1 on any difference that
# explained.txt does not name, and with 3 on errors.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../bench/stock.sh"

# The tools whose objects are judged; those with a number are also run for that many seconds: NAME SECONDS ARGUMENTS...
tools=(
    "execsnoop 3" "opensnoop 3" "biosnoop 6 2" "biolatency 8 1 1" "tcpconnect 3" "tcplife 3" "runqlat 8 1 1"
    "filetop 8 -C 1 1" "vfsstat 8 1 1" "mountsnoop 3"
    biotop biostacks cachestat capable cpudist exitsnoop filelife fsdist klockstat ksnoop offcputime readahead runqslower
    sigsnoop statsnoop tcpconnlat tcprtt tcpstates tcptracer wakeuptime
)
# A guest under emulation takes minutes; a hung one takes no longer than this.
guest_deadline=1500

stock_begin
stock_tools bookworm bpftool libbpf-dev libbpf-tools
if [ $# = 0 ]; then
    stock_present
else
    present=("$@")
    for series in "$@"; do stock_kernel "$series" || fail "kernel $series: $why"; done
fi
out=$project/reports/judge
work=$(mktemp -d -p "$stock_cache")
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/guest/objects"
names=("${tools[@]%% *}")
ln -s "$stock_root/usr/sbin" "$work/guest/programs"
ln -s "$stock_root/usr/sbin/bpftool" "$work/guest/bpftool"
cp "$here/guest.sh" "$work/guest/"
printf '%s\n' "${tools[@]}" | grep ' ' > "$work/guest/tools"
gcc -O2 -Wall -Wextra -Werror -I "$stock_root/usr/include" "$here/judge.c" "$stock_root/usr/lib/x86_64-linux-gnu/libbpf.a" \
    -lelf -lz -o "$work/guest/judge"

# corematrix on the very same kernels. Failed programs are results; only a missing report is an error.
stock_manifest "$work/kernels.toml" "${present[@]}"
say "corematrix: ${#names[@]} tools on ${present[*]}"
"$corematrix" --manifest "$work/kernels.toml" --store "$stock_cache/store" run "${names[@]/#/$stock_root/usr/sbin/}" \
    --jobs 1 --out "$out/corematrix" >"$work/ours.log" 2>&1 || [ $? -le 3 ] || { cat "$work/ours.log" >&2; fail "corematrix failed"; }
report=$out/corematrix/report.json
[ "$(jq -r .tool.accel "$report")" = kvm ] || stock_guest+=(--disable-kvm)

# Cut the objects from the tools where corematrix found them, and see that they are what it read.
while IFS=$'\t' read -r name file offset size sha256; do
    dd if="$file" of="$work/guest/objects/$name" bs=64K iflag=skip_bytes,count_bytes skip=$((offset)) count="$size" status=none
    echo "$sha256  $work/guest/objects/$name" | sha256sum --check --quiet || fail "object $name is not where corematrix says"
done < <(jq -r '.objects[] | (.origin | capture("^(?<file>.*): offset (?<offset>0x[0-9a-f]+)$")) as $at
    | [.name, $at.file, $at.offset, .size, .sha256] | @tsv' "$report")

# The judge, bpftool and the tools in one stock guest a kernel.
for series in "${present[@]}"; do
    stock_kernel "$series"
    config=$tree/boot/config-$release
    [ -e "$config" ] || config=$tree/usr/lib/modules/$release/config
    cp "$config" "$work/guest/config"
    say "stock guest: $release"
    timeout "$guest_deadline" bash -c 'stock_vng "$@"' stock_vng --run "$image" "${stock_guest[@]}" -- "bash $work/guest/guest.sh $work/guest" \
        > "$out/guest-$series.txt" 2>"$work/guest.err" || true
    [ "$(tail -n 1 "$out/guest-$series.txt")" = end ] || {
        tail -n 20 "$out/guest-$series.txt" "$work/guest.err" >&2
        fail "kernel $series: the stock guest did not finish"
    }
    grep -qx "release $release" "$out/guest-$series.txt" || fail "kernel $series: the stock guest ran another kernel"
done

# Both sides as lines of KERNEL, OBJECT, PROGRAM, ok or not, why.
jq -r '.cells[] | .kernel as $kernel | .object as $object | .programs[]
    | [$kernel, $object, .name, (if .verdict == "loaded" then "ok" else .verdict end), (.reason // "")] | @tsv' "$report" > "$work/ours.tsv"
for series in "${present[@]}"; do
    sed -nE "s/^judge ([^ ]+) ([^ ]+) ([^ ]+) ?(.*)$/$series\t\1\t\2\t\3\t\4/p" "$out/guest-$series.txt"
done > "$work/judge.tsv"
# bpftool knows whole objects only: it succeeds where the object can be prepared as it is and every program loads.
for series in "${present[@]}"; do
    sed -nE "s/^bpftool ([^ ]+) 0 .*$/$series\t\1\t(all)\tok\t/p; s/^bpftool ([^ ]+) ([1-9][0-9]*) (.*)$/$series\t\1\t(all)\texit \2\t\3/p" "$out/guest-$series.txt"
done >> "$work/judge.tsv"
jq -r '.cells[] | ([.programs[] | select(.verdict != "loaded")] | first) as $failed
    | [.kernel, .object, "(all)", (if $failed then $failed.verdict elif .whole.prepared then "ok" else "not prepared" end),
       ($failed.reason // .whole.reason // "")] | @tsv' "$report" >> "$work/ours.tsv"

# Differences: KERNEL, OBJECT, PROGRAM, corematrix, judge, the judge's why, corematrix's why, the explanation.
# explained.txt has lines of KERNEL|OBJECT|PROGRAM|EXPLANATION, where * stands for any.
awk -F '\t' -v OFS='\t' -v explained="$here/explained.txt" -v counts="$work/counts" '
    function explanation(k, o, p, mine, theirs,   i, f) {
        if (mine == "ok" && theirs ~ /^without:/)
            return "by design: corematrix leaves out a map that the kernel does not create; the program does not use it and loads without"
        for (i = 1; i <= known; i++) {
            split(line[i], f, "|")
            if ((f[1] == "*" || f[1] == k) && (f[2] == "*" || f[2] == o) && (f[3] == "*" || f[3] == p)) return f[4]
        }
        return ""
    }
    BEGIN { while ((getline text < explained) > 0) if (text !~ /^(#|$)/) line[++known] = text }
    { key = $1 FS $2 FS $3; keys[key] = 1 }
    FNR == NR { ours[key] = $4; our_why[key] = $5; next }
    { theirs[key] = $4; their_why[key] = $5 }
    END {
        for (key in keys) {
            split(key, at, FS)
            kind = at[3] == "(all)" ? "objects" : "programs"
            seen[at[1], kind]++
            o = (key in ours) ? ours[key] : "absent"; t = (key in theirs) ? theirs[key] : "absent"
            if (o != "absent" && t != "absent" && (o == "ok") == (t == "ok")) { agreed[at[1], kind]++; if (o == "ok") loaded[at[1], kind]++; continue }
            print at[1], at[2], at[3], o, t, their_why[key], our_why[key], explanation(at[1], at[2], at[3], o, t)
        }
        for (each in seen) { split(each, at, SUBSEP); print at[1], at[2], seen[each], agreed[each] + 0, loaded[each] + 0 > counts }
    }' "$work/ours.tsv" "$work/judge.tsv" | sort -V > "$work/differences.tsv"
unexplained=$(awk -F '\t' '$8 == ""' "$work/differences.tsv" | wc -l)

# The default kernels, mostly of the cloud flavour: what differs there is a fact about the kernels.
cloud=$out/cloud
rm -rf "$cloud"
mapfile -t selected < <(printf -- '--kernel\n%s\n' "${present[@]}")
say "corematrix: the same on the default kernels"
# From copies, since a run pins what it fetches in the lock file beside the manifest.
mkdir "$work/default"
cp "$project/kernels.toml" "$project/kernels.lock" "$work/default/"
"$corematrix" --manifest "$work/default/kernels.toml" run "${names[@]/#/$stock_root/usr/sbin/}" "${selected[@]}" --jobs 1 --out "$cloud" >"$work/cloud.log" 2>&1 \
    || [ $? -le 3 ] || say "the default kernels could not be run"
if [ -e "$cloud/report.json" ]; then
    jq -r '.cells[] | .kernel as $kernel | .object as $object | .programs[]
        | [$kernel, $object, .name, .verdict, (.reason // "")] | @tsv' "$cloud/report.json" > "$work/cloud.tsv"
    awk -F '\t' -v OFS='\t' '{ key = $1 FS $2 FS $3 } FNR == NR { plain[key] = $4; why[key] = $5; next }
        key in plain && (plain[key] == "ok") != ($4 == "loaded") { print $1, $2, $3, plain[key], $4, why[key] $5 }' \
        "$work/ours.tsv" "$work/cloud.tsv" | sort -V > "$work/flavours.tsv"
fi

markdown() { sed -e 's/|/\\|/g' -e 's/\t/ | /g' -e 's/^/| /' -e 's/$/ |/' "$@"; }
{
    echo "# Verdicts against an independent judge"
    echo
    echo "corematrix $(jq -r '.tool | "\(.corematrix) (libbpf \(.libbpf), QEMU \(.qemu) with \(.accel))"' "$report") against Debian's libbpf" \
        "$(sed -nE 's/^Version: //p' "$stock_root/usr/lib/x86_64-linux-gnu/pkgconfig/libbpf.pc") and bpftool in guests of stock virtme-ng" \
        "$(jq -r .tool.virtme_ng "$report"), on the very same kernels: ${#names[@]} tools of Debian's libbpf-tools. $(date -u +%Y-%m-%dT%H:%M:%SZ)"
    echo
    echo "| kernel | release | programs | same verdict | of these loaded | whole objects (bpftool) | same verdict | of these loaded |"
    echo "|---|---|---|---|---|---|---|---|"
    for series in "${present[@]}"; do
        awk -F '\t' -v k="$series" -v release="$(sed -n 's/^release //p' "$out/guest-$series.txt")" '$1 == k { c[$2] = $3 " | " $4 " | " $5 }
            END { printf "| %s | %s | %s | %s |\n", k, release, c["programs"], c["objects"] }' "$work/counts"
    done
    printf '\n## Differences: %s, of these unexplained: %s\n\n' "$(wc -l < "$work/differences.tsv")" "$unexplained"
    if [ -s "$work/differences.tsv" ]; then
        printf '%s\n' "| kernel | object | program | corematrix | judge | judge's reason | corematrix's reason | explanation |" "|---|---|---|---|---|---|---|---|"
        markdown "$work/differences.tsv"
    else
        echo "none"
    fi
    printf '\n## Plain against default (cloud) kernels, both by corematrix: facts about the kernels\n\n'
    if [ ! -e "$cloud/report.json" ]; then
        echo "not run"
    else
        jq -r '"Default kernels: " + ([.kernels[] | "\(.name) = \(.identity.release // .state.state)"] | join(", ")) + "\n"' "$cloud/report.json"
        if [ -s "$work/flavours.tsv" ]; then
            printf '%s\n' "| kernel | object | program | plain | default | reason |" "|---|---|---|---|---|---|"
            markdown "$work/flavours.tsv"
        else
            echo "no program differs"
        fi
    fi
    printf '\n## The real tools in the stock guests\n\nExit code after a run of some seconds (124: ran until interrupted), lines printed, and an error line if there is one. For the record only.\n\n'
    printf '%s\n' "| kernel | tool | exit code | lines | error |" "|---|---|---|---|---|"
    for series in "${present[@]}"; do
        sed -nE "s/^tool ([^ ]+) ([0-9]+) ([0-9]+) ?(.*)$/$series\t\1\t\2\t\3\t\4/p" "$out/guest-$series.txt" | markdown
    done
    if [ ${#stock_missing[@]} != 0 ]; then
        printf '\n## Not judged, since stock virtme-ng cannot boot them\n\n'
        printf -- '- %s\n' "${stock_missing[@]}"
    fi
} > "$out/judge.md"
sed '/^## The real tools/,/^## Not judged/{/^## Not judged/!d}' "$out/judge.md"
say "report: $out/judge.md"
[ "$unexplained" = 0 ] || exit 1
