"""All that is shipped into guests by Ansible (``ansible.module_utils.fleet.guest``): the standard library and relative imports
only, Python 3.8 syntax. ``checks`` says whether a guest is fit for its role.
"""

from __future__ import annotations
