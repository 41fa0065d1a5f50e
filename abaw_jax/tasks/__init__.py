"""One file per task, and the losses that tasks share."""
