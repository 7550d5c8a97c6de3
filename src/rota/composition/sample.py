"""The sample schedules that `rota up` applies at its first start, by the same verbs as anybody's."""

from importlib.resources import files

import yaml

from rota.composition.bootstrap import bootstrap_actor
from rota.core.manifest import read_manifest
from rota.domain.schedule import ScheduleDraft
from rota.services.schedule_verbs import ScheduleVerbs


def sample_drafts(url: str) -> tuple[ScheduleDraft, ...]:
    """The packaged manifest; `url` is where this server answers."""
    text = (files("rota.composition") / "sample.yaml").read_text(encoding="utf-8")
    return read_manifest(yaml.safe_load(text.replace("{url}", url)))


async def apply_sample(verbs: ScheduleVerbs, url: str, actor_name: str) -> int:
    """Creates them all, in one transaction; gives their number."""
    drafts = sample_drafts(url)
    await verbs.create_many(bootstrap_actor(actor_name), drafts)
    return len(drafts)
