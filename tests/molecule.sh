#!/usr/bin/env bash
# Molecule scenarios on one lab. Without arguments all of them; each prints its seconds.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" ANSIBLE_CONFIG="$PWD/ansible.cfg"
if [ $# -gt 0 ]; then scenarios=("$@"); else
    scenarios=()
    for file in molecule/*/molecule.yml; do
        name=$(basename "$(dirname "$file")")
        [ "$name" = default ] || scenarios+=("$name")
    done
fi
fleet lab up
failed=()
for name in "${scenarios[@]}"; do
    begun=$SECONDS
    if molecule test -s "$name"; then verdict=passed; else verdict=FAILED; failed+=("$name"); fi
    printf 'molecule %-20s %s in %s s\n' "$name" "$verdict" "$((SECONDS - begun))"
done
printf '%s passed, %s failed\n' "$((${#scenarios[@]} - ${#failed[@]}))" "${#failed[@]}"
[ ${#failed[@]} -eq 0 ]
