#!/usr/bin/env bash
# Does corematrix judge under KVM as it does under emulation? A machine that QEMU emulates, with AMD's virtualisation, runs it under a
# real KVM: Debian's own kvm_amd. What it finds there is held against what it finds here, emulated: every verdict, cause, relocated
# value and proven side of a guard.
#
#   tests/judge/kvm.sh [PART...]       all parts, or those named; kvm/job.sh has them
#
# KERNELS names the kernels, which the store has to have. Ends with 1 on any difference, and with 3 on errors. The machine's disk and
# all that was written stay in target/kvm-judge.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
work=$project/target/kvm-judge
corematrix=$project/target/release/corematrix
store=${COREMATRIX_STORE:-${XDG_CACHE_HOME:-$HOME/.cache}/corematrix}
read -ra kernels <<< "${KERNELS:-5.10 6.12 7.3}"
# Green and red cells, guards with two sides, values that differ between kernels.
objects=(inode-ctime number-iterator kprobe-account-io)
# The machines: a processor, and what is done on it. They use one store, one after the other. The first is the one that matters: the others
# have more than its processor, less, another vendor, or no virtualisation.
machines=(
    "EPYC,+svm,+npt|no_module plain_user auto_cold auto_warm doctor exec shell watch crash repro probe qemu_7_2 qemu_5_2 damaged"
    "EPYC-Rome,+svm,+npt|moved"
    "EPYC,+svm,+npt,vendor=HygonGenuine|other_vendor"
    "EPYC,+svm,+npt,-avx2|lesser_cpu"
    "EPYC,-svm|no_nesting"
)
# What is compared with emulation, on all kernels and on the first one alone.
all_kernels=(cold warm moved)
first_kernel=(damaged cold-7.2 warm-7.2 cold-5.2 other-vendor other-lesser)
machine_limit=${LIMIT:-900}
running=

say() { printf '%5ds  %s\n' "$SECONDS" "$*" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# = 1 ] || printf 'hint: %s\n' "$2" >&2; exit 3; }
. "$here/kvm/machine.sh"
trap '[ -z "$running" ] || kill "$running" 2>/dev/null; rm -rf "$work"/new.*' EXIT

for tool in mmdebstrap mkfs.ext4 qemu-system-x86_64 python3 flock; do
    PATH=$PATH:/usr/sbin command -v "$tool" >/dev/null || fail "\`$tool\` is missing" "as root: apt-get install mmdebstrap e2fsprogs qemu-system-x86"
done
[ "$(id -u)" = 0 ] || fail "only root can make the machine's disk"
PATH=$PATH:/usr/sbin
mkdir -p "$work/share"
exec {lock}>"$work/lock"
flock --nonblock "$lock" || fail "another run of this judge is at work in $work"
machine_build

# The project as both sides have it: the same paths, the same kernels. What is known about the kernels without KVM stays here.
side=$work/project
rm -rf "$side" "$work/disk" "$work"/share/*
mkdir -p "$side/objects" "$side/store/kernels" "$side/virtme"
for object in "${objects[@]}"; do cp "$project/target/programs/$object.bpf.o" "$side/objects/"; done
cp "$project"/kernels.{toml,lock} "$corematrix" "$side/"
for kernel in "${kernels[@]}"; do
    found=$(ls -d "$store/kernels/$kernel"-* 2>/dev/null | head -n 1)
    [ -n "$found" ] || fail "the store has no kernel $kernel" "target/release/corematrix kernels pull --kernel $kernel"
    cp -a "$found" "$side/store/kernels/"
done
rm -f "$side"/store/kernels/*/{probe,proof}.json
# A link would lead out of the machine.
cp -a "$project"/.venv/lib/python3*/site-packages/. "$side/virtme/"
for script in vng virtme-run; do
    sed '1s|.*|#!/usr/bin/python3|' "$project/.venv/bin/$script" > "$side/virtme/$script"
    chmod +x "$side/virtme/$script"
done
# Nested emulation is 10 to 60 times slower than KVM on hardware.
sed -i 's/^boot-timeout = .*/boot-timeout = "200s"/; s/^program-timeout = .*/program-timeout = "100s"/' "$side/kernels.toml"
mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 -d "$side" "$work/disk" 2500M > /dev/null
find "$work/share" -mindepth 1 -delete
bad=0
all_parts=$(($# == 0))
for line in "${machines[@]}"; do
    IFS='|' read -r processor parts <<< "$line"
    if [ $# != 0 ]; then
        chosen=()
        for part in $parts; do case " $* " in *" $part "*) chosen+=("$part") ;; esac; done
        parts=${chosen[*]}
        [ -n "$parts" ] || continue
    fi
    printf 'kernels=(%s)\nobjects=(%s)\nparts=(%s)\n' "${kernels[*]}" "${objects[*]}" "$parts" > "$work/share/env"
    say "a machine with $processor"
    machine_run job.sh "$processor" "$machine_limit" || bad=1
done

say "the same here, emulated"
paths=("${objects[@]/#/objects/}")
paths=("${paths[@]/%/.bpf.o}")
# emulated NAME KERNEL...: with a store that knows no more kernels than the machine's, since advice is made of all that are known.
emulated() {
    local name=$1 code=0
    shift
    (cd "$side" && COREMATRIX_STORE=$side/store COREMATRIX_VIRTME_RUN=$project/.venv/bin/virtme-run "$corematrix" run "${paths[@]}" \
        "${@/#/--kernel=}" --accel tcg --jobs 2 --offline --out "$work/$name") > "$work/$name.log" 2>&1 || code=$?
    [ "$code" = 1 ] || { cat "$work/$name.log" >&2; fail "the emulated run ended with $code"; }
}
# compared EMULATED NAME...: those of the records that there are.
compared() {
    local with=$1 name found=()
    shift
    for name in "$@"; do
        if [ -e "$work/share/runs/$name/report.json" ]; then
            found+=("$name=$work/share/runs/$name/report.json")
        elif [ "$all_parts" = 1 ]; then
            say "WRONG: there is no record \`$name\`"
            bad=1
        fi
    done
    [ ${#found[@]} = 0 ] || python3 "$here/kvm/compare.py" "$work/$with/report.json" "${found[@]}" || bad=1
}
emulated emulated "${kernels[@]}"
emulated emulated-first "${kernels[0]}"
compared emulated "${all_kernels[@]}"
compared emulated-first "${first_kernel[@]}"
if [ -e "$work/share/runs/warm/report.json" ]; then
    "$corematrix" compare "$work/emulated" "$work/share/runs/warm" > "$work/compare.txt"
    grep -q 'no difference' "$work/compare.txt" || { cat "$work/compare.txt"; bad=1; }
fi
if [ "$bad" = 0 ]; then say "good"; else say "something is wrong"; fi
exit "$bad"
