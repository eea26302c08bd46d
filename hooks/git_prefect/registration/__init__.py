"""What Prefect is told."""
