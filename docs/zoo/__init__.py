"""The model zoo: what docs/model_zoo.md and its charts are made of, and the program for it."""
