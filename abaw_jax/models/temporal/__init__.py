"""Encoders of sequences: transformer, recurrent, convolutional and FFT encoders."""
