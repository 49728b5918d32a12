"""Phase 2: find the code block that matters and improve it."""
