#!/usr/bin/env bash
# Every linter, each in its strictest form that the project keeps.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg" GOTOOLCHAIN=local GOFLAGS=-mod=readonly
ruff check .
ruff format --check .
mypy
lint-imports --no-cache
yamllint --strict .
shellcheck lab/*.sh tests/*.sh .ci/run
ANSIBLE_INVENTORY="$PWD/tests/no_hosts.yml" ansible-lint --offline -q
unformatted=$(cd lab/vcenter && "$(go env GOROOT)/bin/gofmt" -l .)
[ -z "$unformatted" ] || { echo "gofmt: $unformatted" >&2; exit 1; }
(cd lab/vcenter && go vet ./...)
