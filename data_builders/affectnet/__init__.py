"""AffectNet: the lists of 2017 and the label files of 2021."""
