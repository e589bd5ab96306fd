"""What to type after a report."""

import shlex

from orchestrator.results.store import Store, campaigns_beside


def next_command(store: Store) -> str:
    """A comparison with the last campaign of the same suite before this one, if one lies beside it; else what this one
    ran on."""
    campaign = store.campaign
    earlier = [
        other
        for other in campaigns_beside(store.folder)
        if other.campaign.suite == campaign.suite
        and other.campaign.created_at < campaign.created_at
        and str(other.folder).isprintable()
    ]
    if earlier:
        last = max(earlier, key=lambda other: other.campaign.created_at)
        return shlex.join(["portbench", "compare", str(last.folder), str(store.folder)])
    return shlex.join(["portbench", "environment", str(store.folder)])
