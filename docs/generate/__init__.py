"""Pages of the documentation that are generated from the code, the recipes and the notebook."""
