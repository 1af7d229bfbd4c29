"""Every defence that is broken on purpose, by room. Adding one adds an entry there. Pure."""

from __future__ import annotations

from tests.broken import (
    ledger_channel,
    ledger_documents,
    ledger_evidence,
    ledger_limits,
    ledger_machines,
    ledger_owner,
    ledger_pipelines,
    ledger_publishing,
    ledger_relay,
)
from tests.broken.entry import Break

BREAKS: tuple[Break, ...] = (
    *ledger_evidence.BREAKS,
    *ledger_channel.BREAKS,
    *ledger_documents.BREAKS,
    *ledger_owner.BREAKS,
    *ledger_relay.BREAKS,
    *ledger_limits.BREAKS,
    *ledger_machines.BREAKS,
    *ledger_pipelines.BREAKS,
    *ledger_publishing.BREAKS,
)
