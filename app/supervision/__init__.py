"""Rules, alerts, clearances and rulings: what officers see and can stop."""
