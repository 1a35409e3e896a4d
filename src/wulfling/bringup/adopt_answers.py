"""The file of answers: what a person would type while boards are adopted, for each node."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from wulfling import proc
from wulfling.errors import BadFile, WulflingError
from wulfling.spec import document
from wulfling.spec.document import Document, Loc
from wulfling.spec.nodeset import expand
from wulfling.spec.problem import Problem, Refused, did_you_mean, show

KEYS = ("user", "password", "password_command", "new_password", "fingerprint")

COMMAND_TIMEOUT = 60.0
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_FORM = "write `rpnode01: {password: ..., fingerprint: 'SHA256:...'}`"


@dataclass(frozen=True)
class Answer:
    """What is known of one node; "" is not known. Passwords never appear in a ``repr``."""

    user: str = ""
    password: str = field(default="", repr=False)
    password_command: str = field(default="", repr=False)
    new_password: str = field(default="", repr=False)
    fingerprint: str = ""

    def with_password(self, node: str) -> Answer:
        """The same with the first line that ``password_command`` prints.

        Raises ``WulflingError`` when that fails; what it printed is not shown.
        """
        if not self.password_command:
            return self
        done = proc.run(["sh", "-c", self.password_command], check=False, timeout=COMMAND_TIMEOUT)
        password = done.stdout.partition("\n")[0]
        if done.code or not password:
            said = f": {done.stderr.strip()}" if done.stderr.strip() else ""
            what = f"ended with {done.code}{said}" if done.code else "printed nothing"
            raise WulflingError(
                f"`{self.password_command}` {what}",
                hint="run it by itself; its first line has to be the password",
                where=node,
            )
        return replace(self, password=password, password_command="")


def read(path: Path, nodes: Iterable[str]) -> Mapping[str, Answer]:
    """The answers by node of ``nodes``, those of the cluster file.

    Raises ``BadFile`` with every problem at once: a file that others may read is one, and so
    is a node that the cluster file does not have.
    """
    name = document.printable(path)
    try:
        mode = path.stat().st_mode
        content = document.regular_file(path, document.LARGEST_FILE)
    except OSError as error:
        message = f"{name} cannot be read: {document.reason(error)}"
        raise BadFile([WulflingError(message, hint=_FORM, where=name)]) from None
    if stat.S_IMODE(mode) & 0o077:
        message = f"others may read {name}: its mode is {stat.S_IMODE(mode):04o}"
        raise BadFile([WulflingError(message, hint=f"chmod 600 {name}", where=name)])
    try:
        found = document.parse(content, path)
    except BadFile as bad:
        raise BadFile([_our_words(problem) for problem in bad.problems]) from None
    answers: dict[str, Answer] = {}
    problems = [*found.problems, *_read(found, tuple(nodes), answers)]
    if problems:
        ordered = sorted(dict.fromkeys(problems), key=lambda problem: problem.place)
        raise BadFile([_our_words(problem.error(name)) for problem in ordered])
    return answers


def is_account(name: str) -> bool:
    """Whether an account can have this name."""
    return _USER.fullmatch(name) is not None


def _our_words(problem: WulflingError) -> WulflingError:
    """What is said of cluster files, said of this one. A value could be a password."""
    message = re.sub(r"^'.*' (has a control character)", r"a value \1", problem.message)
    hint = _FORM if "wulfling init" in problem.hint else problem.hint
    return WulflingError(
        message.replace("a cluster file", "a file of answers"), hint=hint, where=problem.where
    )


def _read(found: Document, nodes: tuple[str, ...], answers: dict[str, Answer]) -> Iterator[Problem]:
    for key, value in found.data.items():
        loc: Loc = (key,)
        if not isinstance(value, dict):
            message = f"{show(key)} has to be a mapping of answers"
            yield Problem(found.place(loc, key=True), message, _FORM)
            continue
        yield from _values(found, loc, value)
        try:
            names = expand(key)
        except Refused as refused:
            yield Problem(found.place(loc, key=True), refused.message, refused.hint)
            continue
        for name in names:
            if name not in nodes:
                hint = did_you_mean(name, nodes, "nodes")
                message = f"the cluster file has no node {show(name)}"
                yield Problem(found.place(loc, key=True), message, hint)
            elif name in answers:
                message = f"{name} is answered for twice"
                yield Problem(found.place(loc, key=True), message, "keep one of them")
            else:
                answers[name] = Answer(**{k: v for k, v in value.items() if k in KEYS and _text(v)})


def _values(found: Document, node: Loc, value: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong inside one node's answers; never the value of a password."""
    for key, answer in value.items():
        loc = (*node, key)
        if key not in KEYS:
            message = f"unknown key {show(key)}"
            yield Problem(found.place(loc, key=True), message, did_you_mean(key, KEYS, "keys here"))
        elif not _text(answer):
            message = f"`{key}` has to be text"
            yield Problem(found.place(loc), message, "write it in single quotes")
        elif "\n" in str(answer):
            yield Problem(found.place(loc), f"`{key}` has to be one line", "delete the line end")
        elif key == "user" and not is_account(str(answer)):
            message = f"{show(answer)} is no name of an account"
            yield Problem(found.place(loc), message, "write `user: pi`")
        elif key == "fingerprint" and not _FINGERPRINT.fullmatch(str(answer)):
            message = f"{show(answer)} is no fingerprint"
            hint = "copy it as `ssh-keygen -l` shows it: SHA256: and 43 letters"
            yield Problem(found.place(loc), message, hint)
    if "password" in value and "password_command" in value:
        place = found.place((*node, "password_command"), key=True)
        yield Problem(place, "`password` is here already", "keep one of them")


def _text(value: object) -> bool:
    return isinstance(value, str) and value != ""
