"""s-Aff-Wild2: annotated frames of videos."""
