"""Videos of cached features: tables of frames, windows, stateful videos, folds."""
