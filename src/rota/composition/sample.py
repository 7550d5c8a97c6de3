"""The sample schedules that `rota up` applies at its first start, by the same verbs as anybody's."""

from datetime import datetime, timedelta
from importlib.resources import files

import yaml

from rota.composition.bootstrap import bootstrap_actor
from rota.core.manifest import read_manifest
from rota.domain.schedule import ScheduleDraft
from rota.ports.schedule_store import ScheduleStore
from rota.services.schedule_verbs import ScheduleVerbs

FIRST_FIRE_SECONDS = 1


def sample_drafts(url: str, start_at: datetime) -> tuple[ScheduleDraft, ...]:
    """The packaged manifest; `url` is where this server answers, `start_at` when the first interval fires."""
    text = (files("rota.composition") / "sample.yaml").read_text(encoding="utf-8")
    return read_manifest(yaml.safe_load(text.replace("{url}", url).replace("{start_at}", start_at.isoformat())))


async def apply_sample(verbs: ScheduleVerbs, schedules: ScheduleStore, url: str, actor_name: str) -> int:
    """Creates them all, in one transaction; gives their number. The first of them fires within seconds."""
    now = datetime.fromisoformat(await schedules.clock())
    drafts = sample_drafts(url, now + timedelta(seconds=FIRST_FIRE_SECONDS))
    await verbs.create_many(bootstrap_actor(actor_name), drafts)
    return len(drafts)
