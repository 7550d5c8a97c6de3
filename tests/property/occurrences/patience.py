"""Settings for tests whose examples are slow by nature: a busy machine must not turn into a failure."""

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
