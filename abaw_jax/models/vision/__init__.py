"""Image networks: ViT, MAE, classifiers and identity models."""
