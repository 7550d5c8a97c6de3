"""Names of things. All ids are text here; the stores decide how to keep them.

Ids are made by the `Ids` port or by the store, never in `domain` or `core`.
"""

from typing import NewType

TenantId = NewType("TenantId", str)
ScheduleId = NewType("ScheduleId", str)
TriggerId = NewType("TriggerId", str)
RunId = NewType("RunId", str)
WorkerId = NewType("WorkerId", str)
TokenId = NewType("TokenId", str)
SigningSecretId = NewType("SigningSecretId", str)
CheckInId = NewType("CheckInId", str)
JobId = NewType("JobId", str)
BackfillId = NewType("BackfillId", str)

# A number that grows with every claim of a run: every later write of that attempt must show it (design law 2).
AttemptToken = NewType("AttemptToken", int)

# A lease's term number: it grows with every take-over and never falls while the store keeps its history.
Epoch = NewType("Epoch", int)
