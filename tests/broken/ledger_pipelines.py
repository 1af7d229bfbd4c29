"""Defences of the pipelines, broken on purpose. Pure."""

from __future__ import annotations

from tests.broken.entry import Break

BREAKS: tuple[Break, ...] = (
    Break(
        name="a stranger's words out of their fence",
        file="pipelines/comment.py",
        old=' and letter != "`"',
        new="",
        tests=("tests/pipelines/test_comment.py",),
    ),
    Break(
        name="image files of any digest",
        file="pipelines/artefacts",
        old='if [ -s "$list" ]',
        new="if false",
        tests=("tests/pipelines/test_scripts.py",),
    ),
    Break(
        name="long-lived keys in a pipeline",
        file="pipelines/credentials",
        old='[ -z "$value" ] || fail "$name is set',
        new='true || fail "$name is set',
        tests=("tests/pipelines/test_scripts.py",),
    ),
    Break(
        name="an up without guardrails",
        file="pipelines/stack",
        old='--yes --stack "$stack" --policy-pack infra/guardrails',
        new='--yes --stack "$stack"',
        tests=("tests/pipelines/test_scripts.py",),
    ),
    Break(
        name="a secret in the preview of a pull request",
        file="pipelines/github/preview.yml",
        old="          GH_TOKEN: ${{ github.token }}",
        new="          GH_TOKEN: ${{ secrets.TOKEN }}",
        tests=("tests/pipelines/test_workflows.py",),
    ),
)
