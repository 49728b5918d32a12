"""Scoring: the views that hold labels back, the submission check, and the score on what was held back."""
