"""Modules come with what they need, in an order that loads."""

from __future__ import annotations

import pytest

from images import modules
from runtime.errors import MalformedError
from tests.images import doubles

FILES = {
    "lib/net/virtio_net.ko.xz": doubles.module("net-failover"),
    "lib/net/net_failover.ko.xz": doubles.module("failover", soft="helper absent"),
    "lib/net/failover.ko.xz": doubles.module(""),
    "lib/misc/helper.ko": doubles.module("virtio_net"),  # a circle ends
}


def test_dependencies_come_first() -> None:
    order = modules.chosen(["virtio-net"], FILES, ["kernel/virtio.ko"], FILES.__getitem__)
    assert [modules.name_of(path) for path in order] == ["failover", "helper", "net_failover", "virtio_net"]


def test_what_is_built_in_needs_no_file() -> None:
    assert modules.chosen(["virtio"], FILES, ["kernel/virtio.ko"], FILES.__getitem__) == ()


def test_an_unknown_module_is_refused() -> None:
    with pytest.raises(MalformedError, match="no module absent"):
        modules.chosen(["absent"], FILES, [], FILES.__getitem__)
