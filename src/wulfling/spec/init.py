"""The text of a starter file: a cluster that loads as it is, with what to change in comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from wulfling.errors import WulflingError
from wulfling.spec import notation
from wulfling.spec.problem import Refused, did_you_mean

_TEXT = """\
# {title}
wulfling: 1
cluster: {name}
{boards}
# {nodes}
nodes:
  rpnode01: {{address: {first}, roles: [head, compute]}}
  rpnode02: {{address: {second}, roles: [compute]}}
  filenode01: {{address: {third}, roles: [storage]}}
  # {folded}
  # rpnode[03-06]: {{address: {fourth}, roles: [compute]}}

# {storage}
storage: {{/home: filenode01, /nfs: filenode01}}

# {slurm}
slurm:
  partitions:
    batch: {{nodes: "rpnode[01-02]", default_time: 1-00:00:00, max_time: 30-00:00:00}}

# {people}
people:
  pi:
    account: compute
    limits: {{cpu: 4, mem: 1G}}
{keys}
"""

_BOARDS = {
    "virtual": "boards: virtual  # {virtual}\n",
    "real": "login: pi  # {login}\n",
}

# Virtual boards have a network of their own. Real ones are behind a router, which often has
# the first address and gives away the lowest.
_ADDRESSES = {"virtual": ("10.0.0", 1), "real": ("192.168.1", 101)}

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "A cluster of three boards. `wulfling plan` shows what this file would change.",
        "virtual": "delete this line, and the same file drives real boards",
        "login": "the account that answers on a new board",
        "nodes": "Each board: its address, and what it is for (head, compute, storage, login).",
        "folded": "Several alike in one line; their addresses count up:",
        "storage": "Directories that every board sees, and the board whose disk holds them.",
        "slurm": "Who waits where: partitions of the scheduler. `slurm: false` is MPI alone.",
        "people": "Who uses the cluster. The account is the same on every board.",
        "keys": "public keys that may log in",
    },
    "ko": {
        "title": "보드 세 대의 클러스터. `wulfling plan`은 이 파일로 무엇이 바뀔지 보여 줍니다.",
        "virtual": "이 줄을 지우면 같은 파일로 실제 보드를 다룹니다",
        "login": "새 보드에 처음 접속할 때 쓰는 계정",
        "nodes": "보드마다 주소와 역할(head, compute, storage, login)을 적습니다.",
        "folded": "같은 보드 여러 대는 한 줄로 적습니다. 주소는 하나씩 늘어납니다:",
        "storage": "모든 보드가 함께 보는 디렉터리와, 그 내용을 디스크에 담는 보드.",
        "slurm": "작업이 줄을 서는 곳: 스케줄러의 파티션. `slurm: false`이면 MPI만 씁니다.",
        "people": "클러스터를 쓰는 사람. 계정은 모든 보드에서 같습니다.",
        "keys": "로그인할 수 있는 공개 키",
    },
}

LANGUAGES = tuple(_WORDS)

_PLAIN = re.compile(r"[~/A-Za-z0-9][A-Za-z0-9_./-]*")  # needs no quotes in YAML


def starter(
    name: str, boards: str = "virtual", *, lang: str = "en", keys: Sequence[str] = ()
) -> str:
    """The text of a cluster file called ``name`` that loads without findings.

    ``boards`` is ``virtual`` or ``real``, ``lang`` the language of the comments (``en`` or
    ``ko``). ``keys`` are paths of public keys, or keys; without any the line is a comment.
    Raises ``WulflingError`` for a name that no cluster can have and for unknown words.
    """
    try:
        notation.cluster_name(name)
    except Refused as refused:
        raise WulflingError(refused.message, hint=refused.hint) from None
    words = _WORDS.get(lang.split("_", maxsplit=1)[0].split("-", maxsplit=1)[0])
    if words is None:
        hint = did_you_mean(lang, LANGUAGES, "languages")
        raise WulflingError(f"there are no comments in the language {lang!r}", hint=hint)
    if boards not in _BOARDS:
        hint = did_you_mean(boards, tuple(_BOARDS), "kinds")
        raise WulflingError(f"{boards!r} is no kind of boards", hint=hint)
    prefix, first = _ADDRESSES[boards]
    order = ("first", "second", "third", "fourth")
    return _TEXT.format(
        **{**words, "keys": _keys_line(keys, words["keys"])},
        **{word: f"{prefix}.{first + n}" for n, word in enumerate(order)},
        name=name,
        boards=_BOARDS[boards].format(**words),
    )


def _keys_line(keys: Sequence[str], comment: str) -> str:
    if not keys:
        return f"    # keys: [~/.ssh/id_ed25519.pub]  # {comment}"
    items = (key if _PLAIN.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in keys)
    return f"    keys: [{', '.join(items)}]  # {comment}"
