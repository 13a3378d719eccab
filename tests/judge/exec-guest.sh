#!/usr/bin/env bash
# Runs inside a guest of `corematrix exec`: a real tool for some seconds, and the programs that the kernel has meanwhile.
#
#   exec-guest.sh BPFTOOL SECONDS TOOL [ARGUMENTS...]      leaves $OUT/programs (names) and $OUT/said; the tool's exit code
set -u
bpftool=$1 seconds=$2
shift 2
"$@" > "$OUT/said" 2>&1 < /dev/null &
tool=$!
# Loading takes its time under emulation.
for _ in $(seq 60); do
    "$bpftool" prog show > "$OUT/show"
    [ -s "$OUT/show" ] && break
    kill -0 "$tool" 2> /dev/null || break
    sleep 1
done
sleep "$seconds"
"$bpftool" prog show > "$OUT/show"
sed -nE 's/^[0-9]+: [a-z_0-9]+ +name ([^ ]+) .*/\1/p' "$OUT/show" | sort > "$OUT/programs"
# As Ctrl-C does. A shell gives background processes no such signal to ignore if they ask for it themselves, as these tools do.
kill -INT "$tool" 2> /dev/null
wait "$tool"
code=$?
echo "$(grep -c . "$OUT/said") lines, $(grep -c . "$OUT/programs") programs; $(grep -v '^ *$' "$OUT/said" | tail -n 1)"
exit "$code"
