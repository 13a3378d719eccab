# Loaders for the libraries that users load objects with: static executables that corematrix runs in guests. The protocol is in
# images/loaders/README.md.

LOADERS = images/loaders
LOADERS_OUT = target/loaders
# Go and cilium/ebpf, unpacked from Debian's archive. To build with others, set GO, GOCODE (a GOPATH) and CILIUM_EBPF_VERSION.
GO_FOLDER = $(CURDIR)/$(LOADERS_OUT)/go
GO ?=
GOCODE ?= $(GO_FOLDER)/usr/share/gocode
CILIUM_EBPF_VERSION ?= $(shell cat $(GO_FOLDER)/version 2>/dev/null)
# With a target named, `crt-static` is for the executable only, not for the macros that build it.
LOADERS_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
AYA_CARGO = cd $(LOADERS)/aya && RUSTFLAGS="-C target-feature=+crt-static" $(CARGO)
AYA_BUILD = --locked --release --target $(LOADERS_HOST) --target-dir $(CURDIR)/$(LOADERS_OUT)/build

.PHONY: loaders aya-loader cilium-ebpf-loader lint-loaders test-loaders

loaders: aya-loader cilium-ebpf-loader

aya-loader:
	@$(AYA_CARGO) build $(AYA_BUILD)
	@install -D $(LOADERS_OUT)/build/$(LOADERS_HOST)/release/aya $(LOADERS_OUT)/aya

# Without Go modules, as Debian's packages are meant to be used.
cilium-ebpf-loader:
	@[ -n "$(GO)" ] || $(LOADERS)/go.sh $(GO_FOLDER)
	@go="$(GO)"; [ -n "$$go" ] || { go=$$(echo $(GO_FOLDER)/usr/lib/go-*/bin/go); export GOROOT=$${go%/bin/go}; }; \
	version="$(CILIUM_EBPF_VERSION)"; [ -n "$$version" ] || version=$$(cat $(GO_FOLDER)/version 2>/dev/null) || :; \
	cd $(LOADERS)/cilium-ebpf && GO111MODULE=off GOPATH="$(GOCODE)" CGO_ENABLED=0 "$$go" build -trimpath \
		-ldflags "-s -w -X main.packaged=$$version" -o $(CURDIR)/$(LOADERS_OUT)/cilium-ebpf .

lint-loaders:
	@if $(CARGO) fmt --version >/dev/null 2>&1; then cd $(LOADERS)/aya && $(CARGO) fmt --check; fi
	@if $(CARGO) clippy --version >/dev/null 2>&1; then $(AYA_CARGO) clippy $(AYA_BUILD) --all-targets -- -D warnings; fi

test-loaders: loaders
	@$(AYA_CARGO) test $(AYA_BUILD)
