"""Phase 4: merge the solutions."""
