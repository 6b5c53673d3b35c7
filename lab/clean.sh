#!/usr/bin/env bash
# Takes the lab down by its label, stops a dockerd that setup.sh started, removes build/. The cache stays.
set -euo pipefail
[ $# = 0 ] || { echo "${0##*/} takes no arguments, and did nothing." >&2; exit 2; } # Ansible runs an executable of an inventory folder
cd "$(dirname "$0")/.."
if [ -x .venv/bin/fleet ] && docker info >/dev/null 2>&1; then .venv/bin/fleet lab down; fi
lab/stop_docker.sh
rm -rf build
