# Confidential Tunnels. `make` alone says what there is.

# Another interpreter gets an environment of its own: make test PYTHON=python3.13
PYTHON ?= python3
STACK  ?= local
# The image: release, or test (differs by what tests need, and says so).
VARIANT ?= release
# Test processes; JOBS=0 runs them in one, in order.
JOBS   ?= 2
VENV   := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo missing))
BIN    := $(VENV)/bin
# Content decides, not dates: after a checkout nothing is installed twice.
STAMP   = $(VENV)/.setup-$(shell cat pyproject.toml requirements/uv.txt requirements/dev.txt requirements/install | sha256sum | cut -c 1-16)
TESTS  ?= tests --ignore tests/visitors --ignore tests/vm --ignore tests/realcli
CHECKED := runtime infra images pipelines tests bench

.DEFAULT_GOAL := help
.PHONY: image image-lock image-repro image-test release help setup demo test check preview change soak bench visitors autobahn pulumi-cli up-local realcli fmt lock broken fuzz coverage mutants

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 12
	@echo
	@echo '  PYTHON=python3.13  another interpreter, in an environment of its own'
	@echo '  INDEX=URL          a package index other than the one pip or uv is configured for'
	@echo '  TESTS=PATH JOBS=N  what `make test` runs, in how many processes        KEEP=1  `make demo` stays up'
	@echo '  STACK=NAME         what `make preview` shows'
	@echo

setup: $(STAMP) ## .venv with everything, locked by hash; nothing outside this folder

$(STAMP):
	@rm -f $(VENV)/.setup-*
	@requirements/install '$(PYTHON)' '$(VENV)'
	@touch $@

demo: setup ## the whole fleet on this machine, with simulated TEEs (KEEP=1 leaves it up)
	@$(BIN)/python -m tests.localfleet demo $(if $(KEEP),--keep)

# One hash seed: with JOBS=2 both processes have to collect the same names, and some hold sets.
test: setup ## every test that needs no account and no hardware
	@PYTHONHASHSEED=0 $(BIN)/pytest -q -n $(JOBS) $(TESTS)

check: setup ## format, lint, types, import contracts, the house's rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CHECKED)
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_architecture.py

broken: setup ## break each defence once, in a copy, to see that its test notices (four minutes)
	@$(BIN)/python -m tests.broken

mutants: setup ## one small change at a time of what decides has to be noticed (an hour; MODULE=path MINUTES=)
	@$(BIN)/python -m tests.mutants $(addprefix --module ,$(MODULE)) $(addprefix --minutes ,$(MINUTES)) $(ARGS)

coverage: setup ## lines and branches of each pure module by its own test alone (MODULE=part of a name)
	@$(BIN)/python -m tests.coverage_alone $(addprefix --module ,$(MODULE)) $(ARGS)

fuzz: setup ## a million executions or five minutes of every parser (TARGET= SECONDS= RUNS=)
	@$(BIN)/python -m tests.fuzz $(addprefix --target ,$(TARGET)) $(addprefix --seconds ,$(SECONDS)) $(addprefix --runs ,$(RUNS)) $(ARGS)

visitors: setup ## browsers and programs through the tunnel (as root, after tests/visitors/install)
	@$(BIN)/pytest -q $(if $(filter command%,$(origin TESTS)),$(TESTS),tests/visitors)

autobahn: setup ## RFC 6455's 247 cases, direct and through the tunnel (needs a Python 2.7; four minutes)
	@$(BIN)/python -m tests.visitors.autobahn $(ARGS)

change: setup ## a scale-out and a rollout of a running fleet under visitors (three minutes)
	@$(BIN)/python -m tests.localfleet change

soak: setup ## 20 rolling restarts of servers and 20 of clients under load (six minutes; ARGS=--rounds=2)
	@$(BIN)/python -m tests.localfleet soak $(ARGS)

bench: setup ## figures beside nginx, ssh -R and frp where they are installed (thirteen minutes)
	@$(BIN)/python -m bench $(ARGS)

preview: setup ## what `pulumi up` would make, without credentials (STACK=local)
	@$(BIN)/tunnel-fleet preview --stack $(STACK)

image: setup ## bake the VM image into build/image (VARIANT=test for tests)
	@$(BIN)/python -m images bake --variant $(VARIANT) --out $(or $(OUT),build/image)

image-lock: setup ## write images/packages.lock again, from the machine's mirrors
	@$(BIN)/python -m images lock

# Two trees with two caches; only the downloaded packages and wheels are shared.
image-repro: setup ## bake twice from separate trees and compare every byte
	@rm -rf build/repro && mkdir -p build/repro/cache1 build/repro/cache2 .cache/images/debs .cache/images/wheels
	@for n in 1 2; do git worktree prune; git archive HEAD --prefix tree$$n/ | tar x -C build/repro || exit 1; \
	  ln -s ../../../.cache/images/debs build/repro/cache$$n/debs; ln -s ../../../.cache/images/wheels build/repro/cache$$n/wheels; \
	  $(BIN)/python -m images bake --variant $(VARIANT) --source build/repro/tree$$n --cache build/repro/cache$$n --out build/repro/out$$n || exit 1; done
	@$(BIN)/python -m images compare build/repro/out1 build/repro/out2

image-test: setup ## bake the test image and boot it: attested sessions, attacks (after images/install)
	@$(BIN)/pytest -q --timeout 900 $(LAST) tests/vm

release: image ## image, checksums, locked packages and the manifest signed with KEY=FILE
	@$(BIN)/python -m images release --out $(or $(OUT),build/image) $(if $(KEY),--key $(KEY))

pulumi-cli: ## the real Pulumi CLI: PATH's, else built from locked sources into .cache (ten minutes, with go)
	@requirements/pulumi-cli/build .cache/pulumi-cli

up-local: setup ## the stack `local` under the real engine, with stand-ins for the clouds (in .local/engine)
	@$(BIN)/tunnel-fleet local up --pulumi "$$(requirements/pulumi-cli/build .cache/pulumi-cli)"

realcli: setup ## the real engine's tests: growth, rollout, drift, faults (ten minutes)
	@PULUMI_BINARY="$$(requirements/pulumi-cli/build .cache/pulumi-cli)" $(BIN)/pytest -q $(LAST) tests/realcli

fmt: setup ## format and sort
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format .

lock: setup ## write requirements/*.txt again, a week behind the newest
	@requirements/lock '$(BIN)/python -m uv'
