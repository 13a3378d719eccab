#!/usr/bin/env bash
# Runs what `ci/` and `action.yml` say, with the release in target/dist: checks them by their engines' published schemas, runs the steps of the
# action one after the other, and runs GitLab's pipeline by gitlab-ci-local, in repositories that `corematrix init` has prepared. Each exit code has
# to lead where it should. Kernels are fetched, as on a runner.
#
#   tests/judge/ci.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
. images/dist/common.sh
say() { printf 'ci: %s\n' "$*"; }

tools=$PWD/target/ci-judge
release=$PWD/$out
[ -e "$release/SHA256SUMS" ] || fail "there is nothing in $out" "make dist"
[ -e target/programs/ctime-width.bpf.o ] || fail "there are no objects" "make programs"
for tool in npm git rsync; do command -v "$tool" >/dev/null || fail "\`$tool\` is missing" "apt-get install $tool"; done

# Pinned: what they accept changes from release to release.
if ! [ -x "$tools/bin/check-jsonschema" ]; then
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check check-jsonschema==0.39.0
fi
[ -x "$tools/node_modules/.bin/gitlab-ci-local" ] || npm install --prefix "$tools" --no-audit --no-fund --silent gitlab-ci-local@4.62.0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
# is WANTED FOUND WHAT
is() {
    if [ "$1" = "$2" ]; then say "ok: $3"; else say "FAILED: $3: $2 instead of $1"; failed=1; fi
}

say "schemas of the engines"
"$tools/bin/check-jsonschema" --quiet --builtin-schema vendor.github-workflows ci/github-actions.yml
"$tools/bin/check-jsonschema" --quiet --builtin-schema vendor.github-actions action.yml
"$tools/bin/check-jsonschema" --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci ci/gitlab-ci.yml

sh images/dist/install.sh --from "$release" --prefix "$work/installed" > /dev/null
export PATH="$work/installed/bin:$PATH"
export COREMATRIX_STORE="$work/store"

# A repository with objects in `bpf/`, the files that `init` writes for an engine, and a matrix of two kernels.
repository() { # NAME ENGINE OBJECT...
    local root=$work/$1 engine=$2
    shift 2
    mkdir -p "$root/bpf"
    cp "$@" "$root/bpf"
    git -C "$root" init --quiet --initial-branch main
    (cd "$root" && corematrix init bpf --ci "$engine" -o bpf/suite.toml) > "$root.init" || { cat "$root.init" >&2; exit 1; }
    python3 - "$root/kernels.toml" <<'PYTHON'
import re, sys
text = open(sys.argv[1]).read()
text, count = re.subn(r'(?s)(\[matrix\]\ndefault = )\[.*?\]', r'\1["6.1", "6.12"]', text)
assert count == 1, "kernels.toml has no matrix"
open(sys.argv[1], "w").write(text)
PYTHON
    git -C "$root" add --all
    git -C "$root" -c user.name=judge -c user.email=judge@localhost commit --quiet -m "A repository"
    git -C "$root" remote add origin git@gitlab.invalid:group/project.git
}

good=target/programs/ctime-width.bpf.o
bad=target/causes/without-btf.bpf.o

say "the action, step by step"
repository action github "$good"
action() { # CODE WHAT NAME=VALUE...
    local wanted=$1 what=$2 code=0
    shift 2
    (cd "$work/action" && "$tools/bin/python" "$OLDPWD/tests/judge/action.py" "$OLDPWD" "releases=$release" "out=$work/report" "$@") > "$work/action.log" 2>&1 || code=$?
    is "$wanted" "$code" "$what"
    [ "$code" = "$wanted" ] || tail -40 "$work/action.log" >&2
    rm -rf "$work/report.last" && mv "$work/report" "$work/report.last" 2>/dev/null || true
}
cp "$bad" "$work/bad.bpf.o"
action 0 "without inputs it only installs"
action 0 "objects that load" inputs=bpf
[ -s "$work/report.last/report.json" ] || { say "FAILED: there is no report"; failed=1; }
action 1 "an object that fails is red" "inputs=$work/bad.bpf.o"
action 0 "in a part it is the gate's to weigh" "inputs=$work/bad.bpf.o" partition=1/1
action 2 "bad configuration" inputs=bpf kernels=no-such-kernel
cat > "$work/unreachable.toml" <<'TOML'
[matrix]
default = ["gone"]

[kernel.gone]
source = "path"
image = "/nowhere/vmlinuz"
TOML
action 3 "a kernel that cannot be had is infrastructure trouble" inputs=bpf "manifest=$work/unreachable.toml"
action 3 "in a part, too" inputs=bpf "manifest=$work/unreachable.toml" partition=1/1

say "GitLab's pipeline"
# How the gate ended is read from what is printed: gitlab-ci-local exits with 0 where a job may fail with some codes, whichever it failed with.
pipeline() { # END WHAT ROOT
    local line end
    (cd "$3" && "$tools/node_modules/.bin/gitlab-ci-local" --force-shell-executor --shell-isolation --no-color --variable "COREMATRIX_RELEASE=file://$release") \
        > "$3.log" 2>&1 || true
    line=$(grep -E '^gate +finished in ' "$3.log" | sed 's/ *$//' || true)
    case "$line" in
        "") end="never ran" ;;
        *FAIL* | *WARN*) end=$(grep -oE '(FAIL|WARN) [0-9]+$' <<< "$line") ;;
        *) end=PASS ;;
    esac
    is "$1" "$end" "$2"
    [ "$end" = "$1" ] || tail -60 "$3.log" >&2
}
repository green gitlab "$good" target/programs/iter-type.bpf.o
pipeline PASS "objects that load" "$work/green"
parts=$(find "$work/green" -maxdepth 2 -path '*/part-*/report.json' | wc -l)
is 4 "$parts" "each part left a report"
cells=$(python3 -c 'import json, sys; record = json.load(open(sys.argv[1])); print(len(record["kernels"]), len(record["objects"]), len(record["cells"]))' "$work/green/report/report.json")
is "2 2 4" "$cells" "kernels, objects and cells of the merged report"
"$tools/bin/python" - "$work/green/report/junit.xml" <<'PYTHON' || failed=1
import sys, xml.etree.ElementTree as tree
tests = tree.parse(sys.argv[1]).getroot().iter("testcase")
assert any(True for _ in tests), "junit.xml has no test"
PYTHON
pipeline PASS "the same again, from the cache" "$work/green"
repository red gitlab "$good" "$bad"
pipeline "FAIL 1" "an object that fails is red at the gate" "$work/red"
repository unreachable gitlab "$good"
cp "$work/unreachable.toml" "$work/unreachable/kernels.toml"
git -C "$work/unreachable" -c user.name=judge -c user.email=judge@localhost commit --quiet --all -m "No kernel"
pipeline "WARN 3" "what cannot be judged warns" "$work/unreachable"

[ "$failed" = 0 ] && say "all as it should be"
exit "$failed"
