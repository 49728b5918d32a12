"""Phase 1: find models, try them, merge the best."""
