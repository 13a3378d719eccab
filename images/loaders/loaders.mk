# Loaders for the libraries that users load objects with: static executables that corematrix runs in guests. The protocol is in
# images/loaders/README.md.

GO ?= go
# Where Debian's packages put libraries of Go.
GOCODE ?= /usr/share/gocode
CILIUM_EBPF = $(GOCODE)/src/github.com/cilium/ebpf
LOADERS = images/loaders
LOADERS_OUT = target/loaders
# With a target named, `crt-static` is for the executable only, not for the macros that build it.
LOADERS_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
CILIUM_GO = cd $(LOADERS)/cilium-ebpf && GO111MODULE=off GOPATH=$(GOCODE) CGO_ENABLED=0 $(GO)
AYA_CARGO = cd $(LOADERS)/aya && RUSTFLAGS="-C target-feature=+crt-static" $(CARGO)
AYA_BUILD = --locked --release --target $(LOADERS_HOST) --target-dir $(CURDIR)/$(LOADERS_OUT)/build

.PHONY: loaders aya-loader cilium-ebpf-loader cilium-ebpf-tests lint-loaders test-loaders

loaders: aya-loader cilium-ebpf-loader

aya-loader:
	@$(AYA_CARGO) build $(AYA_BUILD)
	@install -D $(LOADERS_OUT)/build/$(LOADERS_HOST)/release/aya $(LOADERS_OUT)/aya

# Without Go modules, as Debian's packages are meant to be used; the version is that of the package.
ifneq ($(and $(shell command -v $(GO)),$(wildcard $(CILIUM_EBPF))),)
cilium-ebpf-loader:
	@version=$$(dpkg-query -W -f '$${source:Upstream-Version}' golang-github-cilium-ebpf-dev 2>/dev/null); \
	$(CILIUM_GO) build -trimpath -ldflags "-s -w -X main.packaged=$$version" -o $(CURDIR)/$(LOADERS_OUT)/cilium-ebpf .

cilium-ebpf-tests:
	@$(CILIUM_GO) vet .
	@$(CILIUM_GO) test .
else
cilium-ebpf-loader cilium-ebpf-tests:
	@echo "skipped: cilium/ebpf, because Go or the library is missing: apt-get install golang-go golang-github-cilium-ebpf-dev" >&2
endif

lint-loaders:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then cd $(LOADERS)/aya && $(CARGO) fmt --check; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then $(AYA_CARGO) clippy --quiet $(AYA_BUILD) --all-targets -- -D warnings; fi
	@if command -v gofmt >/dev/null; then ! gofmt -l $(LOADERS)/cilium-ebpf | grep .; fi

test-loaders: loaders cilium-ebpf-tests
	@$(AYA_CARGO) test --quiet $(AYA_BUILD)
