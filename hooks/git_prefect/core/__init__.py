"""What every layer shares: data, settings, findings, errors, and the files of our own state."""
