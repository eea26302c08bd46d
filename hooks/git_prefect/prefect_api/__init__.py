"""What Prefect holds, and how it is changed."""
