"""The model zoo: data and generator of docs/model_zoo.md and its charts."""
