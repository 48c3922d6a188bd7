"""SQLite's locks on its file hold as long as any connection of the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from service.database.connect import Database

VISIT = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM things'); c.close()"


def test_another_process_that_closes_leaves_the_journal_in_use(tmp_path: Path):
    path = tmp_path / "jobs.sqlite3"
    first, second = Database(f"sqlite:///{path}"), Database(f"sqlite:///{path}")
    with first.write() as connection:
        connection.exec_driver_sql("CREATE TABLE things (name)")
    with first.write() as connection:
        connection.exec_driver_sql("INSERT INTO things VALUES ('kept')")
        with second.read() as other:  # a new connection of this process, made while the first is at work
            other.exec_driver_sql("SELECT 1")
    journal = path.with_name("jobs.sqlite3-wal")
    before = journal.stat().st_ino
    for _ in range(2):
        subprocess.run([sys.executable, "-c", VISIT, str(path)], check=True)
    assert journal.stat().st_ino == before
    first.close()
    second.close()
