"""The only place that picks stores and adapters and wires services: one module per kind of process."""
