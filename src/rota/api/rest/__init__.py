"""REST under /api/v1: one file per resource, all bound to one route table. Never imports a store."""
