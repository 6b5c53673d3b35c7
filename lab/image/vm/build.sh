#!/bin/sh
# Builds the tree of the lab's VM template from Debian's mirror, as a tar file: build.sh TAR
# Needs root and mmdebstrap (Debian's package). MIRROR and SECURITY_MIRROR name other mirrors.
set -eu
tar=$1
here=$(dirname "$(readlink -f "$0")")
list() { sed -e 's/#.*//' -e '/^\s*$/d' "$1" | paste -sd "$2"; }
mirror=${MIRROR:-http://deb.debian.org/debian}
security=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

exec mmdebstrap --quiet --format=tar --variant=minbase --mode=root --include="$(list "$here/packages.txt" ,)" \
    --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/i18n/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/bin/dnet' --dpkgopt='path-exclude=/usr/sbin/ovrouter' \
    --dpkgopt='path-exclude=/usr/bin/containerd-shim' --dpkgopt='path-exclude=/usr/bin/containerd-shim-runc-v1' \
    --aptopt='Acquire::GzipIndexes "true"' --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --skip=cleanup/apt --customize-hook="'$here/setup.sh' \"\$1\" $(list "$here/cached-packages.txt" ' ')" \
    bookworm "$tar" \
    "deb [signed-by=$keyring] $mirror bookworm main" \
    "deb [signed-by=$keyring] $mirror bookworm-updates main" \
    "deb [signed-by=$keyring] $security bookworm-security main"
