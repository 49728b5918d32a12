"""Auction prices of used construction machines: regression on mixed columns with gaps."""
