"""Running playbooks by ansible-runner: their arguments, the site's variables, where a variable comes from, interrupts."""

from __future__ import annotations
