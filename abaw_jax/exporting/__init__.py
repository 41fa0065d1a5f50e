"""Networks of a bundle as files that other programs run."""
