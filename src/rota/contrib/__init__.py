"""Bridges to what people already have. Nothing else of Rota imports them, and Rota depends on none of it."""
