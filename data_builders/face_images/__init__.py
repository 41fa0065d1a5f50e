"""Unlabelled face images: plans, writes and resumes datasets of many shards."""
