"""A MariaDB database that one system user reaches through the socket, without a password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wulfling.model.resource import NotYet, Resource
from wulfling.node.board import Board


@dataclass(frozen=True, kw_only=True)
class Database(Resource):
    """A database and the account that may do everything with it (2-33). MariaDB asks the
    kernel who is calling (unix_socket), so there is no password to leak."""

    kind: ClassVar[str] = "database"

    database: str
    user: str

    @property
    def name(self) -> str:
        return self.database

    def observe(self, board: Board) -> Database | None:
        """The database with its account. Raises ``NotYet`` while MariaDB does not answer."""
        code, out, _ = board.ask(self._question())
        if code != 0:
            raise NotYet("service:mariadb.service")
        return self if out.split() == ["1", "1", "1"] else None

    def expect(self, board: Board) -> None:
        """Have MariaDB asked now."""
        board.expect(self._question())

    def _question(self) -> tuple[str, ...]:
        question = (
            f"SELECT (SELECT COUNT(*) FROM information_schema.schemata"
            f" WHERE schema_name = '{self.database}'),"
            f" (SELECT COUNT(*) FROM mysql.global_priv WHERE user = '{self.user}'"
            f" AND host = 'localhost' AND priv LIKE '%unix_socket%'),"
            f" (SELECT COUNT(*) FROM mysql.db WHERE db = '{self.database}'"
            f" AND user = '{self.user}' AND create_priv = 'Y')"
        )
        return ("mariadb", "--batch", "--skip-column-names", "-e", question)

    def converge(self, board: Board, observed: Resource | None) -> None:
        """Create both; what is there stays."""
        board.run(["mariadb"], stdin=self._statements())

    def commands(self) -> tuple[str, ...]:
        return (f"sudo mariadb <<'EOF'\n{self._statements()}EOF",)

    def undo(self) -> tuple[str, ...]:
        return (f'sudo mariadb -e "DROP DATABASE {self.database}"   # all finished jobs are lost',)

    def _statements(self) -> str:
        account = f"'{self.user}'@'localhost'"
        return (
            f"CREATE DATABASE IF NOT EXISTS {self.database};\n"
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED VIA unix_socket;\n"
            f"ALTER USER {account} IDENTIFIED VIA unix_socket;\n"
            f"GRANT ALL ON {self.database}.* TO {account};\n"
        )
