#!/usr/bin/env bash
# Stops the dockerd that setup.sh started, if it did and if nobody else's containers run in it (another clone's lab).
set -euo pipefail
[ $# = 0 ] || { echo "${0##*/} takes no arguments, and did nothing." >&2; exit 2; } # Ansible runs an executable of an inventory folder
cd "$(dirname "$0")/.."
[ -f build/dockerd.pid ] || exit 0
pid=$(cat build/dockerd.pid)
[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || exit 0
if [ -n "$(docker ps --quiet 2>/dev/null)" ]; then
    echo "dockerd goes on (process $pid): containers that are not this checkout's run in it."
    exit 0
fi
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" kill "$pid"
for _ in $(seq 100); do [ -d "/proc/$pid" ] || break; sleep 0.1; done
rm -f build/dockerd.pid
