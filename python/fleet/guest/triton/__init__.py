"""Triton Inference Server: its HTTP and gRPC protocols (KServe v2), and its container in a guest.

Shipped to guests by Ansible, ``grpc`` apart (controller only): standard library and relative imports, Python 3.8 syntax
at run time.
"""

from __future__ import annotations
