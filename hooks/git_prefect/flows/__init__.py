"""What the pushed files define."""
