"""Forms that exist only for XLA's CPU compiler and for glibc."""
