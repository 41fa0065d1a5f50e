"""Augmentation of images on the device, inside the compiled step."""
