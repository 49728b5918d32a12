"""Tasks: reading them from people's files, their metrics, profile and card, and the bundled ones."""
