"""Builds datasets into ArrayRecord shards and checks their source folders."""
