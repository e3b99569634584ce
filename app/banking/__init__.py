"""Bank accounts, instructions, the inbox, movements: posts the facts. It knows nothing of tuition."""
