"""Files of a lake, in a folder or on s3://: listed, read, written whole, copied to local scratch.

DuckDB only ever reads local files: what lies on S3 is copied to scratch first (its httpfs extension is not bundled, and
a closed VPC cannot fetch it), so there is one read path.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

PARQUET_MAGIC = b"PAR1"
_DAY_FOLDER = re.compile(r"snapshot_date=(\d{4}-\d{2}-\d{2})$")


class LakeError(Exception):
    """The lake cannot be read or written; the message names the place and what to do."""


class Storage:
    """Files below one location, named by paths relative to it."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.is_remote = location.startswith("s3://")
        self._fs = _s3() if self.is_remote else fs.LocalFileSystem()
        self.root = location.removeprefix("s3://") if self.is_remote else str(Path(location).expanduser().resolve())
        self._scratch = tempfile.TemporaryDirectory(prefix="ecs-exposure-")
        self._handed_out: dict[str, str] = {}

    def check(self, *, create: bool) -> None:
        """Raises LakeError when the location does not exist (unless `create`), cannot be reached, or cannot be written
        to (when `create`).
        """
        try:
            if create:
                probe = self.path(f".writable-{secrets.token_hex(4)}")
                if not self.is_remote:
                    self._fs.create_dir(self.root, recursive=True)
                with self._fs.open_output_stream(probe) as stream:
                    stream.write(b"")
                self._fs.delete_file(probe)
            elif not self.is_remote and self._fs.get_file_info(self.root).type == fs.FileType.NotFound:
                raise LakeError(f"no lake at {self.location}: run `ecs-exposure scan` first, or set ECS_EXPOSURE_LAKE")
        except OSError as error:
            action = "written to" if create else "read"
            raise LakeError(
                f"the lake at {self.location} cannot be {action}: {error}. Check ECS_EXPOSURE_LAKE and its permissions"
            ) from None

    def close(self) -> None:
        self._scratch.cleanup()

    def path(self, relative: str) -> str:
        return f"{self.root}/{relative}"

    def files(self, folder: str, suffix: str = ".parquet") -> list[str]:
        selector = fs.FileSelector(self.path(folder), allow_not_found=True)
        infos = self._fs.get_file_info(selector)
        return sorted(
            f"{folder}/{info.base_name}"
            for info in infos
            if info.type == fs.FileType.File and info.base_name.endswith(suffix)
        )

    def day_folders(self, folder: str) -> list[date]:
        infos = self._fs.get_file_info(fs.FileSelector(self.path(folder), allow_not_found=True))
        matches = (_DAY_FOLDER.search(info.path.rstrip("/")) for info in infos if info.type == fs.FileType.Directory)
        return sorted(date.fromisoformat(match[1]) for match in matches if match)

    @contextmanager
    def _replacing(self, relative: str) -> Iterator[str]:
        """A path to write to, put in place of `relative` when all went well: an object on S3 appears only when it is
        complete anyway.
        """
        path = self.path(relative)
        temporary = path if self.is_remote else f"{path}.tmp"
        try:
            if not self.is_remote:
                self._fs.create_dir(path.rpartition("/")[0], recursive=True)
            yield temporary
            if temporary != path:
                self._fs.move(temporary, path)
        except OSError as error:
            raise self._unwritable(relative, error) from None

    def write(
        self, relative: str, rows: pa.Table | pa.RecordBatchReader, *, statistics: Sequence[str] | None = None
    ) -> int:
        """Write one Parquet file, streaming from a reader; returns its rows. With `statistics` only these columns have
        them: in rows sorted by these, others tell a reader nothing.

        Dictionaries of text are stored, and read again, as text: what they are here is nobody else's business.
        """
        batches = rows if isinstance(rows, pa.RecordBatchReader) else rows.to_batches()
        is_plain = not any(pa.types.is_dictionary(kind) for kind in rows.schema.types)
        count = 0
        with (
            self._replacing(relative) as path,
            pq.ParquetWriter(
                path,
                rows.schema,
                filesystem=self._fs,
                compression="zstd",
                store_schema=is_plain,
                write_statistics=True if statistics is None else list(statistics),
            ) as writer,
        ):
            for batch in batches:
                writer.write_batch(batch)
                count += batch.num_rows
        return count

    def put(self, relative: str, text: str) -> None:
        with self._replacing(relative) as path, self._fs.open_output_stream(path) as stream:
            stream.write(text.encode())

    def get(self, relative: str) -> str | None:
        try:
            with self._fs.open_input_stream(self.path(relative)) as stream:
                return bytes(stream.read()).decode()
        except FileNotFoundError:
            return None

    def local(self, relatives: Iterable[str]) -> list[str]:
        """Local paths of files of the lake, copied to scratch when it is remote.

        Raises LakeError naming the file when one is missing or does not end as a Parquet file does; nothing is deleted.
        """
        if not self.is_remote:
            return [self._localise(relative) for relative in relatives]
        with ThreadPoolExecutor(max_workers=16) as pool:
            return list(pool.map(self._localise, relatives))

    def _localise(self, relative: str) -> str:
        path = self.path(relative)
        if self.is_remote:
            local = Path(self._scratch.name) / relative
            if not local.exists():
                local.parent.mkdir(parents=True, exist_ok=True)
                try:
                    with self._fs.open_input_stream(path) as source, open(f"{local}.tmp", "wb") as target:
                        shutil.copyfileobj(source, target)
                except FileNotFoundError:
                    raise LakeError(_missing(self.location, relative)) from None
                os.replace(f"{local}.tmp", local)
            path = str(local)
        try:
            with open(path, "rb") as handle:
                size = handle.seek(0, os.SEEK_END)
                handle.seek(max(size - 4, 0))
                if size < 12 or handle.read(4) != PARQUET_MAGIC:
                    raise LakeError(
                        f"{self.location}/{relative} is truncated ({size} bytes): {_repair(relative)}. "
                        "Nothing was deleted"
                    )
        except FileNotFoundError:
            raise LakeError(_missing(self.location, relative)) from None
        self._handed_out[relative] = path
        return path

    def damage(self) -> LakeError | None:
        """What to say when reading failed: the first file handed out by `local` that cannot be read to its end, if any.

        Decodes them all: only for when something has gone wrong.
        """
        for relative, path in sorted(self._handed_out.items()):
            try:
                with pq.ParquetFile(path) as file:
                    for _ in file.iter_batches():
                        pass
            except (OSError, pa.ArrowException) as error:
                why = str(error).splitlines()[0][:200]
                return LakeError(
                    f"{self.location}/{relative} is damaged ({why}): {_repair(relative)}. Nothing was deleted"
                )
        return None

    def put_documents(self, relative: str, folder: Path) -> str:
        """Copy a folder of rendered pages into the lake and return where it lies."""
        target = self.path(relative)
        if not self.is_remote:
            self._fs.create_dir(target, recursive=True)
        fs.copy_files(str(folder), target, source_filesystem=fs.LocalFileSystem(), destination_filesystem=self._fs)
        return f"s3://{target}" if self.is_remote else target

    def parquet_writer(self, relative: str, schema: pa.Schema) -> pq.ParquetWriter:
        """A writer straight to its place: for files that exist for readers only once a commit record names them."""
        path = self.path(relative)
        try:
            if not self.is_remote:
                self._fs.create_dir(path.rpartition("/")[0], recursive=True)
            return pq.ParquetWriter(path, schema, filesystem=self._fs, compression="zstd")
        except OSError as error:
            raise self._unwritable(relative, error) from None

    def _unwritable(self, relative: str, error: OSError) -> LakeError:
        return LakeError(
            f"cannot write {relative} to the lake at {self.location}: {error}. "
            "Check ECS_EXPOSURE_LAKE and its permissions"
        )

    def delete(self, relative: str) -> None:
        """Delete a file; one that is not there is fine."""
        try:
            self._fs.delete_file(self.path(relative))
        except FileNotFoundError:
            return

    def delete_folder(self, relative: str) -> None:
        """Delete a folder with all it holds; one that is not there is fine."""
        try:
            self._fs.delete_dir(self.path(relative))
        except FileNotFoundError:
            return


def _s3() -> fs.FileSystem:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    scheme, _, host = endpoint.rpartition("://")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options: dict[str, Any] = {"region": region} if region else {}
    if host:
        options |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    return fs.S3FileSystem(**options)


def _missing(location: str, relative: str) -> str:
    return f"{location}/{relative} is named by a commit record but missing: {_repair(relative)}"


def _repair(relative: str) -> str:
    """What to do about a file that is lost: what a day's scan or assessment made, it makes again."""
    kind, _, rest = relative.partition("/")
    folder, _, name = rest.rpartition("/")
    day = folder.rpartition("=")[2]
    if folder.startswith("ledger/"):
        return "remove its folder: it is folded again from the publications of the last 120 days"
    if folder.startswith("publication/"):
        return "restore it from a backup; removed, what it says was sent to Security Hub is sent again"
    if kind == "results":
        return f"restore it from a backup, or make it again with `ecs-exposure assess --date {day}`"
    return (
        f"restore it from a backup, or, if {day} is the last day scanned, remove it together with its coverage part "
        f"(snapshots/coverage/snapshot_date={day}/{name}) and run that day's scan again"
    )
