"""Floor plans from maps that others made."""
