"""Encoders of sequences: transformers, recurrent networks, the FFT encoder."""
