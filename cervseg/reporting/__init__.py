"""Pictures and tables from what commands have written."""
