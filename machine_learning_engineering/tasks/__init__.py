"""Bundled tasks: a folder each, with the recipe that makes its data. No labels lie here."""
