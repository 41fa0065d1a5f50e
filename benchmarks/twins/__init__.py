"""PyTorch implementations that benchmarks and tests compare with."""
