#!/usr/bin/env bash
# Molecule scenarios on one lab. Without arguments all but those that say "Not in make test"; each prints its seconds against its budget (molecule/README.md).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg"
if [ $# -gt 0 ]; then scenarios=("$@"); else
    scenarios=()
    for file in molecule/*/molecule.yml; do
        name=$(basename "$(dirname "$file")")
        [ "$name" = default ] || grep -q '^# Not in make test:' "$file" || scenarios+=("$name")
    done
fi
fleet lab up
mkdir -p build/stages
passed=0
failed=()
finished() { # verdict, name, seconds
    local budget
    budget=$(sed -n 's/^# Budget: \([0-9]*\) s.*/\1/p' "molecule/$2/molecule.yml" 2>/dev/null || true)
    printf 'molecule %-20s %s in %s s (budget %s s)\n' "$2" "$1" "$3" "${budget:-not set}"
    if [ "$1" = passed ]; then passed=$((passed + 1)); else failed+=("$2"); fi
}
why() { # name: the first thing that went wrong, on lines that the summary of `make test` shows
    sed 's/\x1b\[[0-9;]*m//g' "build/stages/molecule-$1.log" | grep -m 1 -A 14 -E 'fatal: |\[ERROR\]|CRITICAL' | sed "s/^/molecule $1: /" || true
}
for name in "${scenarios[@]}"; do
    begun=$SECONDS
    if molecule test -s "$name" 2>&1 | tee "build/stages/molecule-$name.log"; then verdict=passed; else verdict=FAILED; fi
    finished $verdict "$name" $((SECONDS - begun))
    [ $verdict = passed ] || why "$name"
done

# The VMs that scenarios of single roles share go with the last of them; then no fleet of the scenarios has a member left.
fleet destroy --site molecule/inventory --fleet roles --yes >/dev/null || failed+=("the fleet roles")
left=$(fleet status --site molecule/inventory --json | python3 -c 'import json, sys
print(*(m["name"] for f in json.load(sys.stdin)["fleets"] for m in f["servers"] + f["balancers"]))')
[ -z "$left" ] || { printf 'left behind: %s\n' "$left"; failed+=("members left"); }
printf '%s passed, %s failed%s\n' "$passed" "${#failed[@]}" "${failed[*]:+: ${failed[*]}}"
[ ${#failed[@]} -eq 0 ]
