"""Your own labels: class folders, a table, or uni-task files of Aff-Wild2."""
