#!/usr/bin/env bash
# Installs what corematrix needs and is missing: Debian packages by apt, virtme-ng into .venv. Changes nothing that is there already.
# With `--dist` also what only `make dist` needs. With `--tests` also what only the tests need: a browser, in which the HTML report is tried, servers and tools that serve kernels to it, python-tuf, and
# rustfmt and clippy for a toolchain of Debian's.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 2; }

# What each is for: curl downloads kernels; binutils has `strings`, with which virtme-ng reads a kernel's version; gcc, make, pkg-config, libelf, zlib and zstd build libbpf, and the static guest with it; clang and libbpf-dev build programs/; python3-venv holds virtme-ng.
packages=(curl binutils gcc make pkg-config libc6-dev libelf-dev libzstd-dev zlib1g-dev clang libbpf-dev linux-libc-dev python3-venv ca-certificates)
# docker-registry, lighttpd and openssl serve kernels on loopback; gpg, dpkg-scanpackages, dpkg-deb, rpmbuild, createrepo_c and repo-add make archives; qemu-img and a mkfs of each file system disks.
test_packages=(btrfs-progs createrepo-c docker-registry dosfstools dpkg-dev e2fsprogs erofs-utils gpg gpg-agent gpgv libarchive-tools lighttpd makepkg mtools openssl pacman-package-manager qemu-utils rpm squashfs-tools xfsprogs zstd)
# mmdebstrap and umoci make the OCI image, jq the SBOM of it.
dist_packages=(mmdebstrap umoci jq dpkg-dev)
# Writes the SBOM of the executable.
cyclonedx=0.5.9
# Emulation is only sound from this QEMU on: older ones corrupt guests of Linux 6.12 and later. With KVM an older one will do.
qemu_major=10
qemu_major_with_kvm=6
# The oldest compiler that builds every dependency.
rust_minor=88
python=/usr/bin/python3

case "${1:-}" in
    "") tests= dist= ;;
    --tests) tests=1 dist= ;;
    --dist) tests= dist=1 ;;
    *) printf 'error: setup.sh does not know `%s`\nhint: it takes nothing, `--tests` or `--dist`\n' "$1" >&2; exit 2 ;;
esac

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "installing packages needs root, and there is no sudo" "as root: apt-get install $*"; fi
}

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }
# The names that the tests look for, too.
test_tools_ok() {
    local tool
    [ -z "$tests" ] || for tool in bsdtar createrepo_c docker-registry dpkg-deb dpkg-scanpackages gpg gpg-agent gpgv lighttpd makepkg mcopy mkfs.btrfs mkfs.erofs mkfs.ext4 mkfs.vfat mkfs.xfs mksquashfs openssl qemu-img repo-add rpmbuild rpmsign zstd; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "$tool" >/dev/null || return 1
    done
}
dist_tools_ok() {
    local tool
    [ -z "$dist" ] || for tool in mmdebstrap umoci jq dpkg-deb; do command -v "$tool" >/dev/null || return 1; done
}
browser_ok() { [ -z "$tests" ] || command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null; }
rust_ok() { command -v cargo >/dev/null && [ "$(cargo --version | sed -E 's/^cargo 1\.([0-9]+).*/\1/')" -ge "$rust_minor" ]; }
lint_ok() { [ -z "$tests" ] || { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1; }
qemu_version() { qemu-system-x86_64 --version 2>/dev/null | sed -nE 's/.*version ([0-9]+)\..*/\1/p'; }
qemu_ok() { command -v qemu-system-x86_64 >/dev/null && [ "$(qemu_version)" -ge "$qemu_major" ]; }
# KVM that can be opened may still not work, so that where apt can bring the newer QEMU it does.
qemu_enough() { qemu_ok || { [ -w /dev/kvm ] && command -v qemu-system-x86_64 >/dev/null && [ "$(qemu_version)" -ge "$qemu_major_with_kvm" ]; }; }

without_apt() {
    local missing=()
    for tool in curl strings gcc make pkg-config clang cargo qemu-system-x86_64; do command -v "$tool" >/dev/null || missing+=("$tool"); done
    rust_ok || missing+=("Rust 1.$rust_minor or later")
    qemu_enough || missing+=("QEMU $qemu_major or later, or 6.2 with KVM")
    browser_ok || missing+=("Chromium (for the tests)")
    dist_tools_ok || missing+=("mmdebstrap, umoci, jq and dpkg-deb (for \`make dist\`)")
    test_tools_ok || missing+=("docker-registry, lighttpd, qemu-img, gpg, gpgv, openssl, dpkg-dev, rpm, createrepo_c, pacman, makepkg, bsdtar, zstd, mtools and the tools of ext4, XFS, btrfs, FAT, squashfs and EROFS (for the tests)")
    [ -e /usr/include/libelf.h ] || missing+=("libelf headers")
    [ -e /usr/include/zlib.h ] || missing+=("zlib headers")
    [ -e /usr/include/bpf/bpf_helpers.h ] || missing+=("libbpf headers")
    "$python" -c 'import ensurepip' 2>/dev/null || missing+=("Python 3 with venv")
    [ ${#missing[@]} = 0 ] || fail "apt-get is absent, and these are missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')" \
        "install them with this system's package manager, then run the command again"
}

# The tests start servers of their own; a package that is new on this machine shall not start one now or at the next boot.
without_service() {
    [ -n "$tests" ] && [ -d /run/systemd/system ] || return 0
    local service
    for service in "$@"; do installed "$service" || as_root systemctl mask --quiet "$service.service"; done
}

with_apt() {
    local missing=() codename
    for package in "${packages[@]}"; do installed "$package" || missing+=("$package"); done
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    # The `-web` packages are the newer Rust that Debian's browsers are built with.
    rust_ok || missing+=(rustc-web cargo-web)
    browser_ok || missing+=(chromium)
    test_tools_ok || for package in "${test_packages[@]}"; do installed "$package" || missing+=("$package"); done
    dist_tools_ok || for package in "${dist_packages[@]}"; do installed "$package" || missing+=("$package"); done
    if ! qemu_ok && [ "$codename" != bookworm ]; then missing+=(qemu-system-x86); fi
    if [ ${#missing[@]} != 0 ] || ! qemu_ok; then
        say "installing: ${missing[*]:-}$(qemu_ok || [ "$codename" != bookworm ] || echo ' qemu-system-x86 (backports)')"
        as_root apt-get update -q
    fi
    without_service docker-registry lighttpd
    # In runlevel 1 Debian's packages start no service, where that is not for systemd to say.
    [ ${#missing[@]} = 0 ] || as_root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
    if ! qemu_ok && [ "$codename" = bookworm ]; then as_root sh images/qemu-backports.sh "$codename"; fi
    rust_ok || fail "the installed Rust is older than 1.$rust_minor" "install a newer one, for example with rustup"
    qemu_ok || say "note: QEMU is older than $qemu_major: enough with KVM from 6.2 on, but emulated guests of Linux 6.12 and later crash at random"
}

# rustfmt and clippy belong to one toolchain. Debian's is completed here, any other is its owner's: `make lint` says what it had to skip.
lint_tools() {
    local cargo names=() package missing=()
    lint_ok && return
    cargo=$(command -v cargo)
    if [ "$cargo" != /usr/bin/cargo ]; then
        say "note: $cargo has no rustfmt or clippy; with rustup: rustup component add rustfmt clippy"
        return
    fi
    if installed cargo-web; then names=(rustfmt-web rust-web-clippy); else names=(rustfmt rust-clippy); fi
    apt-cache show "${names[@]}" >/dev/null 2>&1 || as_root apt-get update -q
    for package in "${names[@]}"; do
        if installed "$package"; then :; elif apt-cache show "$package" >/dev/null 2>&1; then missing+=("$package")
        else say "note: there is no package $package"; fi
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" || say "note: ${missing[*]} cannot be installed"
}

pinned() { .venv/bin/python3 -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps -r "$1"; }
# virtme-ng at exactly the versions of the file; made again when the file changes. For the tests python-tuf, too.
virtual_environment() {
    local wanted=images/virtme-ng.txt tuf=images/python-tuf.txt
    if ! [ -x .venv/bin/virtme-run ] || ! cmp -s "$wanted" .venv/installed.txt; then
        say "installing virtme-ng into .venv"
        rm -rf .venv
        "$python" -m venv .venv
        pinned "$wanted"
        cp "$wanted" .venv/installed.txt
    fi
    if [ -n "$tests" ] && ! cmp -s "$tuf" .venv/tuf.txt; then
        say "installing python-tuf into .venv"
        pinned "$tuf"
        cp "$tuf" .venv/tuf.txt
    fi
}

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    with_apt
    lint_tools
else
    without_apt
fi
virtual_environment
if [ -n "$dist" ] && ! [ -x target/tools/bin/cargo-cyclonedx ]; then
    say "installing cargo-cyclonedx into target/tools"
    cargo install --quiet --locked --root target/tools "cargo-cyclonedx@$cyclonedx"
fi
say "ready: $(cargo --version), QEMU $(qemu-system-x86_64 --version | sed -nE 's/.*version ([0-9.]+).*/\1/p'), virtme-ng $(.venv/bin/vng --version | awk '{print $2}')"
