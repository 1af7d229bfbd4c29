"""What every part of the runtime must agree on and nobody may set. Pure."""

from __future__ import annotations

VERSION = "0.1.0"
# No release of this program is older: the trusted clock never reads less (docs/protocol.md §8).
BUILD_TIME = 1_793_491_200  # 2026-11-01T00:00:00Z
EVIDENCE_PATH = "/.well-known/tunnel-evidence"
