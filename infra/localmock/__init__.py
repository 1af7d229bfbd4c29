"""The unmodified program against an engine of our own: no command-line tool, no account, no network."""
