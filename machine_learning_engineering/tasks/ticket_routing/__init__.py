"""The team that should answer a support ticket: classification of short texts."""
