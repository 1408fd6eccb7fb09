"""Reports: evidence in, text out. Pure."""
