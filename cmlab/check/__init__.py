"""Exercise checks: each tests a property against the truth and names the likely slip."""
