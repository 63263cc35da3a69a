"""Reports on record files, one for each kind of record."""
