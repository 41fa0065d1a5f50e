"""Task heads, feedback between tasks, and the models made of them."""
