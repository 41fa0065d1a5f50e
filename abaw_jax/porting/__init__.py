"""Reads and writes tensor files of other projects without PyTorch."""
