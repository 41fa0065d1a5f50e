"""Tables of the faces of a clip: rows, columns, files, summaries and pictures."""
