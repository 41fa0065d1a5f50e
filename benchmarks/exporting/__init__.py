"""Export of bundles: sizes, errors and times of all formats."""
