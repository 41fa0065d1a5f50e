"""Networks of images: ViT, MAE and convolutional backbones."""
