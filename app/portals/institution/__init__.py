"""The institution end: its JSON and its pages."""
