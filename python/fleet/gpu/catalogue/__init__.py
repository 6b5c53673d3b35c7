"""What is known of cards: their table, profiles by the names that hosts print, where MIG instances may stand."""

from __future__ import annotations
