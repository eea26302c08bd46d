"""Reports: text, JSON, GitHub, GitLab, Markdown, all from the same results."""
