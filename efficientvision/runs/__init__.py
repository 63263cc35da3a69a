"""A run: its options, what each task asks of it, training and evaluation. No command line."""
