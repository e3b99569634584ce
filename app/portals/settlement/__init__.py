"""The settlement end: its JSON and its pages."""
