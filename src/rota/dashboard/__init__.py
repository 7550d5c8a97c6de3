"""Server-rendered pages over the same ports as the API: they show, and change nothing but the visitor's own session."""
