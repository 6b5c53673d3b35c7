"""Pure: verdicts on servers and balancers."""

from __future__ import annotations
