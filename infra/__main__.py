"""Where Pulumi enters: `main: infra/` of Pulumi.yaml."""

from __future__ import annotations

from infra.program import run

run()
