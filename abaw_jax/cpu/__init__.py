"""Code only for XLA's CPU compiler and for glibc; GPUs and TPUs skip it."""
