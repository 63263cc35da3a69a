"""The run folder's pictures, tables and `report.html`."""
