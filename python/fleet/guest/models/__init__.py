"""Model repositories: what is in one, what another lacks, and how a version appears whole or not at all.

Used on the controller and shipped to guests by Ansible: standard library and relative imports, Python 3.8 syntax at run time.
"""

from __future__ import annotations
