"""Defences of images, boot and infrastructure. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

BREAKS: tuple[Break, ...] = (
    Break(
        name="settings used before they are measured",
        file="runtime/boot/settings.py",
        old="    steps.measure(found.digest)\n",
        new="",
        tests=("tests/boot/test_settings.py::test_a_server_is_measured_then_opened_then_handed_on",),
    ),
    Break(
        name="swapped bundle",
        file="runtime/boot/bundle.py",
        old="got == bundle.sha256",
        new="got",
        tests=("tests/boot/test_bundle.py::test_a_swapped_bundle_is_refused_at_once",),
    ),
    Break(
        name="something else on Google's metadata address",
        file="runtime/boot/source.py",
        old="if flavor is not None and said != flavor:",
        new="if False:",
        tests=("tests/boot/test_source.py::test_something_else_on_googles_address_is_not_believed",),
    ),
    Break(
        name="another kernel command line",
        file="images/initrd.d/init",
        old='[ "$(cat /proc/cmdline)" = "$(cat /etc/cmdline)" ] ||',
        new="true ||",
        tests=(
            "tests/images/test_initrd.py::test_another_command_line_is_refused_before_anything_is_loaded",
        ),
    ),
    Break(
        name="a package with other bytes than the lock's",
        file="images/mirrors.py",
        old="if (got := sha256(data).hexdigest()) != package.sha256:",
        new="if (got := sha256(data).hexdigest()) is None:",
        tests=(
            "tests/images/test_mirrors.py::test_a_mirror_that_moved_on_stops_the_bake_and_names_the_packages",
        ),
    ),
    Break(
        name="an event in RTMR3 before the settings",
        file="runtime/attestation/attester/measure.py",
        old="    if any(before):",
        new="    if not before:",
        tests=("tests/attestation/attester/test_measure.py::test_a_second_event_is_refused",),
    ),
    Break(
        name="RTMR3 in a folder that the boot step may not write",
        file="images/units/tunnel-settings.service",
        old="ReadWritePaths=-/sys/devices/virtual/misc/tdx_guest/measurements\n",
        new="",
        tests=("tests/images/test_rootfs.py::test_rtmr3_can_be_written_when_the_settings_are_measured",),
    ),
    Break(
        name="a kernel that cannot attest",
        file="images/rootfs.py",
        old='if lacking := contents.lacks(files[home + "config"].decode()):',
        new='if lacking := contents.lacks(files[home + "config"].decode())[:0]:',
        tests=("tests/images/test_rootfs.py::test_a_kernel_without_what_attests_stops_the_bake",),
    ),
    Break(
        name="kernel settings that a compromised tunnel could write",
        file="images/units/tunnel.service",
        old="ReadOnlyPaths=-/sys/kernel -/sys/module -/sys/power\n",
        new="",
        tests=("tests/images/test_rootfs.py::test_sysfs_is_read_only_folder_by_folder",),
    ),
    Break(
        name="a release with another disk",
        file="images/release.py",
        old="if digest != artefact.sha256.hex():",
        new="if digest is None:",
        tests=("tests/images/test_release.py::test_a_file_that_was_swapped_is_named",),
    ),
)
