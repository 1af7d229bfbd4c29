"""What real endorsers signed for real machines is taken from a bundle or an address, and holds together."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Literal

import pytest
from cryptography import x509

from runtime.attestation import certificates
from runtime.attestation.certificates import Certificate
from runtime.attestation.endorsements.bundle import EMPTY, Bundle
from runtime.attestation.endorsements.contents import Answer
from runtime.attestation.endorsements.endorser import Endorser
from runtime.attestation.endorsements.wanted import endorsements_needed, load
from runtime.attestation.findings import EvidenceRefusedError
from runtime.attestation.roots import HARDWARE_ROOTS
from runtime.attestation.wire import Evidence
from runtime.errors import MalformedError, UnreachableError
from tests.attestation.endorsements import machines
from tests.corpus import cases, snp, tdx
from tests.corpus.cases import Case
from tests.fakes import endorsers

# By name: another corpus may have cases of which somebody kept a part only.
AMD = (
    "genoa-v3-tsm-certtable",
    "genoa-v5-model-a0h",
    "milan-v2-baremetal",
    "milan-v2-debug-policy",
    "milan-v2-with-invalid-vceks",
    "milan-v3-gcp-oak",
    "milan-v3-oak-rk",
    "milan-v3-older-tcb",
    "milan-v3-vlek-aws",
    "turin-v5",
)
INTEL = (
    "v4-emr-dstack-runtime-events",
    "v4-emr-with-collateral",
    "v4-spr-debug-enabled",
    "v4-spr-tdx10-with-collateral-2023",
    "v5-emr-tdx15",
    "v5-emr-trustee",
)
KEYS = ("azure-snp-vtpm/milan-v3-super-protocol-ak-chain", "tpm-eventlog/gcp-amd-vtpm-quote")


def named(folder: str, name: str) -> Case:
    cases.want()
    found = [case for case in cases.load(folder) if case.name == name]
    if not found:
        pytest.skip(f"{folder}/{name} is not in this corpus")
    return found[0]


def complete(
    evidence: Evidence, now: int, *, bundle: Bundle = EMPTY, published: dict[str, bytes] | None = None
) -> tuple[dict[str, bytes], list[str]]:
    """Return what was added, and the names of what was not."""

    class Web:
        async def get(self, url: str, *, deadline: float) -> Answer:
            if published is None or url not in published:
                raise UnreachableError(url)
            return Answer(body=published[url], headers={})

    endorser = Endorser(web=Web(), cache=None, now=lambda: now, roots=HARDWARE_ROOTS, bundle=bundle)
    full, short = asyncio.run(endorser.complete(evidence, deadline_s=20))
    added = {name: value for name, value in full.endorsements.items() if name not in evidence.endorsements}
    return added, [name for one in short for name in one.want.gives]


@pytest.mark.parametrize("name", AMD)
def test_amd_s(name: str) -> None:
    """Taken if, and only if, the verifier finds the path genuine."""
    made = snp.subject(named(snp.PLATFORM, name))
    assert made.leaf is not None
    assert made.intermediate is not None
    assert made.root is not None
    bare = Evidence(format="sev-snp", parts={"snp_report": made.report}, endorsements={})
    bodies = {
        "certificate": made.leaf.der,
        "chain": endorsers.pem(made.intermediate.der, made.root.der),
    }
    wants = [want for want in endorsements_needed(bare) if want.kind in bodies]
    items = {want.key: bodies[want.kind] for want in wants}
    added, _ = complete(bare, made.now, bundle=Bundle(made_at=made.now, items=items))
    try:
        made.verify()
    except EvidenceRefusedError as error:
        if any(check.id.startswith("chain.") or check.id == "report.signature" for check in error.checks):
            assert set(added) < {"vek", "intermediate", "root"}
            return
    except MalformedError:
        return
    assert set(added) == {name for want in wants for name in want.gives}


@pytest.mark.parametrize("name", INTEL)
def test_intel_s(name: str) -> None:
    made = tdx.subject(named("tdx", name))
    assert made.collateral is not None
    bare = machines.evidence("gcp-tdx", {"td_quote": made.quote})
    want = next(want for want in endorsements_needed(bare) if want.kind == "collateral")
    added, _ = complete(bare, made.now, bundle=Bundle(made_at=made.now, items={want.key: made.collateral}))
    assert added == {"tdx_collateral": made.collateral}
    bent = made.collateral.replace(b"UpToDate", b"UpTodate", 1)
    assert bent != made.collateral
    added, _ = complete(bare, made.now, bundle=Bundle(made_at=made.now, items={want.key: bent}))
    assert added == {}


def ak_path(case: Case) -> list[Certificate]:
    """Return the certificates of a case's attestation key, leaf first, root last."""
    found = [one for data in case.files("ak_certs") for one in cases.certificates_of(data)]
    roots = [one for one in found if one.subject == one.issuer]
    below = {one.issuer: one for one in found if one.subject != one.issuer}
    path = roots[:1]
    while path and path[0].subject in below:
        path.insert(0, below[path[0].subject])
    return path


@pytest.mark.parametrize("name", KEYS)
def test_those_of_attestation_keys(name: str) -> None:
    path = ak_path(named(*name.split("/")))
    names = [*("ak_authority_1", "ak_authority_2")[: len(path) - 2], "ak_root"]
    format_: Literal["azure-tdx", "gcp-tdx"] = "azure-tdx" if len(path) == 4 else "gcp-tdx"
    have = {"tdx_collateral": b"x", "launch_endorsement": b"x", "ak_certificate": path[0].der}
    bare = Evidence(format=format_, parts={"td_quote": b"x"}, endorsements=have)
    now = max(one.not_before for one in path) + 86400
    published: dict[str, bytes] = {}
    for below, above in pairwise(path):
        access = load(below.der, "").extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        published |= {str(entry.access_location.value): above.der for entry in access.value}
    added, _ = complete(bare, now, published=published)
    assert added == {name: one.der for name, one in zip(names, path[1:], strict=True)}
    void = path[1].der[:-1] + bytes([path[1].der[-1] ^ 1])
    assert certificates.load(void, "").public_key == path[1].public_key
    forged = {url: void if der == path[1].der else der for url, der in published.items()}
    assert complete(bare, now, published=forged)[0] == {}
