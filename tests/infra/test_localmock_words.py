"""What a field may say is mined from its description, and what is listed by hand wins."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.localmock.words import allowed_words, mined


@pulumi.input_type
class InstanceMetadataOptionsArgs:  # the name of a class in the table, another one's text
    def __init__(
        self, *, http_tokens: Any = None, tier: Any = None, lone: Any = None, plain: Any = None
    ) -> None:
        """Take every field.

        :param pulumi.Input[str] http_tokens: Valid values are `a` or `b`.
        :param pulumi.Input[str] tier: The tier. Possible values are: `HOT`, `COLD`, and `ICE`.
        :param pulumi.Input[str] lone: Valid values are `one`.
        :param pulumi.Input[str] plain: Anything.
        """
        for name, value in (("http_tokens", http_tokens), ("tier", tier), ("lone", lone), ("plain", plain)):
            pulumi.set(self, name, value)

    @property
    @pulumi.getter(name="httpTokens")
    def http_tokens(self) -> Any:
        return pulumi.get(self, "http_tokens")

    @property
    @pulumi.getter
    def tier(self) -> Any:
        return pulumi.get(self, "tier")

    @property
    @pulumi.getter
    def lone(self) -> Any:
        return pulumi.get(self, "lone")

    @property
    @pulumi.getter
    def plain(self) -> Any:
        return pulumi.get(self, "plain")


def test_words_are_mined_from_a_description() -> None:
    assert mined(InstanceMetadataOptionsArgs) == {"httpTokens": ("a", "b"), "tier": ("HOT", "COLD", "ICE")}
    assert allowed_words(InstanceMetadataOptionsArgs, "tier") == ("HOT", "COLD", "ICE")
    assert allowed_words(InstanceMetadataOptionsArgs, "lone") == ()


def test_the_table_wins() -> None:
    assert allowed_words(InstanceMetadataOptionsArgs, "httpTokens") == ("required", "optional")
