# What the scripts in this directory share; sourced from the root of the repository.

say() { printf 'dist: %s\n' "$*"; }
fail() { printf 'error: %s\nhint: %s\n' "$1" "$2" >&2; exit 2; }

version=$(sed -n '/^\[workspace.package\]/,/^\[package\]/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
machine=x86_64
out=target/dist
# Times in what is made are those of the commit, whenever it is made; a release made of an export says it itself.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || true)}"
[ -n "$SOURCE_DATE_EPOCH" ] || fail "there is no git repository here to take the time of the release from" "set SOURCE_DATE_EPOCH"
export SOURCE_DATE_EPOCH
export LC_ALL=C TZ=UTC
umask 022

# The crates that are linked into the executable, and no tool of the build: NAME@VERSION.
linked_crates() {
    "${CARGO:-cargo}" tree --locked --edges normal --target "$machine-unknown-linux-gnu" --prefix none --format '{p}' \
        --package corematrix --package corematrix-guest | awk 'NF {print $1 "@" substr($2, 2)}' | sort -u
}

# A tar archive of a directory, the same to the byte whenever and by whomever it is made.
archive() { # DIRECTORY MEMBER...
    tar -C "$1" --sort=name --format=gnu --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
        --mode=go=rX,u+rw,a-s -cf - "${@:2}"
}
