"""Everything durable about a run: journal, attempts, and what is published."""
