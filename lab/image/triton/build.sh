#!/bin/sh
# Builds the Triton image's tree from Debian's mirror and NVIDIA's wheel, as a tar file: build.sh TAR WHEEL
# Needs root and mmdebstrap. MIRROR names another mirror.
set -eu
tar=$1
wheel=$(readlink -f "$2")
here=$(dirname "$(readlink -f "$0")")

exec mmdebstrap --quiet --format=tar --variant=extract --mode=root \
    --include="$(sed -e 's/#.*//' -e '/^\s*$/d' "$here/packages.txt" | paste -sd ,)" \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --extract-hook="'$here/setup.sh' \"\$1\" '$wheel'" \
    bookworm "$tar" \
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${MIRROR:-http://deb.debian.org/debian} bookworm main"
