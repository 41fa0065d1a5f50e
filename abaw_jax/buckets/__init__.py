"""Objects in gs:// and s3:// buckets, with errors that name the bucket."""
