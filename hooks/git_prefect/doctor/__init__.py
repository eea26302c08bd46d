"""What `git prefect doctor` looks at: this machine, the settings, the remote, and Prefect."""
