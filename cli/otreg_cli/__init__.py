"""The command line of otreg: a command parses, imports, calls one library function and reports."""
