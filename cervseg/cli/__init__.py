"""The command line: thin Typer files, and the one place where errors end."""
