"""Disease progression one year after the baseline: regression on anonymised markers."""
