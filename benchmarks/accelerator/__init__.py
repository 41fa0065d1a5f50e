"""One report about this project on an accelerator."""
