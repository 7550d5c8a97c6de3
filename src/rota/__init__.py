"""Rota: a roster for machines."""

__version__ = "0.1.0"
