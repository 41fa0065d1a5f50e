"""Reports that commands print: comparisons of scores, and their files."""
