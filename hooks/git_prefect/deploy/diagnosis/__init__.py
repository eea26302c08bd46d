"""What `git prefect doctor` looks at, besides the flows."""
