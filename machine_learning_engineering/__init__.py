"""A multi-agent machine-learning engineer on Google's ADK: from a dataset and a sentence to a scored submission."""

__version__ = "0.1.0"
