# Runs in the emulated machine, as root. Its output is shown as it comes; its exit code is the number of parts that went wrong.
. /share/env
cd /project
export COREMATRIX_VIRTME_RUN=/project/virtme/virtme-run COREMATRIX_QEMU=/opt/qemu-new/qemu COREMATRIX_STORE=/project/store
export PYTHONPATH=/project/virtme PYTHONDONTWRITEBYTECODE=1
bad=0
first=${kernels[0]}
paths=("${objects[@]/#/objects/}")
paths=("${paths[@]/%/.bpf.o}")
chosen=("${kernels[@]/#/--kernel=}")
output=/share/output
mkdir -p "$output" /share/runs

say() { printf '%s\n' "$*"; }
# What went wrong is shown with the last words of the command.
wrong() {
    say "WRONG: $*"
    tail -n 12 "$output/$part" | sed 's/^/    | /'
    bad=$((bad + 1))
}
# runs COMMAND...: its output goes to a file of the part, its exit code to $code, its time to $took.
runs() {
    local begin=${EPOCHREALTIME/./}
    timeout -k 5 "${limit:-150}" "$@" >> "$output/$part" 2>&1
    code=$?
    took=$(((${EPOCHREALTIME/./} - begin) / 100000))
    took=${took%?}.${took: -1}s
}
ends() { [ "$code" = "$1" ] || wrong "exit code $code instead of $1"; }
says() { grep -qF -- "$1" "$output/$part" || wrong "does not say: $1"; }
omits() { ! grep -qF -- "$1" "$output/$part" || wrong "says: $1"; }
# matrix NAME OPTION...: all objects, on all kernels or those of the options, the record in runs/NAME.
matrix() {
    local name=$1 on=("${chosen[@]}")
    shift
    case "$*" in *--kernel=*) on=() ;; esac
    rm -rf "/share/runs/$name"
    runs ./corematrix run "${paths[@]}" "${on[@]}" --jobs 1 --offline -v --out "/share/runs/$name" "$@"
}
# is NAME PYTHON: whether this is true of the record `r` of a run.
is() {
    python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "/share/runs/$1/report.json" "$2" ||
        wrong "not so in the record: $2"
}
booted='all(k["hello_ms"] for k in r["kernels"])'
restored='all(k["restore_ms"] and not k["hello_ms"] for k in r["kernels"])'
under_kvm='r["tool"]["accel"] == "kvm"'
snapshots() { ls -d store/snapshots/"$1"-* 2>/dev/null; }

part_no_module() {
    runs ./corematrix doctor --accel kvm --kernel "$first" --offline
    ends 3
    says 'cannot open `/dev/kvm`'
    says 'sudo modprobe kvm_amd'
}

part_no_nesting() {
    runs ./corematrix doctor --accel kvm --kernel "$first" --offline
    ends 3
    says 'nested virtualisation: enable it on the host'
}

part_plain_user() {
    chown root:kvm /dev/kvm
    chmod 660 /dev/kvm
    mkdir -p /tmp/user/store/kernels
    cp -r store/kernels/"$first"-* /tmp/user/store/kernels/
    chown -R 1000:1000 /tmp/user
    local as_user=(env HOME=/tmp/user COREMATRIX_STORE=/tmp/user/store TMPDIR=/tmp setpriv --reuid 1000 --regid 1000)
    local run=(./corematrix run "${paths[0]}" "--kernel=$first" --accel kvm --offline --out /tmp/user/run)
    runs "${as_user[@]}" --clear-groups "${run[@]}"
    ends 3
    says 'KVM cannot be used: cannot open `/dev/kvm`: Permission denied'
    says 'add your user to the group `kvm` (`sudo usermod -aG kvm $USER`)'
    [ -z "$(ls /tmp/user/store/snapshots)" ] || wrong "something was saved all the same"
    runs "${as_user[@]}" --groups "$(getent group kvm | cut -d: -f3)" "${run[@]}"
    ends 0
    rm -rf /tmp/user
}

part_auto_cold() {
    rm -f store/kvm.json
    matrix cold --accel auto
    ends 1
    is cold "$under_kvm and r['tool']['accel_reason'] == 'confirmed by a boot' and $booted"
    say "  all objects on ${kernels[*]}, cold, with the proof: $took"
}

part_auto_warm() {
    matrix warm --accel auto
    ends 1
    is warm "$under_kvm and r['tool']['accel_reason'] == 'confirmed by an earlier boot' and $restored"
    say "  all objects on ${kernels[*]}, warm: $took"
}

part_doctor() {
    runs ./corematrix doctor --accel kvm --kernel "$first" --offline
    ends 0
    says 'guests have the CPU `EPYC-v1`'
}

part_damaged() {
    local snapshot
    # Those of other parts, too, such as of guests with modules.
    for snapshot in $(snapshots "$first"); do
        python3 -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(100000); f.write(b"\xff" * 64)' "$snapshot/state"
    done
    matrix damaged --accel kvm "--kernel=$first"
    ends 1
    says 'the snapshot was removed: its file `state` is damaged'
}

part_crash() {
    # The lock lies beside its manifest.
    mkdir -p crash
    cp kernels.lock crash/
    sed "s/^\[kernel.\"$first\"\]/&\nappend = [\"corematrix.fault=panic@naive\"]/" kernels.toml > crash/kernels.toml
    matrix crash --accel kvm --manifest crash/kernels.toml "--kernel=$first"
    ends 1
    is crash "any(p['verdict'] == 'kernel_crashed' for c in r['cells'] if c['kernel'] == '$first' for p in c['programs'])"
    is crash "all((p['verdict'] == 'kernel_crashed') == (p['name'] == 'naive') for c in r['cells'] if c['kernel'] == '$first' for p in c['programs'])"
}

part_exec() {
    # The guest's clock, what it runs by, whether it goes right, and what other guests stole.
    runs ./corematrix exec --kernel "$first" --accel kvm --offline -- sh -c \
        'echo clock $(date +%s); cat /sys/devices/system/clocksource/clocksource0/current_clocksource
         a=$(date +%s%N); sleep 2; b=$(date +%s%N); echo slept $(((b - a) / 100000000))
         awk "/^cpu /{print \"stolen\", \$9}" /proc/stat; grep -o "model name.*" /proc/cpuinfo | head -n 1'
    local now=$EPOCHSECONDS clock slept
    ends 0
    clock=$(grep -o 'clock [0-9]*$' "$output/$part" | head -n 1 | cut -d' ' -f2)
    slept=$(grep -o 'slept [0-9]*$' "$output/$part" | cut -d' ' -f2)
    [ $((now - ${clock:-0})) -lt 60 ] && [ "${clock:-0}" -le $((now + 1)) ] || wrong "the guest's clock is ${clock:-unknown}, this machine's $now"
    # Emulation makes everything late, but nothing early.
    [ "${slept:-0}" -ge 20 ] && [ "$slept" -lt 60 ] || wrong "two seconds took the guest ${slept:-unknown} tenths"
    says 'kvm-clock'
    says 'stolen 0'
    says 'AMD EPYC Processor'
    mkdir -p /share/runs/exec
    cp "$(ls -td reports/*/ | head -n 1)report.json" /share/runs/exec/
    is exec "$restored"
}

part_shell() {
    runs ./corematrix shell "$first" --accel kvm --offline < <(printf 'uname -r\nexit 7\n')
    ends 7
    says "$(sed -n 's/.*"release": "\(.*\)".*/\1/p' store/kernels/"$first"-*/entry.json | head -n 1)"
}

part_watch() {
    cp "${paths[0]}" watched.bpf.o
    ./corematrix run watched.bpf.o "--kernel=$first" --accel kvm --offline --jobs 1 --watch --out /share/runs/watch >> "$output/$part" 2>&1 &
    local watcher=$! tries
    # The record is written when a pass is done.
    for ((tries = 0; tries < 300; tries++)); do [ -e /share/runs/watch/report.json ] && break; sleep 0.2; done
    # A guest waits for the next run by then.
    sleep 8
    cp "${paths[1]}" watched.new
    mv watched.new watched.bpf.o
    for ((tries = 0; tries < 300; tries++)); do
        python3 -c "import json, sys; r = json.load(open('/share/runs/watch/report.json')); sys.exit(len(r['cells'][0]['programs']) != 2 or any(p['verdict'] == 'not_run' for p in r['cells'][0]['programs']))" 2>/dev/null && break
        sleep 0.2
    done
    kill -INT "$watcher"
    wait "$watcher"
    is watch "$under_kvm and [p['name'] for p in r['cells'][0]['programs']] == ['naive', 'guarded']"
}

part_repro() {
    local bundle
    bundle=$(ls /share/runs/cold/bundles/* | head -n 1)
    runs ./corematrix repro "$bundle" --accel kvm --offline
    ends 1
    says 'reproduced: same verdict and cause'
}

part_probe() {
    runs ./corematrix kernels probe --kernel "$first" --accel kvm --offline
    ends 0
}

# with_qemu NAME RUN: all objects on one kernel, in a store that no other QEMU uses.
with_qemu() {
    mkdir -p "store-$1/kernels"
    cp -rlf "store/kernels/$first"-* "store-$1/kernels/"
    COREMATRIX_QEMU=/opt/qemu-$1/qemu COREMATRIX_STORE=/project/store-$1 matrix "$2" --accel kvm "--kernel=$first"
    ends 1
    is "$2" "$under_kvm and r['tool']['qemu'].startswith('$1')"
    omits 'under emulation'
    say "  QEMU $1, $2: $took"
}
part_qemu_7_2() {
    with_qemu 7.2 cold-7.2
    is cold-7.2 "$booted"
    with_qemu 7.2 warm-7.2
    is warm-7.2 "$restored"
    omits 'runs cold'
}
part_qemu_5_2() {
    with_qemu 5.2 cold-5.2
    is cold-5.2 "$booted"
    says 'runs cold: QEMU 5.2.0 cannot save guests as snapshots; QEMU 6 and later can'
}

# With the store of another machine of the same vendor: its snapshots serve.
part_moved() {
    matrix moved --accel kvm
    ends 1
    is moved "$under_kvm and $restored"
}

# With the store of a machine of another vendor, or of one that has more: its snapshots stay, and others are made.
part_other_cpu() {
    local before after
    before=$(snapshots "$first" | wc -l)
    matrix "other-$1" --accel kvm "--kernel=$first"
    ends 1
    is "other-$1" "$under_kvm and $booted"
    says 'the store keeps a snapshot for another CPU: AuthenticAMD EPYC-v1'
    after=$(snapshots "$first" | wc -l)
    [ "$after" -gt "$before" ] || wrong "$before snapshots before, $after after"
}
part_other_vendor() { part_other_cpu vendor; }
part_lesser_cpu() { part_other_cpu lesser; }

# Bash's `<(...)` wants it.
ln -s /proc/self/fd /dev/fd
# Without SVM it is not there to be loaded.
modprobe kvm_amd 2>/dev/null
# Fewer faults of nested paging.
echo always > /sys/kernel/mm/transparent_hugepage/shmem_enabled
for part in "${parts[@]}"; do
    [ "$part" != no_module ] || modprobe -r kvm_amd
    : > "$output/$part"
    before=$bad
    begin=$SECONDS
    "part_$part"
    [ "$bad" != "$before" ] || say "ok: $part, $((SECONDS - begin))s"
    [ "$part" != no_module ] || modprobe kvm_amd
done
dmesg | grep -i 'kvm.*\(error\|fail\)' | tail -n 5
exit "$bad"
