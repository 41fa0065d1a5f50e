"""Code for XLA's CPU compiler and for glibc, and the choice of forms by platform."""
