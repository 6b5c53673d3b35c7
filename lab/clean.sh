#!/usr/bin/env bash
# Takes the lab down by its label, stops a dockerd that setup.sh started, removes build/. The cache stays.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/fleet ] && docker info >/dev/null 2>&1; then .venv/bin/fleet lab down; fi
if [ -f build/dockerd.pid ]; then
    pid=$(cat build/dockerd.pid)
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]; then
        kill "$pid"
        for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
    fi
fi
rm -rf build
