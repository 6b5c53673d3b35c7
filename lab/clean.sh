#!/usr/bin/env bash
# Takes the lab down by its label, stops a dockerd that setup.sh started, removes build/. The cache stays.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/fleet ] && docker info >/dev/null 2>&1; then .venv/bin/fleet lab down; fi
lab/stop_docker.sh
rm -rf build
