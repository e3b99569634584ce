"""The sample district and simulated ones: invented people who use the real services and a mock bank."""
