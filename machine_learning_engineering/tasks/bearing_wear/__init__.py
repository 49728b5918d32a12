"""Hours until a bearing must be replaced: regression on readings, grouped by bearing."""
