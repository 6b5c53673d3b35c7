"""A fleet of NVIDIA Triton Inference Server VMs on vSphere.

Parts of this package are shipped to guests by Ansible (``ansible.module_utils.fleet``), so this file
imports nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"
