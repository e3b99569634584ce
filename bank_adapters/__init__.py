"""Doors to licensed banks. A leaf package: it imports nothing of the service it serves."""
