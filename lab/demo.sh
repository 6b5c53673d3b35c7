#!/usr/bin/env bash
# The first scale-out on the lab, asked and shown. `make demo` calls this once the lab is up.
set -euo pipefail
[ $# = 0 ] || { echo "${0##*/} takes no arguments, and did nothing." >&2; exit 2; } # Ansible runs an executable of an inventory folder
[ -t 1 ] && bold=$'\e[1m' plain=$'\e[0m' || bold="" plain=""
say() { printf '\n%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }
there=$(fleet status --json | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["fleets"][0]["servers"]))')
say fleet scale --size $((there > 2 ? there : 2))
say fleet ask -n 4
say fleet status
printf '\nNext: . .venv/bin/activate, then fleet add-vm · fleet remove-vm · fleet destroy · make clean. The stats page: docs/operations.md.\n'
