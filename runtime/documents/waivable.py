"""The checks that a named waiver may let pass: a closed list, for verifiers and for whoever signs. Pure.

What says who a peer is, and to whom it speaks, is not on it: signature, chain, binding, settings, member; nor
what would make the word "confidential" false: debug, migration, VMPL, a revoked key, something booted beside
the image.

A waiver lets a peer in and proves nothing. Where the grade rests on the check (`CARRY_GRADE`) the peer comes
in at grade N: what the Reference Values do not know has measured, or vouches for, the image.
"""

from __future__ import annotations

WAIVABLE: frozenset[str] = frozenset(
    {
        # what was booted: without an image the grade is N
        "image.measured",
        "image.pcr4",
        "image.pcr11",
        "image.rtmr1",
        "image.rtmr2",
        "image.date",
        "firmware.measurement",
        "firmware.date",
        "firmware.pcr7",
        "firmware.pcr7.date",
        "log.present",
        # AMD
        "snp.version",
        "snp.known_weak",
        "snp.csp_id",
        "snp.revocation",
        "snp.guest_svn",
        "snp.id_key",
        "snp.author_key",
        "snp.mitigations",
        "policy.smt",
        "policy.cxl",
        "policy.abi",
        "policy.single_socket",
        "policy.aes_256_xts",
        "policy.rapl_disabled",
        "policy.ciphertext_hiding",
        "policy.page_swap_disabled",
        "platform.tsme",
        "platform.ecc",
        "platform.rapl_disabled",
        "platform.ciphertext_hiding",
        "platform.alias_check_complete",
        "platform.tio",
        "tcb.reported",
        "tcb.committed",
        "tcb.launch",
        "tcb.provisional",
        # Intel
        "tcb.status",
        "tcb.advisories",
        "tcb.evaluation_number",
        "td.mrseam",
        "td.pks",
        "td.key_locker",
        "td.perfmon",
        "td.xfam",
        "platform.dynamic_platform",
        "platform.cached_keys",
        "platform.smt",
        # providers
        "azure.console",
        "ak.certified",
        "ak.revocation",
        "nitro.region",
        "gce.zone",
    }
)

CARRY_GRADE: frozenset[str] = frozenset(
    {
        # which image: the registers that name it
        "image.measured",
        "image.pcr4",
        "image.pcr11",
        "image.rtmr1",
        "image.rtmr2",
        # what measured it: firmware or paravisor, without which registers say what their writer likes
        "firmware.measurement",
        "firmware.date",
        # what vouches for that: the CPU, whose reports are forged where its own firmware is broken
        "snp.version",
        "snp.known_weak",
        "snp.mitigations",
        "tcb.reported",
        "tcb.committed",
        "tcb.launch",
        "tcb.provisional",
        "tcb.status",
        "tcb.advisories",
        "tcb.evaluation_number",
        "td.mrseam",
    }
)
