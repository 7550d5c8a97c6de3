from rota.domain.policies import RetryPolicy as RetryPolicy
from rota.worker import testing as testing
from rota.worker.app import App as App
from rota.worker.context import Context as Context
from rota.worker.outcomes import Cancel as Cancel
from rota.worker.outcomes import Failure as Failure
from rota.worker.outcomes import NonRetryable as NonRetryable
from rota.worker.outcomes import Retry as Retry
from rota.worker.outcomes import SoftTimeout as SoftTimeout

__version__: str
