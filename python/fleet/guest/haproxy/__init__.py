"""HAProxy in front of Triton: its runtime API, and how a server is admitted and retired without losing a request.

Shipped to balancers by Ansible: standard library and relative imports only, Python 3.8 syntax at run time.
"""

from __future__ import annotations
