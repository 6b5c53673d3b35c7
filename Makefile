# The commands of the house. `make demo` shows the product, `make test` checks everything.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/local/sbin:/usr/sbin:/sbin
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export GOTOOLCHAIN := local

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install what is missing: apt packages, Docker, Go, the virtual environment
	@lab/setup.sh

.PHONY: demo
demo: setup ## lab, two Triton servers behind HAProxy, a question, status
	@fleet lab up
	@FLEET_SITE=lab FLEET_NAME=demo lab/demo.sh

.PHONY: test
test: ## everything that can be checked, set-up included
	@tests/stages.sh

.PHONY: lint
lint: setup ## ruff, mypy, ansible-lint, yamllint, shellcheck, gofmt, go vet
	@tests/lint.sh

.PHONY: test-unit
test-unit: setup ## the pure core
	@$(BIN)/pytest tests/unit tests/contract -q -n 2

.PHONY: test-integration
test-integration: setup ## real protocols on loopback, vCenter without containers
	@$(BIN)/pytest tests/integration -q -n 3 --dist worksteal --durations=15

.PHONY: molecule
molecule: setup ## every scenario on one lab
	@tests/molecule.sh

molecule-%: setup ## one scenario
	@tests/molecule.sh $*

.PHONY: test-long
test-long: setup ## what takes too long for make test: runs killed before every write in vCenter, too
	@FLEET_TEST_KILL=all $(BIN)/pytest tests/integration/fleet/test_killed_anywhere.py tests/integration/gpu/test_killed_resize.py -q

.PHONY: test-kill-all
test-kill-all: lab-up ## a run killed at every write in vCenter, on container VMs (long, not in CI; ARGS='--stage less')
	@$(BIN)/python molecule/killed_anywhere/drive.py --all $(ARGS)
	@FLEET_SITE=molecule/inventory FLEET_NAME=killed-anywhere fleet destroy --yes

.PHONY: bench-inventory bench-clone bench-configure bench-balancer
bench-inventory: setup ## read all VMs: in bulk, against VM after VM (docs/figures.md)
	@$(BIN)/python bench/inventory.py $(ARGS)
bench-clone: setup ## clone to address: a batch, against VM after VM
	@$(BIN)/python bench/clone.py $(ARGS)
bench-configure: lab-up ## add-vm for one server and for eight, with the share of each step
	@$(BIN)/python bench/configure.py $(ARGS)
bench-balancer: lab-up ## requests per second and latency: through HAProxy, against directly
	@$(BIN)/python bench/balancer.py $(ARGS)

.PHONY: lab-up lab-down
lab-up: setup ## the lab alone
	@fleet lab up
lab-down: ## take the lab down
	@fleet lab down

.PHONY: clean
clean: ## remove what the lab and the tests made; the cache below ~/.cache/triton-fleet stays
	@lab/clean.sh
