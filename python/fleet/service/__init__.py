"""One function for each request of a plugin or command: it opens the session and returns plain JSON values."""

from __future__ import annotations
