# Heimdraht: everything a developer, a tester or a packager starts. `make` alone lists it.
#
# The tools (linter, protocol compiler, vulnerability check) are Go modules with versions and checksums in
# tools/; they are built here, once, into .bin/ with the Go version in the path: a linter built by an older Go
# refuses newer code. The first `make lint` therefore takes some minutes.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS   += --no-builtin-rules

GO  ?= go
BIN := $(CURDIR)/.bin/$(shell $(GO) env GOVERSION)

# Names the archives of `make package`; the programs carry it through Go's build information.
VERSION = $(shell git describe --tags --always --dirty)

# Part of every test run because most of what we test is concurrent. `make test RACE=` is quicker. SQLite's own code and
# its allocator, translated from C, are left alone: they guard themselves, and watched they take more time than all of ours.
# What uses generic types of the standard library must be watched: the linker keeps one copy of each, whoever compiled it.
RACE ?= -race -gcflags=modernc.org/sqlite/lib=-race=false -gcflags=modernc.org/memory=-race=false \
	-gcflags=modernc.org/libc=-d=checkptr=0 -gcflags=modernc.org/sqlite=-d=checkptr=0
# Packages whose tests start programs and watch them from outside.
WITHOUT_RACE := /cmd/(internal/(crash|e2e|packaged)|heimdraht(d|-agent|-bench|-gateway)?)$$
# What `make test` and `make bench` look at, and how long one package may take.
PKG          ?= ./...
TEST_TIMEOUT ?= 12m
BENCH        ?= .
COUNT        ?= 1
# The load that `make bench` generates: the whole fleet is enrolled and has sessions, some of it holds connections; on
# PostgreSQL, which shares the machine, it is a smaller fleet. All benchmarks together end within 15 minutes on two cores.
LOAD         ?= --laptops 2000 --window 20s
bench: LOAD_POSTGRES ?= --devices 5000

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Programs

.PHONY: build demo package msi clean
build: ## the programs, static, into bin/
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -o bin/ ./cmd/...

demo: ## the whole thing on this machine, without root: enrol, connect, revoke (Ctrl-C ends it)
	$(GO) run ./cmd/heimdraht-demo

package: $(BIN)/nfpm ## static programs for Linux on amd64 and arm64, as packages (deb, rpm) and archives with checksums, and the agent for Windows (msi), into dist/
	NFPM=$(BIN)/nfpm VERSION='$(VERSION)' build/package.sh

msi: ## the laptop's agent for Windows on amd64 and arm64, as installers, into dist/
	VERSION='$(VERSION)' build/msi.sh

clean: ## remove bin/ and dist/ (the tools in .bin/ stay: they take minutes)
	rm -rf bin dist

## Tests

.PHONY: test test-kernel race crash bench load test-packages
test: test-packages ## install what tests need, run everything; last comes what was skipped, and why
	GO='$(GO)' RACE='$(RACE)' WITHOUT_RACE='$(WITHOUT_RACE)' build/test.sh -timeout $(TEST_TIMEOUT) $(PKG)

test-kernel: test-packages ## only what runs on the kernel's WireGuard: here, or in a virtual machine (no root, no /dev/kvm)
	GO='$(GO)' RACE='$(RACE)' build/test.sh -v -count=1 -run Kernel ./agent/wireguard ./agent/gateway ./agent/endpoint ./internal/kerneltest

race: ## everything with the race detector, three times over, uncached: hunts what happens seldom
	GO='$(GO)' RACE='$(RACE)' build/test.sh -count=3 -timeout 30m $(PKG)

# How often `make crash` kills, on each database.
KILLS ?= 2000

crash: test-packages ## kill control plane and gateways under load, twenty times as often as `make test` does
	HEIMDRAHT_CRASH_KILLS=$(KILLS) GO='$(GO)' build/test.sh -count=1 -timeout 3h -v -run TestKilledUnderLoad ./cmd/internal/crash

bench: ## benchmark lines for benchstat: make -s bench COUNT=10 >new.txt; make -s benchstat FILES='old.txt new.txt'
	@GO='$(GO)' build/bench.sh -bench '$(BENCH)' -count $(COUNT) $(PKG)
	@GO='$(GO)' LOAD_POSTGRES='$(LOAD_POSTGRES)' build/load.sh --bench '$(BENCH)' $(LOAD)

load: ## only the load generator's lines; with LOAD= as many laptops as may be, which takes an hour
	@GO='$(GO)' build/load.sh --bench '$(BENCH)' $(LOAD)

.PHONY: benchstat
benchstat: $(BIN)/benchstat
	@$(BIN)/benchstat $(FILES)

test-packages:
	build/test-packages.sh
	build/test-kernel.sh
	build/test-tree.sh

## Checks

.PHONY: lint fmt-check vet vet-laptops golangci proto-lint mod-check vuln
lint: fmt-check mod-check generate-check proto-lint vet vet-laptops golangci vuln ## every check that needs no running program

fmt-check:
	@bad=$$(git ls-files -co --exclude-standard '*.go' | grep -v '\.pb\.go$$' | xargs -r ls -d 2>/dev/null | xargs -r gofmt -l); \
	if [ -n "$$bad" ]; then printf 'not formatted, run gofmt -w on:\n%s\n' "$$bad" >&2; exit 1; fi

mod-check:
	@$(GO) mod tidy -diff || { echo 'go.mod or go.sum is not tidy: run go mod tidy' >&2; exit 1; }
	@$(GO) mod verify >/dev/null

vet:
	$(GO) vet ./...

# Laptops run other systems than our servers. What is built for them must at least compile there, tests too.
vet-laptops:
	build/vet-laptops.sh

golangci: $(BIN)/golangci-lint
	$(BIN)/golangci-lint run

proto-lint: $(BIN)/buf
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/baseline.binpb

# Needs the vulnerability database on the network; where that cannot be reached it says so and fails nothing.
vuln: $(BIN)/govulncheck ## known vulnerabilities in what we call, where the database can be reached
	build/vuln.sh $(BIN)/govulncheck

## Generated files

PROTO_TOOLS := $(BIN)/buf $(BIN)/protoc-gen-go $(BIN)/protoc-gen-go-grpc

.PHONY: generate generate-check proto-baseline
generate: $(PROTO_TOOLS) ## Go from proto/, beside each .proto file, docs/refusals.md, the tables of docs/data-protection.md, pages for man and completions for bash
	PATH=$(BIN):$$PATH $(BIN)/buf generate
	$(GO) run ./build/refusals >docs/refusals.md
	$(GO) run ./build/dataprotection
	$(GO) test -vet=off -count=1 -run TestManual ./cmd/heimdraht ./cmd/heimdraht-agent ./cmd/heimdraht-gateway ./cmd/heimdrahtd -update >/dev/null
	@find proto -name '*.pb.go' | while read -r f; do \
		src="$${f%.pb.go}"; [ -e "$${src%_grpc}.proto" ] || rm -v "$$f"; done

generate-check: $(PROTO_TOOLS) ## fail if `make generate` would change anything
	@GO='$(GO)' PATH=$(BIN):$$PATH build/generate-check.sh

# Run it when a release goes out, never to silence `buf breaking`: agents in the field speak the old protocol.
proto-baseline: $(BIN)/buf ## take today's protocol as the one that later changes must not break
	$(BIN)/buf build --exclude-source-info -o proto/baseline.binpb

## Tools

$(BIN)/golangci-lint: tools/golangci-lint.mod
	@echo 'building golangci-lint (some minutes, once)'
	@mkdir -p $(BIN)
	@GOFLAGS=-buildvcs=false $(GO) build -modfile=tools/golangci-lint.mod -o $@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint

$(BIN)/nfpm: tools/nfpm.mod
	@echo 'building nfpm (once)'
	@mkdir -p $(BIN)
	@GOFLAGS=-buildvcs=false $(GO) build -modfile=tools/nfpm.mod -o $@ github.com/goreleaser/nfpm/v2/cmd/nfpm

TOOL = @echo 'building $(@F) (once)'; mkdir -p $(BIN); GOFLAGS=-buildvcs=false $(GO) build -modfile=tools/go.mod -o $@

$(BIN)/buf: tools/go.mod
	$(TOOL) github.com/bufbuild/buf/cmd/buf
$(BIN)/protoc-gen-go-grpc: tools/go.mod
	$(TOOL) google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(BIN)/govulncheck: tools/go.mod
	$(TOOL) golang.org/x/vuln/cmd/govulncheck
$(BIN)/benchstat: tools/go.mod
	$(TOOL) golang.org/x/perf/cmd/benchstat

# From the main go.mod: generated code must not be newer than the runtime it is compiled with.
$(BIN)/protoc-gen-go: go.mod
	@mkdir -p $(BIN)
	@GOFLAGS=-buildvcs=false $(GO) build -o $@ google.golang.org/protobuf/cmd/protoc-gen-go
