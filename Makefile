# `make run` and `make test` do all set-up themselves. The other targets are parts of these.

CARGO ?= cargo
COREMATRIX = target/release/corematrix
export CARGO_TERM_COLOR ?= auto

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build programs run test lint bench judge exec-judge build-judge clean

help:
	@echo "make run    set up, build, load the programs and real tools on every default kernel, report"
	@echo "make test   set up, then every test"
	@echo "make lint   rustfmt and clippy"
	@echo "make bench  boots, restores, whole matrices and growth against stock virtme-ng; PARTS=\"warm growth\" measures some"
	@echo "make judge  verdicts against Debian's libbpf and bpftool in guests of stock virtme-ng"
	@echo "make exec-judge  real loaders in every kernel against what their objects do"
	@echo "make build-judge  builds a kernel with vng --build, boots it and loads the programs on it"

setup:
	@./setup.sh

setup-tests:
	@./setup.sh --tests

include programs/programs.mk

build: setup
	$(CARGO) build --release --locked

# Exit code 1 means that a program failed on a kernel, which is a result: the real tools bring alternatives of which some must fail.
run: build programs
	$(COREMATRIX) run programs/programs.toml programs/libbpf-tools.toml || [ $$? -eq 1 ]

# With checks for numbers that run over, in an executable that is otherwise as it is shipped.
test: setup-tests programs
	$(CARGO) test --profile checked --locked --workspace

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

# Takes up to 20 minutes on 2 cores without KVM, and wants the machine for itself.
bench: build
	tests/bench/bench.sh $(PARTS)

judge: build
	tests/judge/judge.sh

exec-judge: build
	tests/judge/exec.sh

# A quarter of an hour on 2 cores.
build-judge: build programs
	tests/judge/build.sh $(TREE)

clean:
	$(CARGO) clean
