"""The supervision end: its JSON and its pages."""
