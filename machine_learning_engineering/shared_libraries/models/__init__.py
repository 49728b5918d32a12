"""Language models: one file a provider, and the layers around it."""
