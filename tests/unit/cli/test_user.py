"""``user`` and ``usage``: the file first, then the boards, and words for what went wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from wulfling import spec
from wulfling.cli import river
from wulfling.components import PEOPLE
from wulfling.errors import Unreachable, WulflingError
from wulfling.model.cluster import Hardware
from wulfling.model.plan import Status
from wulfling.proc import Finished
from wulfling.transport import ssh
from wulfling.transport.fake import Answers, Fake
from wulfling.transport.link import Address

Run = Callable[..., tuple[int, str, str]]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPfgmCHLLnCcDXMn13FYa1C2j6Dc1WB20XRZd9slLZvs lee@x"
GONE = Unreachable("10.9.9.2: No route to host", where="two")
DONE = "submitted lee 0 7\nJobId=7 JobName=wulfling-first JobState=COMPLETED NodeList=two\n"


class Anything(Mapping[str, Status]):
    """Every key is as declared, but for those that are named."""

    def __init__(self, differs: Mapping[str, Status]) -> None:
        self._differs = differs

    def __getitem__(self, key: str) -> Status:
        return self._differs.get(key, Status.OK)

    def __contains__(self, key: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(self._differs)

    def __len__(self) -> int:
        return len(self._differs)


class Boards(Fake):
    """Both boards; ``scripts`` are what they were asked besides, ``said`` what they answer."""

    def __init__(self, nodes: Mapping[str, Answers | WulflingError]) -> None:
        super().__init__(nodes)
        self.scripts: list[str] = []
        self.said: dict[str, str] = {"sbatch": DONE, "--format=%A": ""}

    async def run(
        self,
        to: Address,
        argv: Sequence[str],
        *,
        stdin: str = "",
        root: bool = False,
        timeout: float | None = 60,
    ) -> Finished:
        """What is said to the first word that occurs in a script."""
        self._answers(to)
        self.scripts.append(stdin)
        answer = next(text for word, text in self.said.items() if word in stdin)
        return Finished(tuple(argv), int(answer.startswith("error")), answer, answer)

    def keys(self, node: str) -> set[str]:
        """What was declared to a node."""
        told = self.links[node].heard[1]["resources"]
        return {str(values.get("path") or values.get("user") or values["kind"]) for values in told}


@pytest.fixture
def boards(file: Path, board: Hardware, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Boards]:
    """Puts boards at the other end, ``two`` as it is said."""

    def put(two: Mapping[str, Status] | WulflingError | None = None) -> Boards:
        away = two if isinstance(two, WulflingError) else None
        differs = two if isinstance(two, Mapping) else {}
        fake = Boards(
            {
                "one": Answers(hardware=board, steps=Anything({})),
                "two": away or Answers(hardware=board, steps=Anything(differs)),
            }
        )
        monkeypatch.setattr(river, "Ssh", lambda: fake)
        monkeypatch.setattr(ssh, "Ssh", lambda: fake)
        return fake

    return put


def test_add(run: Run, file: Path, boards: Callable[..., Boards]) -> None:
    before = file.read_text()
    fake = boards()
    words = ("--limit", "cpu=4,mem=1G", "--account", "school", "--key", KEY)
    code, out, err = run("user", "add", "lee", *words)
    assert (code, out) == (
        0,
        "ok   lee: first job: job 7 ran on two, in the home and as number "
        f"{spec.resolve(spec.load(file), {}, None, ()).people[1].uid}\n",
    )
    assert err.startswith("lee written into cluster.yaml\n1 in ")
    line = f'  lee: {{account: school, limits: {{cpu: 4, mem: 1G}}, keys: ["{KEY}"]}}\n'
    assert file.read_text() == before.replace("school}\n", f"school}}\n{line}")
    assert fake.links["two"].heard[1]["scope"] == PEOPLE
    assert {"kim", "lee", "/etc/ssh/authorized_keys.d/lee"} <= fake.keys("two")
    assert not {"packages", "/etc/hosts", "/etc/slurm/slurm.conf"} & fake.keys("one")


def test_add_again_goes_on_and_otherwise_is_refused(
    run: Run, file: Path, boards: Callable[..., Boards]
) -> None:
    boards()
    assert run("user", "add", "lee", "--key", KEY)[0] == 0
    text = file.read_text()
    code, _, err = run("user", "add", "lee", "--key", KEY)
    assert (code, file.read_text()) == (0, text)
    assert "has everybody already" in err
    code, _, err = run("user", "add", "lee", "--quota", "1G")
    assert (code, file.read_text()) == (1, text)
    assert err.startswith("cluster.yaml:8:3: error: lee is in the file already")


def test_the_first_quota_is_a_whole_apply(
    run: Run, file: Path, boards: Callable[..., Boards]
) -> None:
    """It needs a package; the second needs none."""
    fake = boards()
    assert "first quota" in run("user", "add", "lee", "--quota", "1G", "--no-job")[2]
    assert "/etc/hosts" in fake.keys("one")
    fake = boards()
    assert "first quota" not in run("user", "add", "park", "--quota", "1G", "--no-job")[2]
    assert "/etc/hosts" not in fake.keys("one")


def test_somebody_without_a_key_is_told(run: Run, boards: Callable[..., Boards]) -> None:
    boards()
    assert "lee has no key" in run("user", "add", "lee", "--no-job")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("Lee",), "NAME: 'Lee' has capital letters in it: write lee"),
        (("munge",), "NAME: munge is an account"),
        (("lee", "--limit", "cpus=4"), "--limit: 'cpus' is no limit: did you mean `cpu`?"),
        (("lee", "--quota", "10"), "--quota: the size '10' has no unit"),
        (("lee", "--uid", "5"), "--uid: 5 is not between"),
        (("lee", "--key", "x.pub"), "--key: there is no key file 'x.pub'"),
    ],
)
def test_words_that_mean_nothing(
    run: Run, file: Path, home: Path, words: tuple[str, ...], said: str
) -> None:
    before = file.read_text()
    code, _, err = run("user", "add", *words)
    assert (code, said in err) == (64, True), err
    assert file.read_text() == before
    assert not (home / "ssh-was-started").exists()


def test_a_board_that_fails_leaves_the_line_and_says_what_to_type(
    run: Run, file: Path, boards: Callable[..., Boards]
) -> None:
    fake = boards({"user:lee": Status.FAILED})
    code, out, err = run("user", "add", "lee")
    assert code == 4
    assert "two:  ! user:lee" in out
    assert "next: wulfling -f cluster.yaml apply" in err
    assert "lee: {}" in file.read_text()
    assert fake.scripts == []


def test_a_board_that_is_away_leaves_the_others(run: Run, boards: Callable[..., Boards]) -> None:
    fake = boards(GONE)
    code, out, _ = run("user", "add", "lee")
    assert code == 3
    assert "two: unreachable" in out
    assert "ok   lee" in out
    assert len(fake.scripts) == 1


def test_a_job_that_fails_exits_with_4(run: Run, boards: Callable[..., Boards]) -> None:
    boards().said["sbatch"] = "submitted lee 1 Invalid account\n"
    code, out, _ = run("user", "add", "lee")
    assert code == 4
    assert "BAD  lee: first job: Slurm takes no job: Invalid account" in out


def test_import(run: Run, file: Path, home: Path, boards: Callable[..., Boards]) -> None:
    fake = boards()
    (home / "class.csv").write_text(f"name,key,quota\nlee,{KEY},\npark,,1G\n")
    code, _, err = run("user", "import", "class.csv", "--account", "class26", "--no-job")
    assert code == 0, err
    assert "2 people written into cluster.yaml" in err
    people = spec.load(file).people
    assert [(p.account, p.quota) for p in people.values()] == [
        ("school", None),
        ("class26", None),
        ("class26", 1024),
    ]
    assert {"lee", "park"} <= fake.keys("two")
    again = run("user", "import", "class.csv", "--account", "class26")
    assert (again[0], "has everybody already" in again[2]) == (4, True), "park's job is not told"


def test_a_list_with_mistakes_writes_nothing(run: Run, file: Path, home: Path) -> None:
    before = file.read_text()
    (home / "class.csv").write_text("name,quota\nLee,1G\npark,ten\n")
    code, _, err = run("user", "import", "class.csv")
    assert code == 6
    assert "class.csv:2:1: error: 'Lee' has capital letters" in err
    assert "class.csv:3:6: error: 'ten' is not a size" in err
    assert "2 problems; no board was touched" in err
    assert file.read_text() == before
    assert not (home / "ssh-was-started").exists()


def test_remove(run: Run, file: Path, boards: Callable[..., Boards]) -> None:
    before = file.read_text()
    fake = boards()
    run("user", "add", "lee", "--no-job")
    code, out, _ = run("user", "remove", "lee")
    assert (code, out) == (0, "the home stays: /home/lee on one\n")
    assert file.read_text() == before
    assert "lee" not in fake.keys("two")


def test_remove_is_refused_while_jobs_are_there(
    run: Run, file: Path, boards: Callable[..., Boards]
) -> None:
    before = file.read_text()
    fake = boards()
    fake.said["--format=%A"] = "41\n42\n"
    code, _, err = run("user", "remove", "kim")
    assert (code, file.read_text()) == (4, before)
    assert "one: error: kim has 2 jobs that run or wait: 41, 42" in err
    assert "--cancel-jobs" in err
    fake.said["scancel"] = ""
    fake.said = {"scancel --user=kim": "", **fake.said}
    code, _, err = run("user", "remove", "kim", "--cancel-jobs")
    assert code == 0
    assert "2 of kim's jobs are cancelled" in err


def test_remove_and_archive(run: Run, boards: Callable[..., Boards]) -> None:
    fake = boards()
    fake.said["tar --create"] = "/home/.archive/kim-1.tar.gz\n"
    code, out, _ = run("user", "remove", "kim", "--archive")
    assert (code, out) == (0, "one: the home is packed: /home/.archive/kim-1.tar.gz\n")
    # Killed before it was packed: the same command again.
    fake.said["tar --create"] = ""
    code, out, _ = run("user", "remove", "kim", "--archive")
    assert (code, out) == (0, "one: there is no home any more\n")


def test_nothing_is_packed_while_a_board_lets_the_person_in(
    run: Run, boards: Callable[..., Boards]
) -> None:
    fake = boards(GONE)
    code, _, err = run("user", "remove", "kim", "--archive")
    assert code == 3
    assert "next: wulfling -f cluster.yaml user remove kim --archive   # again" in err
    assert not any("tar" in text for text in fake.scripts)


def test_remove_nobody(run: Run, file: Path) -> None:
    code, _, err = run("user", "remove", "kin")
    assert code == 1
    assert err == "cluster.yaml: error: there is nobody called 'kin'\n  hint: did you mean `kim`?\n"


def test_list(run: Run, boards: Callable[..., Boards]) -> None:
    fake = boards()
    fake.said["squeue"] = "kim R\n"
    code, out, _ = run("user", "list")
    assert code == 0
    assert out.splitlines()[1].split() == [
        *("kim", "2001", "school", "-", "-", "-"),
        *("1", "run,", "0", "wait", "none"),
    ]
    assert json.loads(run("user", "list", "-o", "json")[1])[0]["running"] == 1


def test_list_without_the_head(
    run: Run, boards: Callable[..., Boards], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = boards()
    fake._nodes["one"] = GONE
    code, out, err = run("user", "list")
    assert (code, "kim" in out) == (3, True)
    assert err == "one: 10.9.9.2: No route to host\n"


def test_usage(run: Run, boards: Callable[..., Boards]) -> None:
    boards().said["sacct"] = "school|kim|COMPLETED|3600|7200|cpu=2,mem=512M,node=1\n"
    code, out, err = run("usage", "--since", "2026-11-01")
    assert code == 0
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["school", "kim", "1", "0", "0", "2.00", "0.50"],
        ["school", "(all)", "1", "0", "0", "2.00", "0.50"],
    ]
    assert err.startswith("from 2026-11-01 00:00 to ")
    assert json.loads(run("usage", "-o", "json")[1])["accounts"][0]["cpu_hours"] == 2.0


def test_a_time_that_ends_before_it_begins(run: Run, file: Path) -> None:
    code, _, err = run("usage", "--since", "2026-11-02", "--until", "2026-11-01")
    assert (code, "not before the end" in err) == (64, True)
