"""One function for each thing that a plugin or command asks: it opens the session and returns plain JSON values."""

from __future__ import annotations
