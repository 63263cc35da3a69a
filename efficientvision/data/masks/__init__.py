"""Label maps of several layouts -> records."""
