"""What is pushed, and did it arrive."""
