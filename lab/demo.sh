#!/usr/bin/env bash
# The first scale-out on the lab, asked and shown. `make demo` calls this once the lab is up.
set -euo pipefail
[ $# = 0 ] || { echo "${0##*/} takes no arguments, and did nothing." >&2; exit 2; } # Ansible runs an executable of an inventory folder
say() { printf '\n\e[1m$ %s\e[0m\n' "$*"; "$@"; }
say fleet scale --size 2
say fleet ask -n 4
say fleet status
printf '\nNext: fleet add-vm · fleet remove-vm · fleet destroy · make clean. The stats page: docs/operations.md.\n'
