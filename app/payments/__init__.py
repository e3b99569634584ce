"""From the payment code to escrow; what cannot be matched goes back to its payer."""
