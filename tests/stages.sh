#!/usr/bin/env bash
# `make test`: set-up, then every stage; the lab's images are built beside lint and unit tests. Prints seconds per stage.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/.venv/bin:$PATH"
mkdir -p build/stages
started_docker=""
docker info >/dev/null 2>&1 || started_docker=1
lab_was_up=""
[ -f build/lab/lab.json ] && lab_was_up=1
failed=()

finish() {
    [ -n "$lab_was_up" ] || fleet lab down >build/stages/down.log 2>&1 || true
    [ -z "$started_docker" ] || lab/stop_docker.sh || true
}
trap finish EXIT

stage() { # name, command …: its output goes to a log, its last lines to the terminal when it fails
    local name=$1 begun=$SECONDS
    shift
    if "$@" >"build/stages/$name.log" 2>&1; then
        printf '\e[32m✓\e[0m %-14s %4s s\n' "$name" "$((SECONDS - begun))"
    else
        printf '\e[31m✗\e[0m %-14s %4s s  (build/stages/%s.log)\n' "$name" "$((SECONDS - begun))" "$name"
        tail -n 60 "build/stages/$name.log"
        failed+=("$name")
        return 1
    fi
}

stage setup lab/setup.sh || exit 1
fleet lab up >build/stages/lab-up.log 2>&1 &
lab=$!
stage unit make -s test-unit
stage lint make -s lint
begun=$SECONDS
wait "$lab"
lab_ok=$?
printf '  (lab ready %s s later)\n' "$((SECONDS - begun))"
stage integration make -s test-integration
if [ $lab_ok = 0 ]; then stage molecule make -s molecule; else
    tail -n 40 build/stages/lab-up.log
    failed+=(lab)
fi

echo
for name in unit integration molecule; do
    grep -E '(passed|failed|error).*( in [0-9.]+s|, [0-9]+ failed)|^molecule |^(FAILED|ERROR) ' "build/stages/$name.log" | sed 's/=//g; s/^ *//'
done
printf 'all stages: %s s\n' "$SECONDS"
if [ ${#failed[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${failed[*]}"
    exit 1
fi
