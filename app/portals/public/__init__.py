"""The public end: its JSON and its pages."""
