"""Writes a dataset that is made from a built one, shard by shard."""
