"""The root's own files: accounts, units and links that name only what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from images import contents, rootfs
from runtime import limits
from runtime.commands import main

UNITS = sorted((rootfs.HERE / "units").iterdir())
KNOWN = contents.UNITS | {path.name for path in UNITS}
STEPS = re.compile(r"ExecStart=/usr/bin/python3\.13 -I -m (\S+)")


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_a_unit_names_only_units_and_users_that_exist(unit: Path) -> None:
    text = unit.read_text()
    for names in re.findall(r"^(?:After|Before|Requires|Wants)=(.*)$", text, re.MULTILINE):
        assert set(names.split()) <= KNOWN | {"time-set.target", "network.target"}, names
    users = {line.split(":")[0] for line in (rootfs.HERE / "root/etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0] for line in (rootfs.HERE / "root/etc/group").read_text().splitlines()}
    assert set(re.findall(r"^User=(.*)$", text, re.MULTILINE)) <= users
    assert set(re.findall(r"^(?:Group|SupplementaryGroups)=(.*)$", text, re.MULTILINE)) <= groups
    for module in STEPS.findall(text):
        path = rootfs.HERE.parent / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()


def test_every_service_is_wanted_by_something() -> None:
    wanted = {unit for units in rootfs._WANTS.values() for unit in units} | set(rootfs._TEST_WANTS)
    assert {path.name for path in UNITS} <= wanted
    assert wanted <= KNOWN


def test_nobody_can_log_in() -> None:
    for line in (rootfs.HERE / "root/etc/passwd").read_text().splitlines():
        assert line.endswith(":/usr/sbin/nologin")
    assert not (rootfs.HERE / "root/etc/shadow").exists()


def test_what_faces_the_network_has_no_power() -> None:
    for name in ("tunnel.service", "tunnel-bundle.service", "tunnel-bundle-fetch.service"):
        text = (rootfs.HERE / "units" / name).read_text()
        assert "NoNewPrivileges=yes" in text
        assert re.search(r"^User=tunnel", text, re.MULTILINE)
        assert "CAP_SYS_ADMIN" not in text
    assert (
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE\n"
        in (rootfs.HERE / "units/tunnel.service").read_text()
    )


def test_the_firewall_drops_by_default() -> None:
    rules = (rootfs.HERE / "root/etc/nftables.conf").read_text()
    assert "hook input priority filter; policy drop;" in rules
    assert "hook forward priority filter; policy drop;" in rules
    asks, drops = rules.index("skuid 1000 accept"), rules.index("meta skuid != 0 drop")
    assert asks < drops  # the first verdict counts
    assert "\ntunnel:x:1000:" in (rootfs.HERE / "root/etc/passwd").read_text()


def test_the_tunnel_may_keep_endorsements_and_take_its_time_to_drain() -> None:
    unit = (rootfs.HERE / "units/tunnel.service").read_text()
    [kept] = re.findall(r"^RuntimeDirectory=(.+)$", unit, re.MULTILINE)
    assert Path("/run", kept) == main.ENDORSEMENTS
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(stop) > limits.BOUNDS["drain_s"].most
