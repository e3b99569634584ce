"""The parent end: its JSON and its pages."""
