"""The tables. Times are seconds since 1970 in UTC, as floats: every database compares them alike."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

metadata = MetaData(
    naming_convention={"ix": "ix_%(column_0_label)s", "uq": "uq_%(table_name)s_%(column_0_name)s"}
)

ID = String(32)
SHA256 = String(64)

jobs = Table(
    "jobs",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", ID, nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("request", Text, nullable=False),
    Column("inputs", Text, nullable=False),
    Column("cost", Float, nullable=False),
    Column("idempotency_key", String(255)),
    Column("fingerprint", SHA256, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("finished_at", Float),
    Column("attempts", Integer, nullable=False),
    Column("worker", ID),
    Column("lease_token", Integer, nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("attended", Boolean, nullable=False, server_default=false()),
    Column("result", Text),
    Column("problem", Text),
    UniqueConstraint("owner", "idempotency_key"),
    Index("ix_jobs_state_seq", "state", "seq"),
    Index("ix_jobs_owner_seq", "owner", "seq"),
    Index("ix_jobs_state_owner_seq", "state", "owner", "seq"),
    Index("ix_jobs_finished_at", "finished_at"),
)

job_events = Table(
    "job_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("job_id", ID, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("type", String(16), nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_job_events_job_id_id", "job_id", "id"),
    sqlite_autoincrement=True,  # ids are never reused, or a client could resume from another job's event
)

turns = Table(
    "turns",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
)
"""The turn at which a job of each key was last started."""

workers = Table(
    "workers",
    metadata,
    Column("id", ID, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("seen_at", Float, nullable=False),
    Column("facts", Text, nullable=False),
)

image_owners = Table(
    "image_owners",
    metadata,
    Column("sha256", SHA256, primary_key=True),
    Column("owner", String(64), primary_key=True),
    Column("created_at", Float, nullable=False),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sha256", SHA256, nullable=False),
    Column("region", Integer, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("created_at", Float, nullable=False),
    UniqueConstraint("sha256", "region", "owner"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("hash", SHA256, nullable=False, unique=True),
    Column("scopes", String(255), nullable=False),
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
)
