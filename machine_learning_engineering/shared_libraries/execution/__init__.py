"""Running generated scripts: one `Sandbox` protocol and its backends."""
