"""SSH host keys at first contact, and whether somebody answers at an address."""

from __future__ import annotations
