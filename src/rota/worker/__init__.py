"""The task SDK, and the process that executes runs: a supervisor with the lease, executors with the handlers."""
