#!/bin/sh
# Turns an unpacked Debian tree into the Triton image's: setup.sh ROOT WHEEL. Called by mmdebstrap as an extract hook.
set -eu
root=$1
wheel=$2
lib=$root/usr/lib/x86_64-linux-gnu

# The server: laid out as NVIDIA's own images have it. The libraries' run paths ($ORIGIN/../../../nvidia_pytriton.libs, one level more
# from a backend) end at the root from there, hence the link.
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
python3 -m zipfile -e "$wheel" "$unpacked"
server=$unpacked/pytriton/tritonserver
mkdir -p "$root/opt/tritonserver/bin" "$root/opt/tritonserver/backends/python" "$root/models"
mv "$server/bin/tritonserver" "$root/opt/tritonserver/bin/"
mv "$server"/backends/python/libtriton_python.so "$server"/backends/python/triton_python_backend_utils.py "$root/opt/tritonserver/backends/python/"
mv "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$root/opt/tritonserver/backends/python/"
rm -f "$unpacked"/nvidia_pytriton.libs/libpython3-*  # the stub for 3.13 wants it, and that one stays behind
mv "$unpacked/nvidia_pytriton.libs" "$root/opt/tritonserver/lib"
ln -s opt/tritonserver/lib "$root/nvidia_pytriton.libs"
chmod -R go-w "$root/opt/tritonserver"
chmod 755 "$root/opt/tritonserver/bin/tritonserver" "$root/opt/tritonserver/backends/python/triton_python_backend_stub"

# Packages are unpacked, not configured: what their scripts would have made.
ln -sf blas/libblas.so.3 "$lib/libblas.so.3"
ln -sf lapack/liblapack.so.3 "$lib/liblapack.so.3"
ln -sf bash "$root/usr/bin/sh"
printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' > "$root/etc/group"

# What a server never reads.
rm -rf "$root"/usr/share/doc "$root"/usr/share/man "$root"/usr/share/locale "$root"/usr/share/info "$root"/usr/share/i18n "$root"/usr/share/lintian \
    "$root"/usr/share/bug "$root"/usr/share/perl* "$root"/usr/share/zoneinfo "$lib/gconv" \
    "$lib"/perl* "$root"/usr/lib/python3.11/test "$root"/usr/lib/python3.11/lib2to3 "$root"/usr/lib/python3.11/ensurepip \
    "$root"/usr/lib/python3.11/pydoc_data
find "$root/usr/lib/python3" -type d -name tests -prune -exec rm -rf {} +
rm -rf "$root"/usr/lib/python3/dist-packages/numpy/f2py "$root"/usr/lib/python3/dist-packages/pkg_resources
chroot "$root" /usr/bin/python3 -c 'import numpy; assert int(numpy.__version__.split(".")[0]) < 2'
chroot "$root" /usr/bin/python3 -m compileall -q /usr/lib/python3 /usr/lib/python3.11 /opt/tritonserver/backends || true
