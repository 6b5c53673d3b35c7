"""Whether a guest is fit for its role. Shipped to guests by Ansible: standard library and relative imports, Python 3.8 syntax."""

from __future__ import annotations
