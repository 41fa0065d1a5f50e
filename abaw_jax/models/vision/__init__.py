"""Image networks: ViT, MAE and convolutional backbones."""
