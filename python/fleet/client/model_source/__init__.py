"""Where models come from: a folder or an archive of the controller, or a URL; scanned, packed, and handed to ``guest.models``."""

from __future__ import annotations
