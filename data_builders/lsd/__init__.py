"""LSD: synthetic training faces and real validation faces with six expressions."""
