"""The path from a clip to a table of its faces: readers, batches, rows, files."""
