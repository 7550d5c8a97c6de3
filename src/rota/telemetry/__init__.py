"""One catalogue of metrics and event names. Recording is here; what the numbers mean is decided by those who record."""
