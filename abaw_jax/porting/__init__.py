"""Files of tensors of other projects, read and written without PyTorch."""
