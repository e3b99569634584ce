"""Untaught lessons back to the paying account."""
