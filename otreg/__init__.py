"""otreg: registration of shapes by optimal transport."""
__version__ = "0.1.0"
