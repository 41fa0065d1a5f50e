"""Source layouts of face images: lists the images of a folder and reads them."""
