"""Label maps in various layouts -> records."""
