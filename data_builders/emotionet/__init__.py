"""EmotioNet: lists of action units."""
