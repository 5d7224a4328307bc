# yolo-run. `make` alone lists what there is.
#
# VERSION  what binaries and images are called (dev)
# CA_FILE  a PEM file for image builds behind a proxy that opens TLS (the machine's own certificates)
# AGENTS   agents whose images are built too, comma-separated; tests need all of them unless it says otherwise
# ATTACKS  numbers of attacks in SECURITY.md that make attacks tries (all)
# YES=1    install and start what is missing without asking

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= dev
# The real agents are tested too, and come from npm: where it cannot be reached, AGENTS= leaves them out.
ifeq ($(origin AGENTS),undefined)
test attacks test-images test-tools: AGENTS := claude,claude-musl,codex,gemini
endif
test attacks test-images: export TESTING := 1
CA_FILE ?=
PREFIX ?= /usr/local
FUZZTIME ?= 10s
TESTFLAGS ?=
export VERSION AGENTS CA_FILE

# The same bytes from the same source, whoever builds it and wherever.
GOBUILD := CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# Starts an engine where none answers, then runs the rest of the line.
ENGINE := images/engine.sh
TOOLS := build/tools
SCRIPTS := $(wildcard .ci/run .ci/*.sh .ci/engines/*.sh .github/actions/*.sh images/*.sh images/*/*.sh examples/*/*.sh)

.PHONY: help
help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Before anything that takes minutes: it may have a question.
.PHONY: engine
engine:
	@$(ENGINE)

.PHONY: demo
demo: engine build images ## Run an agent script on the example project, and show what came out
	@$(ENGINE) examples/demo/run.sh

.PHONY: test
test: test-images test-tools $(TOOLS)/act ## Run every test, on a real engine
	@# One package at a time: the ends of runs are timed, and the engine is busy enough with one.
	$(ENGINE) go test -count=1 -p 1 -timeout 25m $(TESTFLAGS) ./...

.PHONY: attacks
attacks: test-images test-tools $(TOOLS)/act ## Try the attacks of SECURITY.md, and print the record that each left
	@$(ENGINE) .ci/attacks.sh $(ATTACKS)

.PHONY: test-images
test-images: images
	@[[ -n '$(AGENTS)' ]] || echo '==> AGENTS= was given: the tests of the real agents (claude, codex, gemini) are left out' >&2

# What builds namespaces, rules and an engine of the tests' own: an engine elsewhere (DOCKER_HOST) does not bring them along.
.PHONY: test-tools
test-tools:
	@source images/lib.sh && need ip=iproute2 iptables-nft=iptables iptables-legacy=iptables setpriv=util-linux dockerd=docker.io
	@# A browser, and what checks pages in it, which comes from npm like the agents.
	@source images/lib.sh && type -P chromium-headless-shell chromium chromium-browser google-chrome >/dev/null || need chromium-headless-shell
	@[[ -z '$(AGENTS)' ]] || .ci/axe.sh

.PHONY: check
check: $(TOOLS)/golangci-lint $(TOOLS)/actionlint ## Lint Go, shell and workflows, as CI does
	@source images/lib.sh && need shellcheck
	$(TOOLS)/golangci-lint run
	$(TOOLS)/actionlint .github/workflows/*.yml examples/github/*.yml
	shellcheck --external-sources $(SCRIPTS)
	GOOS=darwin go vet ./cmd/yolo-run
	go mod tidy -diff

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## Format the Go code
	$(TOOLS)/golangci-lint fmt

.PHONY: build
build: bin/yolo-run bin/entrypoint ## Build bin/yolo-run and bin/entrypoint

# Go knows best what is out of date.
.PHONY: bin/yolo-run bin/entrypoint
bin/yolo-run bin/entrypoint: | go-version
	$(GOBUILD) -o $@ ./cmd/$(@F)

# Older ones cannot fetch the Go that go.mod asks for, and say so in words that nobody understands.
.PHONY: go-version
go-version:
	@go env GOTOOLCHAIN 2>/dev/null | grep -q . || { echo 'error: Go 1.21 or newer must be in PATH; it fetches what else it needs' >&2; exit 1; }

.PHONY: images
images: engine bin/entrypoint ## Build the container images
	@$(ENGINE) images/build.sh

.PHONY: install
install: bin/yolo-run ## Install to /usr/local/bin, or to PREFIX/bin
	install -D -m 755 bin/yolo-run $(DESTDIR)$(PREFIX)/bin/yolo-run

.PHONY: bench
bench: images test-tools ## Run the benchmarks, on a real engine
	$(ENGINE) go test -run '^$$' -bench . -timeout 30m $(TESTFLAGS) ./...

.PHONY: fuzz
fuzz: ## Run every fuzz test for FUZZTIME (10s)
	@.ci/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built; images stay
	rm -rf bin build

# Tools have modules of their own: their dependencies never meet those of the product, nor each other's.
$(TOOLS)/%: .ci/tools/%/go.mod .ci/tools/%/go.sum | go-version
	@echo "==> building $* from source; the first time takes a minute or two" >&2
	go build -C .ci/tools/$* -o $(CURDIR)/$(TOOLS)/ tool
	@touch $@
