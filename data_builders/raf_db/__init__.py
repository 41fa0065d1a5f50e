"""RAF-DB: basic expressions of aligned faces."""
