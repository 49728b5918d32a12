"""Which chute a parcel belongs in: classification of scanned codes into ten classes."""
