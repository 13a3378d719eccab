# Sourced by tests/bench and tests/judge: plain Debian kernels, and how stock virtme-ng boots them.
#
# Everything lives in one cache directory; the system is left as it is. Packages are downloaded with an apt state of our own,
# unpacked and never installed. Kernels are of the plain flavour: stock virtme-ng shares the host's files over 9p, which
# the `-cloud-` flavours lack.

# series | suites, most preferred first | packages that make one kernel, the one with the image first
stock_kernels=(
    "5.10|bullseye|linux-image"
    "6.1|bookworm|linux-image"
    "6.12|trixie|linux-image"
    "6.17|trixie-backports|linux-image"
    "6.18|trixie-backports|linux-image"
    "6.19|trixie-backports|linux-binary linux-base linux-modules"
    "7.0|trixie-backports|linux-binary linux-base linux-modules"
    "7.1|trixie-backports|linux-binary linux-base linux-modules"
    "7.2|trixie-backports sid|linux-binary linux-base linux-modules"
    "7.3|trixie-backports sid|linux-binary linux-base linux-modules"
)
stock_suites=(bullseye bookworm trixie trixie-backports sid)
# How many point versions are tried before a series counts as gone; an index may list files that are no longer there.
stock_attempts=4
# The guest that corematrix starts has as much.
stock_guest=(--memory 1G --cpus 1)

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
stock_cache=${XDG_CACHE_HOME:-$HOME/.cache}/corematrix-stock
stock_root=$stock_cache/tools
export stock_libraries=$stock_root/usr/lib/x86_64-linux-gnu:$stock_root/lib/x86_64-linux-gnu
corematrix=$project/target/release/corematrix
# What stock virtme-ng cannot boot, one line each; filled by stock_present.
stock_missing=()

say() { printf '%s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; [ $# = 1 ] || printf 'hint: %s\n' "$2" >&2; exit 3; }

# Makes the cache, the apt state and the tools ready, and keeps other runs out until this one ends.
stock_begin() {
    for tool in apt-get apt-cache dpkg-deb gcc unshare flock; do
        command -v "$tool" >/dev/null || fail "\`$tool\` is missing" "this needs Debian 12 or later, and \`make setup\`"
    done
    [ -x "$project/.venv/bin/vng" ] || fail "virtme-ng is missing" "run \`make setup\`"
    [ -x "$corematrix" ] || fail "corematrix is not built" "run \`make build\`"
    mkdir -p "$stock_cache/kernels" "$stock_root"
    exec {stock_lock}>"$stock_cache/lock"
    flock --nonblock "$stock_lock" || { say "waiting for another run to end"; flock "$stock_lock"; }
    # What a run that was killed has left.
    rm -rf "$stock_cache"/tmp.*
    stock_tools bookworm hyperfine jq libjq1 libonig5 kmod libkmod2 busybox-static
    # The packages' own links are absolute and would leave the cache.
    for name in depmod modprobe modinfo insmod; do ln -sfn kmod "$stock_root/bin/$name"; done
    export PATH="$project/.venv/bin:$stock_root/bin:$stock_root/usr/bin:$stock_root/usr/sbin:$stock_root/sbin:$PATH"
    stock_udev
}

# Stock virtme-ng's guest is the host's root, and finds its script's input and output by udev's links: without udev it
# loses both output and exit code. Every installed Debian has udev; containers do not. Sets `udev` to where it comes from:
# `host`, or a directory with the package.
stock_udev() {
    udev=host
    if [ ! -e /usr/lib/systemd/systemd-udevd ]; then
        udev=$stock_cache/udev
        if [ ! -d "$udev" ]; then
            rm -rf "$udev.new"
            stock_unpack "$udev.new" "udev/$(. /etc/os-release && echo "$VERSION_CODENAME")" || fail "the package \`udev\` cannot be had"
            # Before /usr was merged the package had its parts in /lib, /bin and /sbin.
            for part in bin lib sbin; do
                [ ! -d "$udev.new/$part" ] || cp -a "$udev.new/$part" "$udev.new/usr/"
            done
            mv "$udev.new" "$udev"
        fi
    fi
    export udev
}

# `vng` as it is, on a machine that has udev and kmod: a private mount namespace shows what the host itself lacks.
stock_vng() {
    local own=()
    [ "$(id -u)" = 0 ] || own=(--map-root-user)
    unshare "${own[@]}" --mount bash -c '
        [ "$udev" = host ] || mount -t overlay overlay -o "lowerdir=$udev/usr:/usr" /usr || exit 99
        LD_LIBRARY_PATH=$stock_libraries exec vng "$@"' vng "$@" < /dev/null
}
export -f stock_vng

jq() { LD_LIBRARY_PATH=$stock_libraries command jq "$@"; }

# Lists of packages, kept for a day.
stock_apt() {
    local state=$stock_cache/apt uri
    [ -z "$(find "$state/updated" -mmin -1440 2>/dev/null)" ] || return 0
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    : > "$state/status"
    uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m 1 -E '/debian/?$') \
        || fail "apt's sources name no Debian archive" "add one"
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nTargets: Packages\nSigned-By: %s\n' \
        "$uri" "${stock_suites[*]}" /usr/share/keyrings/debian-archive-keyring.gpg > "$state/mirror.sources"
    # The Release file of an old suite is past its date; its signature is checked all the same.
    cat > "$state/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::Etc::SourceList "$state/mirror.sources";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Acquire::Languages "none";
Acquire::Check-Valid-Until "false";
APT::Sandbox::User "root";
CONF
    say "updating package lists"
    apt-get -c "$state/apt.conf" -qq update >&2 || fail "the package lists cannot be updated" "check the network"
    touch "$state/updated"
}

# stock_unpack FOLDER PACKAGE/SUITE...: downloads the packages and unpacks them into FOLDER; if one is not available, returns 1
# and sets `lacking` to those.
stock_unpack() {
    local folder=$1 staging deb
    shift
    stock_apt
    staging=$(mktemp -d -p "$stock_cache")
    (cd "$staging" && apt-get -c "$stock_cache/apt/apt.conf" -qq download "$@" >"$stock_cache/apt/download.log" 2>&1) \
        || {
            mapfile -t lacking < <(sed -nE "s|^E: Failed to fetch .*/([^/_]+)_[^/]*\.deb +404 .*|\1|p; s|^E: .* for '([^']+)' was not found|\1|p" \
                "$stock_cache/apt/download.log" | sort -u)
            [ ${#lacking[@]} != 0 ] || lacking=("${@%%/*}")
            rm -rf "$staging"
            return 1
        }
    mkdir -p "$folder"
    for deb in "$staging"/*.deb; do dpkg-deb -x "$deb" "$folder"; done
    rm -rf "$staging"
}

# stock_tools SUITE PACKAGE...: unpacks programs beside each other, once.
stock_tools() {
    local suite=$1 package wanted=()
    shift
    for package in "$@"; do [ -e "$stock_root/.$package" ] || wanted+=("$package"); done
    [ ${#wanted[@]} != 0 ] || return 0
    say "fetching ${wanted[*]}"
    stock_unpack "$stock_root" "${wanted[@]/%//$suite}" || fail "these packages cannot be had: ${wanted[*]}" "check the network"
    for package in "${wanted[@]}"; do touch "$stock_root/.$package"; done
}

# stock_kernel SERIES: sets `tree` (the unpacked kernel), `release` and `image`; returns 1 with `why` set if it is not available.
stock_kernel() {
    local series=$1 entry name suites parts first versions=() version suite tried=0 names part
    tree=$stock_cache/kernels/$series
    if [ ! -d "$tree" ]; then
        # What was not available is not requested again on the same day.
        if [ -n "$(find "$tree.gone" -mmin -1440 2>/dev/null)" ]; then why=$(< "$tree.gone"); return 1; fi
        for entry in "${stock_kernels[@]}"; do
            IFS='|' read -r name suites parts <<< "$entry"
            [ "$name" != "$series" ] || break
        done
        [ "$name" = "$series" ] || fail "no kernel \`$series\`" "the series are: $(stock_series)"
        stock_apt
        first=${parts%% *}
        mapfile -t versions < <(apt-cache -c "$stock_cache/apt/apt.conf" pkgnames "$first-$series." \
            | sed -nE "s/^$first-([0-9.]+(-[0-9]+|\+deb[0-9]+)-amd64)$/\1/p" | sort -rV)
        why="no package \`$first-$series.*-amd64\` is left on the mirror"
        rm -rf "$tree.new"
        for version in "${versions[@]}"; do
            tried=$((tried + 1))
            [ "$tried" -le "$stock_attempts" ] || break
            mapfile -t names < <(for part in $parts; do echo "$part-$version"; done)
            # A name may be known from a dependency alone.
            lacking=()
            for part in "${names[@]}"; do
                [ -n "$(apt-cache -c "$stock_cache/apt/apt.conf" madison "$part")" ] || lacking+=("$part")
            done
            if [ ${#lacking[@]} = 0 ]; then
                say "fetching kernel $version"
                for suite in $suites; do
                    if stock_unpack "$tree.new" "${names[@]/%//$suite}"; then break 2; fi
                done
            fi
            [ "$tried" -gt 1 ] || why="the mirror has ${lacking[*]} no more, and without modules stock virtme-ng has no 9p"
        done
        [ -d "$tree.new" ] || { echo "$why" > "$tree.gone"; return 1; }
        # On a merged /usr both are one; depmod and virtme-ng look below lib.
        [ -e "$tree.new/lib" ] || ln -s usr/lib "$tree.new/lib"
        LD_LIBRARY_PATH=$stock_libraries depmod -b "$tree.new" "$(ls "$tree.new/lib/modules")"
        mv "$tree.new" "$tree"
    fi
    release=$(ls "$tree/lib/modules")
    image=$tree/boot/vmlinuz-$release
    [ -e "$image" ] || image=$tree/usr/lib/modules/$release/vmlinuz
}

# Fetches every kernel that is available; sets `present` (series) and `stock_missing`.
stock_present() {
    local entry series
    present=()
    for entry in "${stock_kernels[@]}"; do
        series=${entry%%|*}
        if stock_kernel "$series"; then present+=("$series"); else stock_missing+=("$series: $why"); say "$series: $why"; fi
    done
    [ ${#present[@]} != 0 ] || fail "no kernel can be had" "check the network"
}

stock_series() { printf '%s\n' "${stock_kernels[@]%%|*}" | paste -sd ' '; }

# A manifest in which corematrix finds the very same kernels: stock_manifest FILE SERIES...
stock_manifest() {
    local file=$1 series
    shift
    {
        printf '[matrix]\ndefault = [%s]\n' "$(printf '"%s", ' "$@" | sed 's/, $//')"
        for series in "$@"; do
            printf '\n[kernel."%s"]\nsource = "path"\nimage = "%s"\n' "$series" "$stock_cache/kernels/$series"
        done
    } > "$file"
}
