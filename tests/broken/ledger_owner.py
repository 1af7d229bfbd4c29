"""Defences of the owner's role and of documents that pass between peers. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

BREAKS: tuple[Break, ...] = (
    Break(
        name="an owner's signature not checked",
        file="runtime/channel/owner_proof.py",
        old="    except (InvalidSignature, ValueError):\n        return False\n    return True",
        new="    except (InvalidSignature, ValueError):\n        return True\n    return True",
        tests=("tests/channel/test_owner_proof.py",),
    ),
    Break(
        name="an owner's signature without its prefix: anything that key signs",
        file="runtime/channel/owner_proof.py",
        old="    return PREFIX + binder",
        new="    return binder",
        tests=("tests/channel/test_owner_proof.py",),
    ),
    Break(
        name="evidence of a session taken for evidence to an owner",
        file="runtime/channel/handshake.py",
        old="(Side.SERVER, Side.OWNER): (binding.Label.OWNER, binding.Direction.MEMBER_TO_OWNER),",
        new="(Side.SERVER, Side.OWNER): (binding.Label.CHANNEL, binding.Direction.SERVER_TO_CLIENT),",
        tests=("tests/channel/test_handshake_owner.py",),
    ),
    Break(
        name="whoever answers gets the owner's signature",
        file="runtime/channel/exchange.py",
        old="if found is None or (self._wanted is not None and found != self._wanted):",
        new="if found is None:",
        tests=("tests/channel/test_owner_attacks.py",),
    ),
    Break(
        name="a relayed stream without credit",
        file="runtime/channel/relay_frames.py",
        old="        if size > self.left:",
        new="        if False:",
        tests=("tests/channel/test_relay_frames.py", "tests/tunnel/test_owner_relay.py"),
    ),
    Break(
        name="a client that meets members inside an owner's stream",
        file="runtime/tunnel/owner_door.py",
        old="meets=(Side.OWNER,)",
        new="meets=(Side.CLIENT, Side.OWNER)",
        tests=("tests/tunnel/test_owner_door.py",),
    ),
    Break(
        name="false owners in the members' places",
        file="runtime/tunnel/owner_visits.py",
        old="        gone = self._proving.add(transport, transport.peer_address)",
        new="        gone = None",
        tests=("tests/tunnel/test_owner_visits.py",),
    ),
    Break(
        name="a document that has ended put in force",
        file="runtime/web/documents.py",
        old="        if document.ended(self._clock.now()):\n            raise _refuse",
        new="        if False:\n            raise _refuse",
        tests=("tests/tunnel/test_document_exchange.py",),
    ),
)
