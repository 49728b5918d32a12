"""What each part of a solution contributes."""
