"""FER+: votes of ten annotators for the faces of FER2013."""
