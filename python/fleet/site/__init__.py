"""``inventory/<site>/fleet.yml``.

load             the file as a Site: its vCenter and its fleets
schema           its form (pydantic);  gpu_schema: the part about devices
secrets          files that hold secrets;  ssh_key: the site's own SSH key
"""

from __future__ import annotations
