# Loaders for the libraries that users load objects with: static executables that corematrix runs in guests. The protocol is in
# images/loaders/README.md.

LOADERS = images/loaders
LOADERS_OUT = target/loaders
# Go and cilium/ebpf are unpacked from Debian's archive. To build with others, set GO, and GOCODE to a GOPATH that has the library.
GO_FOLDER = $(CURDIR)/$(LOADERS_OUT)/go
GO ?=
GOCODE ?= $(GO_FOLDER)/usr/share/gocode
# With a target named, `crt-static` is for the executable only, not for the macros that build it.
LOADERS_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
CILIUM_GO = go="$(GO)"; [ -n "$$go" ] || { go=$$(echo $(GO_FOLDER)/usr/lib/go-*/bin/go); export GOROOT=$${go%/bin/go}; }; \
	version=$$(cat $(GO_FOLDER)/version 2>/dev/null) || :; \
	cd $(LOADERS)/cilium-ebpf && GO111MODULE=off GOPATH="$(GOCODE)" CGO_ENABLED=0 GOTOOLCHAIN=local "$$go"
AYA_CARGO = cd $(LOADERS)/aya && RUSTFLAGS="-C target-feature=+crt-static" $(CARGO)
AYA_BUILD = --locked --release --target $(LOADERS_HOST) --target-dir $(CURDIR)/$(LOADERS_OUT)/build

.PHONY: go-packages loaders aya-loader cilium-ebpf-loader cilium-ebpf-tests lint-loaders test-loaders

loaders: aya-loader cilium-ebpf-loader

aya-loader:
	@$(AYA_CARGO) build $(AYA_BUILD)
	@install -D $(LOADERS_OUT)/build/$(LOADERS_HOST)/release/aya $(LOADERS_OUT)/aya

# Without Go modules, as Debian's packages are meant to be used.
go-packages:
	@[ -n "$(GO)" ] || $(LOADERS)/go.sh $(GO_FOLDER)

cilium-ebpf-loader: go-packages
	@$(CILIUM_GO) build -trimpath -ldflags "-s -w -X main.packaged=$$version" -o $(CURDIR)/$(LOADERS_OUT)/cilium-ebpf .

cilium-ebpf-tests: go-packages
	@$(CILIUM_GO) vet .
	@$(CILIUM_GO) test .

lint-loaders:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then cd $(LOADERS)/aya && $(CARGO) fmt --check; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then $(AYA_CARGO) clippy --quiet $(AYA_BUILD) --all-targets -- -D warnings; fi
	@if command -v gofmt >/dev/null; then ! gofmt -l $(LOADERS)/cilium-ebpf | grep .; fi

test-loaders: loaders cilium-ebpf-tests
	@$(AYA_CARGO) test --quiet $(AYA_BUILD)
