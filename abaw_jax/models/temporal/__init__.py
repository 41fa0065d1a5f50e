"""Encoders of sequences: transformers, recurrent networks and the FFT encoder."""
