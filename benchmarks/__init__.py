"""Speed and size, each figure with the command that shows it."""
