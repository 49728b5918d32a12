"""What the chat needs besides its model: tools, files that are dropped into it, and an agent that follows a run."""
