"""Task heads, feedback between tasks, and the multi-task models."""
