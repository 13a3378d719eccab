# `make run` and `make test` do all set-up themselves. The other targets are parts of these.

CARGO ?= cargo
COREMATRIX = target/release/corematrix
export CARGO_TERM_COLOR ?= auto

.DEFAULT_GOAL := help
.PHONY: bench-compare fuzz loader-judge relocation-judge predict-bench help setup setup-tests build programs run check test lint deny bench judge exec-judge build-judge ci-judge kvm-judge machine-judge isolation-judge clean book

help:
	@echo "make run    set up, build, load the programs and real tools on every default kernel, report"
	@echo "make check  what needs no guest: rustfmt, clippy, unit tests, documentation"
	@echo "make test   set up, make lint, then every test; none may be skipped"
	@echo "make loaders  the loaders of cilium/ebpf and aya, into target/loaders"
	@echo "make dist   what is released, into target/dist; make dist-check makes it twice and compares every byte"
	@echo "make dist-judge  installs it in bare chroots of Debian 12 and 13, up to the first verdict"
	@echo "make book   the documentation as a website, into target/book; needs mdbook"
	@echo "make lint   rustfmt, clippy, documentation"
	@echo "make deny   licences, advisories and sources of the dependencies, by cargo-deny"
	@echo "make bench  boots, restores, whole matrices and growth against stock virtme-ng; PARTS=\"warm growth\" measures some"
	@echo "make judge  verdicts against Debian's libbpf and bpftool in guests of stock virtme-ng"
	@echo "make loader-judge  what is known of libraries against their real loaders"
	@echo "make relocation-judge  relocations without a kernel against libbpf, on the selftests of the kernel"
	@echo "make bench-compare  this tree against its merge base with main, or COMMIT=..., in turn; fails where it is slower beyond chance"
	@echo "make predict-bench  predictions for 1,000 kernels against a loop of bpftool"
	@echo "make fuzz   readers of objects, types and archives on damaged input; ROUNDS=1000000 for a long time"
	@echo "make exec-judge  real loaders in every kernel against what their objects do"
	@echo "make ci-judge  the workflows of ci/ and action.yml, run with the release that make dist made"
	@echo "make machine-judge  modules, privileges and settings against modprobe, capsh, sysctl and bpftool by hand"
	@echo "make isolation-judge  programs/ and 40 shipped objects in shared guests against guests of their own, in both orders, on every default kernel"
	@echo "make kvm-judge  a run under a real KVM, in an emulated machine, against emulation; older QEMUs and moved stores"
	@echo "make build-judge  builds a kernel with vng --build, boots it and loads the programs on it"

setup:
	@./setup.sh

setup-tests:
	@./setup.sh --tests

include programs/programs.mk
include images/loaders/loaders.mk
include images/dist/dist.mk

build: setup
	$(CARGO) build --release --locked

# Nothing is run again that an earlier run observed and that has not changed; the report says of what, and when. `make run REUSE=` runs all.
REUSE ?= --reuse

# Exit code 1 means that a program failed on a kernel, which is a result: the real tools bring alternatives of which some must fail.
run: build programs
	$(COREMATRIX) run $(REUSE) programs/programs.toml programs/libbpf-tools.toml || [ $$? -eq 1 ]

# The loop of whoever changes something. No guest, no browser, no server.
check: lint
	@echo "check: unit tests"
	$(CARGO) test --quiet --locked --workspace --lib --bins -- --skip report::html::browser

# With checks for numbers that run over, in an executable that is otherwise as it is shipped. A test that lacks a tool fails. One failure does not
# hide the next: CI is slow enough that each run must show all of them.
test: setup-tests lint lint-loaders programs test-loaders
	@echo "test: building and running every test"
	COREMATRIX_NO_SKIP=1 $(CARGO) test --profile checked --locked --workspace --no-fail-fast

# Debian has both in packages of their own, so a toolchain may lack them. Where they are, they decide.
lint:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then \
		echo "lint: rustfmt"; $(CARGO) fmt --all --check; \
	else echo "lint: SKIPPED, this toolchain has no rustfmt" >&2; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then \
		echo "lint: clippy"; $(CARGO) clippy --workspace --all-targets --locked -- -D warnings; \
	else echo "lint: SKIPPED, this toolchain has no clippy" >&2; fi
	@echo "lint: documentation"
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --quiet --locked --workspace --no-deps

deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || { echo "error: cargo-deny is not installed" >&2; \
		echo "hint: cargo install cargo-deny --locked" >&2; exit 2; }
	$(CARGO) deny --locked check
	$(CARGO) deny --locked --manifest-path images/loaders/aya/Cargo.toml check --config $(CURDIR)/deny.toml

# Takes up to 20 minutes on 2 cores without KVM, and wants the machine for itself.
bench: build
	tests/bench/bench.sh $(PARTS)

judge: build
	tests/judge/judge.sh

ROUNDS ?= 100000

# The targets are unit tests, which `make test` runs with fewer rounds.
fuzz:
	COREMATRIX_FUZZ_ROUNDS=$(ROUNDS) $(CARGO) test --profile checked --locked --lib -- fuzz_

loader-judge: build programs loaders
	tests/judge/loaders.sh

relocation-judge: build programs
	tests/judge/relocations.sh

# A commit and this tree in turn; ends with 1 where this tree is slower beyond chance. It builds both and wants the machine for itself.
bench-compare: setup
	tests/bench/compare.sh $(COMMIT)

predict-bench: build
	tests/bench/predict.sh

exec-judge: build
	tests/judge/exec.sh

machine-judge: build programs
	tests/judge/machine.sh

# Seven minutes on 2 cores, and the build.
isolation-judge: setup programs
	COREMATRIX_NO_SKIP=1 COREMATRIX_ISOLATION_KERNELS=default $(CARGO) test --profile checked --locked --test isolation -- --nocapture both_orders

# As root, with mmdebstrap. Five minutes on 2 cores, and two more the first time.
kvm-judge: build programs
	tests/judge/kvm.sh $(PARTS)

# A quarter of an hour on 2 cores.
build-judge: build programs
	tests/judge/build.sh $(TREE)

# npm brings the engine that runs GitLab's file; it needs Node 18 or later.
ci-judge: dist programs
	tests/judge/ci.sh

# Pages link to files of the repository as well; on a website those links have to lead to the repository.
BOOK_REPOSITORY ?= https://github.com/OWNER/corematrix/blob/main
book:
	@command -v mdbook >/dev/null || { echo "error: mdbook is not installed" >&2; echo "hint: cargo install mdbook --locked" >&2; exit 2; }
	@rm -rf target/book-source && cp -r docs target/book-source && cp -r reports/example target/book-source/pictures
	@find target/book-source -name '*.md' -exec sed -i -E \
		-e 's#\]\(\.\./\.\./reports/example/#](../pictures/#g' -e 's#\]\(\.\./\.\./#]($(BOOK_REPOSITORY)/#g' {} +
	mdbook build target/book-source --dest-dir $(CURDIR)/target/book

clean:
	$(CARGO) clean
