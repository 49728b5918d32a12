"""Phase 5: the winner and its submission."""
