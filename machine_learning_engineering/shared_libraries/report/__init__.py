"""What a finished run tells people."""
