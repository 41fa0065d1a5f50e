"""Encoders of sequences: transformer, recurrent and FFT encoders."""
