#!/bin/sh
# Runs inside a VM template's container: puts the image whose tree comes on standard input into this template's Docker.
#   preload.sh TAG CHANGE... < TREE.tar        (CHANGE as `docker import --change` takes it; /prepare is a volume)
#
# A guest's own dockerd makes the store, so it is a real one. Its small part (metadata) goes to /var/lib/docker, from where Docker copies it
# into each VM's volume; the layer's files stay in the template and are linked: a linked clone, so that eight VMs share one copy of the
# server on disk and in the page cache, and a VM is created without copying 200 MB.
set -eu
tag=$1
shift
store=/prepare
layers=/usr/lib/docker-preload

dockerd --data-root "$store" --storage-driver overlay2 --bridge none --iptables=false > /run/dockerd.log 2>&1 &
daemon=$!
tries=0
until docker version > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
        cat /run/dockerd.log >&2
        exit 1
    fi
    sleep 0.1
done
for change in "$@"; do
    set -- "$@" --change "$change"
    shift
done
docker import "$@" - "$tag"
kill "$daemon"
wait "$daemon" || true

mkdir -p "$layers" /var/lib/docker
chmod 711 /var/lib/docker
for layer in "$store"/overlay2/*/; do
    id=$(basename "$layer")
    if [ "$id" != l ]; then
        cp -a "$layer/diff" "$layers/$id"
        rm -rf "$layer/diff"
        ln -s "$layers/$id" "${layer%/}/diff"
    fi
done
cp -a "$store/image" "$store/overlay2" /var/lib/docker/
systemctl enable -q containerd.service docker.service
rm -rf /run/* /etc/docker/key.json
