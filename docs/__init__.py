"""Pages and pictures about the library, and the programs that make them from its code."""
