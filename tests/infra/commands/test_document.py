"""A document is read strictly before it is signed, and what is published only rises."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra import cli, owner_key
from infra.commands import document
from runtime.documents import dsse, fleet, routes, times
from runtime.errors import DocumentError
from tests.attestation import platforms
from tests.fakes import machines
from tests.fakes.fleets import open_signed

ROUTES = {
    "schema": "tunnel-routes/1",
    "version": 1,
    "routes": [{"hostname": "a.test", "service": "tls://127.0.0.1:1"}],
}
Run = Callable[..., int]


@pytest.fixture
def draft() -> dict[str, Any]:
    example = Path(fleet.__file__).parent / "examples" / "fleet.json"
    found: dict[str, Any] = json.loads(example.read_text())
    now = time.time()
    for entry in (*found["images"], *found["firmware"]):
        entry["not_after"] = times.show(now + 60 * times.DAY_S)
    return found | {"issued_at": times.show(now), "expires_at": times.show(now + 14 * times.DAY_S)}


@pytest.fixture
def lacking(draft: dict[str, Any]) -> dict[str, Any]:
    """The draft without what Azure's firmware measures to."""
    kept = [entry for entry in draft["firmware"] if not entry["format"].startswith("azure")]
    return draft | {"firmware": kept}


@pytest.fixture
def public(tmp_path: Path) -> bytes:
    return owner_key.create(tmp_path / "owner.pem")


@pytest.fixture
def sign(tmp_path: Path, public: bytes) -> Run:
    assert public

    def sign_it(value: object, *more: str, key: str = "owner.pem") -> int:
        source = tmp_path / "in.json"
        source.write_text(json.dumps(value))
        arguments = ["--key", tmp_path / key, "--in", source, "--out", tmp_path / "out.json", *more]
        return cli.main(["document", "--sign", *map(str, arguments)])

    return sign_it


def test_signed_is_what_a_member_opens(
    tmp_path: Path, draft: dict[str, Any], public: bytes, sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(draft) == 0
    opened = open_signed((tmp_path / "out.json").read_bytes(), (public,))
    assert opened.version == 1
    assert opened.digest.hex() in capsys.readouterr().out
    with pytest.raises(DocumentError, match="no signature by the owner keys"):
        open_signed((tmp_path / "out.json").read_bytes(), (owner_key.create(tmp_path / "other.pem"),))


def test_routes_are_signed_as_routes(tmp_path: Path, public: bytes, sign: Run) -> None:
    assert sign(ROUTES, "--routes") == 0
    envelope = (tmp_path / "out.json").read_bytes()
    assert routes.read(dsse.open_envelope(envelope, dsse.ROUTES_TYPE, (public,))).version == 1
    with pytest.raises(DocumentError, match="payloadType"):
        open_signed(envelope, (public,))


def test_all_problems_are_told_and_nothing_is_written(
    tmp_path: Path, draft: dict[str, Any], sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    draft["membres"] = draft.pop("members")
    draft["version"] = 0
    assert sign(draft, "--json") == 2
    problems = json.loads(capsys.readouterr().out)["error"]["problems"]
    assert any("did you mean 'members'?" in problem["message"] for problem in problems)
    assert any(problem["path"] == "$.version" for problem in problems)
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(("shift", "wrong"), [(-30, "$.expires_at"), (1, "$.issued_at")])
def test_a_document_is_signed_in_its_own_time(
    draft: dict[str, Any], sign: Run, capsys: pytest.CaptureFixture[str], shift: int, wrong: str
) -> None:
    for name in ("issued_at", "expires_at"):
        draft[name] = times.show(times.parse(draft[name]) + shift * times.DAY_S)
    assert sign(draft) == 2
    assert wrong in capsys.readouterr().err


def test_an_opt_in_to_no_known_attack_is_refused_by_name(
    draft: dict[str, Any], sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    milan = draft["reference_values"]["gcp-snp"]["snp"]["products"]["Milan"]
    milan["opt_in"].append({"weakness": "cve-2024-21945", "reason": "no module of ours is doctored"})
    assert sign(draft) == 2
    told = capsys.readouterr().err
    assert "snp.products.Milan.opt_in: names 'cve-2024-21945', which is no known attack on Milan" in told
    assert "want arxiv-2605.12990, cve-2024-21944, cve-2024-56161" in told


def test_a_key_that_others_may_read_signs_nothing(
    tmp_path: Path, draft: dict[str, Any], sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "owner.pem").chmod(0o644)
    assert sign(draft) == 2
    told = capsys.readouterr().err
    assert "has mode 0644, want 0600" in told
    assert "hint: chmod 600" in told
    assert not (tmp_path / "out.json").exists()


def test_publishing_puts_it_where_the_urls_point_and_only_rises(
    tmp_path: Path, draft: dict[str, Any], public: bytes, sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "web")
    assert sign(draft, "--publish", folder) == 0
    assert sign(draft, "--publish", folder) == 0  # the same again is no change
    published = tmp_path / "web" / "fleet.json"
    assert open_signed(published.read_bytes(), (public,)).version == 1
    before = published.read_bytes()
    assert sign(draft | {"tunnel_name": "other.example.com"}, "--publish", folder) == 2
    assert "is 1, want more than the published 1" in capsys.readouterr().err
    assert published.read_bytes() == before
    assert sign(draft | {"version": 2, "tunnel_name": "other.example.com"}, "--publish", folder) == 0
    assert [path.name for path in published.parent.iterdir()] == ["fleet.json"]


def test_another_owner_s_document_is_not_replaced(
    tmp_path: Path, draft: dict[str, Any], sign: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sign(draft, "--publish", str(tmp_path)) == 0
    owner_key.create(tmp_path / "other.pem")
    assert sign(draft | {"version": 9}, "--publish", str(tmp_path), key="other.pem") == 2
    assert "cannot be compared" in capsys.readouterr().err


def test_checking_needs_no_key(
    tmp_path: Path, draft: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(json.dumps(draft))
    assert cli.main(["document", "--in", str(tmp_path / "in.json"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["signed"], answer["members"], answer["version"]) == (False, 2, 1)


@pytest.mark.parametrize(
    "arguments",
    [["--sign"], ["--key", "k"], ["--sign", "--key", "k"], ["--publish", "d"], ["--out", "o", "--sign"]],
)
def test_half_a_command_is_refused(
    tmp_path: Path, draft: dict[str, Any], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.json").write_text(json.dumps(draft))
    assert cli.main(["document", "--in", str(tmp_path / "in.json"), *arguments]) == 2
    assert "tunnel-fleet: -" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["document", "--in", str(tmp_path / "none.json")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_only_the_given_moment_decides(draft: dict[str, Any]) -> None:
    payload = json.dumps(draft).encode()
    issued = times.parse(draft["issued_at"])
    assert document.read_fleet(payload, issued - 299).version == 1
    with pytest.raises(DocumentError, match="which is to come"):
        document.read_fleet(payload, issued - 301)
    with pytest.raises(DocumentError, match="which is past"):
        document.read_fleet(payload, issued + 14 * times.DAY_S + 1)
    assert document.read_fleet(payload, issued + 14 * times.DAY_S).version == 1  # its last second


def look(tmp_path: Path, value: object, *more: str) -> int:
    source = tmp_path / "looked-at.json"
    source.write_text(json.dumps(value))
    return cli.main(["document", "--in", str(source), *more])


def test_explain_says_in_sentences_what_is_accepted(
    tmp_path: Path, draft: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look(tmp_path, draft, "--explain") == 0
    assert "evidence of format azure-tdx is accepted if" in capsys.readouterr().out


def test_diff_marks_what_lets_more_in(
    tmp_path: Path, draft: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before.json").write_text(json.dumps(draft))
    assert look(tmp_path, draft, "--diff", str(tmp_path / "before.json")) == 0
    assert capsys.readouterr().out == "the two documents say the same\n"
    looser = draft | {"version": 2, "least_grade": draft["least_grade"] | {"client": "N"}}
    assert look(tmp_path, looser, "--diff", str(tmp_path / "before.json")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["LOOSENS  $.least_grade.client: V → N", "changes  $.version: 1 → 2"]
    assert look(tmp_path, looser, "--json", "--diff", str(tmp_path / "before.json")) == 0
    found = json.loads(capsys.readouterr().out)["changes"]
    assert [change["effect"] for change in found] == ["loosens", "changes"]


def test_of_two_documents_the_one_that_is_wrong_is_named(
    tmp_path: Path, draft: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before.json").write_text(json.dumps(draft | {"images": draft["images"] * 2}))
    assert look(tmp_path, draft, "--diff", str(tmp_path / "before.json")) == 2
    assert f"fleet document {tmp_path / 'before.json'} is not valid" in capsys.readouterr().err


def test_check_names_what_cannot_work(
    tmp_path: Path, draft: dict[str, Any], lacking: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert look(tmp_path, lacking, "--check") == 2
    said = capsys.readouterr()
    doubts = said.out.splitlines()
    assert any("has no snp_measurement for azure-snp" in doubt for doubt in doubts)
    assert said.err == (
        f"tunnel-fleet: the fleet document has {len(doubts)} doubts\n"
        "hint: it can be signed so, and then does what this says\n"
    ), "each is told once"
    assert look(tmp_path, draft, "--check") == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    assert look(tmp_path, draft | {"members": []}, "--check") == 2
    assert look(tmp_path, ROUTES, "--routes", "--check") == 2


def test_a_program_reads_one_answer_however_it_ends(
    tmp_path: Path,
    draft: dict[str, Any],
    lacking: dict[str, Any],
    sign: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def answer() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(capsys.readouterr().out)  # fails on two
        return found

    assert look(tmp_path, lacking, "--check", "--json") == 2
    doubted = answer()
    assert any("has no snp_measurement for azure-snp" in doubt["message"] for doubt in doubted["doubts"])
    assert look(tmp_path, draft | {"members": []}, "--check", "--explain", "--json") == 2
    assert answer()["error"]["problems"]
    assert sign(lacking, "--check", "--json") == 2
    assert answer() == doubted, "nothing is signed that has doubts"
    assert not (tmp_path / "out.json").exists()
    (tmp_path / "before.json").write_text(json.dumps(draft))
    later = draft | {"version": 2}
    assert sign(later, "--check", "--diff", str(tmp_path / "before.json"), "--explain", "--json") == 0
    signed = answer()
    assert (signed["signed"], signed["version"]) == (True, 2)
    assert [change["path"] for change in signed["changes"]] == ["$.version"]
    assert signed["sentences"]
    assert sign(later, "--explain", "--json", key="none.pem") == 2
    assert "none.pem" in answer()["error"]["message"]
    assert look(tmp_path, draft, "--sign", "--json") == 2
    assert answer()["error"]["code"] == "usage"


def test_what_a_draft_says_of_itself_is_no_line_of_ours(
    tmp_path: Path, draft: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before.json").write_text(json.dumps(draft))
    forged = "for a while\n\x1b[1A\x1b[2Kthe two documents say the same"
    draft["waivers"] = [
        {"name": "w", "check": "td.pks", "member": "*", "reason": forged, "not_after": draft["expires_at"]}
    ]
    assert look(tmp_path, draft, "--explain", "--diff", str(tmp_path / "before.json")) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert not any(line.startswith("the two documents") for line in said.splitlines())
    assert sum("for a while\\n\\x1b[1A" in line for line in said.splitlines()) == 2


def test_the_values_of_a_platform_are_come_by_as_operations_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/operations.md, "The Reference Values of a platform": Azure's TDX from nothing to grade P."""
    machine, now = machines.azure_tdx(), time.time()
    later = times.show(now + 60 * times.DAY_S)
    dates = {"issued_at": times.show(now), "expires_at": times.show(now + 14 * times.DAY_S)}
    whole: dict[str, Any] = (
        platforms.document(machine, purpose="production", least_grade=least("P"), version=3) | dates
    )
    for entry in (*whole["images"], *whole["firmware"]):
        entry["not_after"] = later
    unknown = whole | {"firmware": [], "version": 1}
    assert look(tmp_path, unknown, "--check") == 2
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[2].partition(":")[0] for line in said] == [
        " has no mrtd for azure-tdx",
        " has no pcr7_sha256 for azure-tdx",
    ]
    waivers = [
        {
            "name": f"w{index}",
            "check": check,
            "member": "client-1",
            "reason": "first boot",
            "not_after": later,
        }
        for index, check in enumerate(("firmware.measurement", "firmware.pcr7"))
    ]
    waived = unknown | {"waivers": waivers, "least_grade": least("N"), "version": 2}
    hardware = platforms.as_hardware(machine.roots)
    in_its_time = {name: platforms.document(machine)[name] for name in dates}
    assert platforms.appraise(machine, waived | in_its_time, roots=hardware).grade == "N"
    assert look(tmp_path, whole, "--check") == 0
    assert capsys.readouterr().out == "nothing is wrong\n"
    (tmp_path / "before.json").write_text(json.dumps(waived))
    assert look(tmp_path, whole, "--explain", "--diff", str(tmp_path / "before.json")) == 0
    lines = capsys.readouterr().out.splitlines()
    marks = {line[9:].split(" ")[0]: line[:8].rstrip() for line in lines if line[:8].rstrip() in MARKS}
    assert marks == {
        "firmware": "LOOSENS",
        "waiver": "tightens",
        "$.least_grade.client:": "tightens",
        "$.least_grade.server:": "tightens",
        "$.least_grade.key_receiver:": "tightens",
        "$.version:": "changes",
    }
    for entry in whole["firmware"]:
        assert any(entry["value"] in line for line in lines)
    assert platforms.appraise(machine, whole | in_its_time, roots=hardware).grade == "P"


MARKS = {"LOOSENS", "tightens", "changes"}


def least(grade: str) -> dict[str, str]:
    return dict.fromkeys(("server", "client", "key_receiver"), grade)
