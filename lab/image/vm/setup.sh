#!/bin/sh
# Turns a fresh Debian tree into the lab's VM template. Called by mmdebstrap as a customize hook: setup.sh ROOT CACHED-PACKAGE...
set -eu
root=$1
shift
here=$(dirname "$(readlink -f "$0")")

# Packages that a role installs later: their archives wait in the template, with the lists, so apt runs for real and downloads nothing.
chroot "$root" apt-get clean
chroot "$root" apt-get install -y -q --download-only "$@"

cp -R "$here/rootfs/." "$root/"

# What only a machine of metal needs, or would disturb one that lives for minutes. `is-system-running` stays "running" without them.
for unit in systemd-udevd.service systemd-udev-trigger.service systemd-logind.service systemd-pstore.service systemd-random-seed.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-firstboot.service systemd-binfmt.service \
    systemd-modules-load.service kmod-static-nodes.service systemd-journal-flush.service systemd-journal-catalog-update.service \
    systemd-hwdb-update.service ldconfig.service e2scrub_reap.service cloud-init-hotplugd.socket \
    getty@tty1.service getty-static.service console-getty.service getty.target proc-sys-fs-binfmt_misc.automount \
    sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount \
    dev-mqueue.mount apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
    systemd-tmpfiles-clean.timer; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

# The balancers' template has Docker, but started when somebody asks for it; preload.sh switches it on for the servers'.
chroot "$root" systemctl disable -q docker.service containerd.service

# Nothing that has to differ between two clones is baked in.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root/etc/hostname"
: > "$root/etc/machine-id"
: > "$root/etc/hostname"
rm -rf "$root"/var/log/* "$root"/var/lib/docker/* "$root"/tmp/* "$root"/var/lib/cloud/*
mkdir -p "$root/var/log/journal" && rmdir "$root/var/log/journal"

# Compiled Python and apt's index of its lists, so that no VM makes them again.
chroot "$root" python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.11 || true
chroot "$root" apt-get check -q
