# Sourced by tests/judge/kvm.sh: the emulated machine. Its processor is AMD's with SVM and nested paging, which QEMU emulates, so the
# kernel in it has a real KVM. Its disk is made once, of Debian's packages alone, and never written to thereafter.

# Debian's plain kernel has kvm_amd; `binutils` is for virtme-ng; busybox for the initramfs. Recommended packages stay out.
machine_packages=linux-image-amd64,python3,kmod,util-linux,procps,iproute2,busybox-static,binutils
# QEMUs for it: the name, the suite that has it, the suite that has the rest.
machine_qemus=("5.2|bullseye|bullseye" "7.2|bookworm|bookworm")
# What QEMU needs of a package's files.
qemu_parts=(usr/bin/qemu-system-x86_64 usr/share/qemu usr/share/seabios usr/lib/ipxe usr/lib/x86_64-linux-gnu lib/x86_64-linux-gnu)

# Makes the disk, the kernel and the initramfs in $machine, unless they are there.
machine_build() {
    local codename key
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    case $codename in
        bookworm) machine_qemus+=("new|bookworm-backports|bookworm") ;;
        *) machine_qemus+=("new|$codename|$codename") ;;
    esac
    key=$({ echo "$codename $machine_packages ${machine_qemus[*]}"; cat "$here"/kvm/{machine.sh,machine-init,initramfs-init}; } | sha256sum | cut -c1-12)
    machine=$work/machine-$key
    [ -e "$machine/initramfs" ] && return
    rm -rf "$work"/machine-* "$work"/new.*
    local new
    new=$(mktemp -d -p "$work" new.XXXX)
    say "making the machine's disk, once"
    machine_suite "$codename" "$new/root" --variant=minbase --include="$machine_packages"
    local line name suite rest
    for line in "${machine_qemus[@]}"; do
        IFS='|' read -r name suite rest <<< "$line"
        machine_qemu "$name" "$suite" "$rest" "$new"
    done
    rm -rf "$new"/root/{usr/share/{doc,man,locale},var/cache/apt,var/lib/apt/lists} "$new"/root/usr/lib/modules/*/kernel/{sound,drivers/{gpu,media,net,infiniband,iio,staging}}
    install -m 755 "$here/kvm/machine-init" "$new/root/sbin/judge-init"
    machine_initramfs "$new"
    mkfs.ext4 -q -O ^has_journal -E lazy_itable_init=1 -d "$new/root" "$new/disk" 3G > /dev/null
    rm -rf "$new/root"
    mv "$new" "$machine"
}

# Debian's archive, from where this machine has it; of the older suites only packages are unpacked.
machine_suite() {
    local suite=$1 to=$2 uri
    shift 2
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
    [ -n "$uri" ] || fail "apt has no archive to make the machine of" "is \`apt-get update\` possible here?"
    mmdebstrap --quiet --mode=root --skip=check/qemu --aptopt='Apt::Install-Recommends "false"' "$@" "$suite" "$to" \
        "deb $uri $suite main" ${extra_suite:+"deb $uri $extra_suite main"}
}

# Unpacks a QEMU with the libraries that it wants, and a script that starts it: its C library is the machine's own.
machine_qemu() {
    local name=$1 suite=$2 rest=$3 new=$4 part home=/opt/qemu-$1
    local extra_suite= options=()
    if [ "$suite" != "$rest" ]; then extra_suite=$suite; options=(--aptopt="APT::Default-Release \"$suite\""); fi
    extra_suite=$extra_suite machine_suite "$rest" "$new/unpacked" --variant=extract --include=qemu-system-x86 "${options[@]}"
    mkdir -p "$new/root$home"
    for part in "${qemu_parts[@]}"; do
        [ -e "$new/unpacked/$part" ] || continue
        mkdir -p "$new/root$home/$(dirname "$part")"
        cp -a "$new/unpacked/$part" "$new/root$home/$part"
    done
    # The suite's C library would not fit the machine's loader.
    local library
    for library in ld- libc libm libmvec libdl libpthread librt libresolv libutil libnss_ libnsl libanl libthread_db libBrokenLocale; do
        rm -f "$new/root$home"/{usr/,}lib/x86_64-linux-gnu/"${library}"{-,.so,}[-.0-9]*
    done
    rm -f "$new/root$home"/{usr/,}lib/x86_64-linux-gnu/{libc.so*,libm.so*,libnss_*}
    rm -rf "$new/unpacked"
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s -L %s -L %s -L %s "$@"\n' "$home/usr/lib/x86_64-linux-gnu:$home/lib/x86_64-linux-gnu" \
        "$home/usr/bin/qemu-system-x86_64" "$home"/usr/{share/qemu,share/seabios,lib/ipxe/qemu} > "$new/root$home/qemu"
    chmod +x "$new/root$home/qemu"
    chroot "$new/root" "$home/qemu" --version > "$new/version" || fail "QEMU of $suite does not start in the machine"
    say "  QEMU of $suite: $(sed -nE 's/.*version ([0-9.]+).*/\1/p;q' "$new/version")"
}

# A kernel with its disk's drivers as modules wants an initramfs that loads them.
machine_initramfs() {
    local new=$1 release module file tree=$1/tree
    release=$(basename "$new"/root/usr/lib/modules/*)
    mkdir -p "$tree"/{bin,dev,proc,root,modules}
    cp "$new/root/bin/busybox" "$tree/bin/"
    install -m 755 "$here/kvm/initramfs-init" "$tree/init"
    for module in virtio_pci virtio_blk crc32c_generic ext4; do
        chroot "$new/root" modprobe -S "$release" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        module=$(basename "$file" .xz)
        case $file in
            *.xz) xz -dc "$new/root$file" > "$tree/modules/$module" ;;
            *) cp "$new/root$file" "$tree/modules/$module" ;;
        esac
        echo "$module" >> "$tree/modules/order"
    done
    cp "$new/root/boot/vmlinuz-$release" "$new/vmlinuz"
    (cd "$tree" && find . | "$new/root/bin/busybox" cpio -o -H newc 2>/dev/null) > "$new/initramfs"
    rm -rf "$tree"
}

# Runs kvm/JOB in the machine with processor CPU, with the project's disk in it; its words are shown as they come.
# `tsc=reliable`: without a trusted time stamp counter KVM has no master clock.
machine_run() {
    local job=$1 cpu=$2 limit=$3 share=$work/share shown=0 code qemu
    cp "$here/kvm/$job" "$share/job.sh"
    : > "$share/log"
    rm -f "$share/code"
    qemu-system-x86_64 -nodefaults -no-user-config -M q35 -accel tcg,thread=multi,tb-size=1024 -cpu "$cpu" -m 3G -smp 2 \
        -display none -no-reboot -kernel "$machine/vmlinuz" -initrd "$machine/initramfs" \
        -append "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr cryptomgr.notests tsc=reliable" \
        -drive "file=$machine/disk,if=virtio,format=raw,snapshot=on" \
        -drive "file=$work/disk,if=virtio,format=raw,cache=unsafe" \
        -virtfs "local,path=$share,mount_tag=share,security_model=none" \
        -device virtio-rng-pci -serial "file:$work/console" < /dev/null 2> "$work/qemu.log" &
    qemu=$!
    running=$qemu
    local begin=$SECONDS
    while kill -0 "$qemu" 2>/dev/null && [ $((SECONDS - begin)) -lt "$limit" ]; do
        sleep 1
        shown=$(machine_words "$share/log" "$shown")
    done
    if kill "$qemu" 2>/dev/null; then say "the machine was ended after ${limit}s"; fi
    wait "$qemu" || true
    running=
    shown=$(machine_words "$share/log" "$shown")
    code=$(cat "$share/code" 2>/dev/null || echo none)
    if [ "$code" = none ]; then
        tail -n 5 "$work/console" "$work/qemu.log" >&2
        fail "the machine did not get to the end of $job"
    fi
    return "$code"
}

# Shows the whole lines of a file from line number FROM on; prints the number of those shown so far.
machine_words() {
    local file=$1 from=$2 lines
    lines=$(wc -l < "$file")
    [ "$lines" -le "$from" ] || sed -n "$((from + 1)),${lines}p" "$file" | sed "s/^/$(printf '%5ds' "$SECONDS")  /" >&2
    echo "$lines"
}
