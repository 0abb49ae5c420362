"""``--data s3://...`` and ``--work s3://...``: a command works on copies on this machine, and stores what it makes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from affinitynet.config.config_file import read_yaml
from affinitynet.errors import InputError
from affinitynet.files import write_text
from affinitynet.pipeline.table import STAGES
from affinitynet.runtime.storage import Mirror, is_url
from affinitynet.tools.label import images_of
from affinitynet.work.storage import StoredWork, TaskWork

CACHE = "AFFINITYNET_CACHE"
"""Environment variable: the folder of the copies."""

SOURCE = ".data_url"
"""File of a work folder on storage: the address of its collection."""


@dataclass(frozen=True)
class Addresses:
    """What a command line names that lies on storage.

    Args:
        data, work: addresses; empty where a folder of this machine or nothing is named.
        here: the folder of this machine that is named as the collection, if one is.
        shard: of a task of the command ``label``; empty of whoever works alone.
        missing: whether that command only asks what is missing.
    """

    data: str = ""
    work: str = ""
    here: str = ""
    shard: str = ""
    missing: bool = False


def addresses(arguments: Sequence[str]) -> Addresses:
    """Find the addresses on a command line.

    Raises:
        InputError: something else than ``--data`` and ``--work`` has one.

    Example:
        >>> addresses(["label", "--work=s3://bucket/work", "--shard", "3/64"])
        Addresses(data='', work='s3://bucket/work', here='', shard='3/64', missing=False)
    """
    words = [part for argument in arguments for part in _parts(argument)]
    given = dict(zip(words, [*words[1:], ""], strict=True))
    data, work = (value if is_url(value := given.get(flag, "")) else "" for flag in ("--data", "--work"))
    for word in words:
        if is_url(word) and (word not in (data, work) or arguments[0] == "demo"):
            raise InputError(f"{word}: only --data and --work of a collection may lie on storage; use a folder here")
    if data and data.rstrip("/") == work.rstrip("/"):
        raise InputError(f"--work {work}: is the collection; name another folder for what is made")
    missing = "--missing" in words
    shard = given.get("--shard", "1/1" if missing else "") if arguments[0] == "label" else ""
    return Addresses(data, work, "" if data else given.get("--data", ""), shard, missing)


def _parts(argument: str) -> list[str]:
    """Return a flag and its value, or the argument itself."""
    flag, equals, value = argument.partition("=")
    return [flag, value] if equals and flag.startswith("--") else [argument]


@contextmanager
def local_copies(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Replace addresses on storage by copies on this machine, and store what is made in that of the work folder.

    Args:
        arguments: the command and its flags.

    Raises:
        InputError: an address cannot be used, or the job has several processes.
    """
    named = addresses(arguments)
    if not named.data and not named.work:
        yield list(arguments)
        return
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not named.shard:
        raise InputError(
            f"{named.work or named.data}: processes of torchrun need a folder that they share; start `affinitynet "
            "label --shard` on each machine, or train in a folder and copy that to the storage"
        )
    copies: dict[str, Path] = {}
    with _in_words_of(copies), ExitStack() as stack:
        if named.work:
            _open_work(stack, named, copies)
        else:
            copies[named.data] = _copied_data(named.data)
        flags = {url: str(copy) for url, copy in copies.items()}
        yield [_with_copies(argument, flags) for argument in arguments]
    if named.work and named.shard:  # all of it is stored
        shutil.rmtree(copies[named.work], ignore_errors=True)


def _open_work(stack: ExitStack, named: Addresses, copies: dict[str, Path]) -> None:
    """Fetch a work folder and its collection; what is made there is stored until the stack is left."""
    task = named.shard.replace("/", "-of-")
    where = _cache(named.work, task)
    if named.missing:
        where = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "work"
    copies[named.work] = where
    stack.enter_context(_alone_in(where))
    if not named.missing:
        _say(f"{named.work}: worked on in {where}, and stored every minute and at the end")
    mirror = Mirror(named.work, where)
    work = TaskWork(mirror, task) if task else StoredWork(mirror, {stage.name: stage.outputs for stage in STAGES})
    work.pull()
    source = _bring_data(named, where, copies)
    if isinstance(work, TaskWork):
        if named.missing:
            work.name_images()
            return
        data = named.here or (copies[source] if source else None)
        work.pull_images(images_of(where, named.shard, Path(data) if data else None))
    stack.enter_context(work.kept_up(_say))
    stack.callback(_note_source, where, source)


def _bring_data(named: Addresses, work: Path, copies: dict[str, Path]) -> str:
    """Fetch the collection that is named, or the one that the work folder was made from; return its address."""
    source, config = work / SOURCE, work / "config.yaml"
    noted = source.exists() and not named.here
    url = named.data or (source.read_text(encoding="utf-8").strip() if noted else "")
    if url:
        copies[url] = _copied_data(url)
    if url and config.exists():
        content = {**read_yaml(config), "data": str(copies[url])}
        write_text(config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    return url


def _note_source(work: Path, url: str) -> None:
    """Note in a work folder, once it is one, the address of its collection."""
    if url and (work / "config.yaml").exists():
        write_text(work / SOURCE, f"{url}\n")


def _copied_data(url: str) -> Path:
    """Return the copy of a collection, as the storage has it now."""
    where = _cache(url)
    _say(f"{url}: copied to {where}, as far as it has changed")
    with FileLock(f"{where}.lock"):  # tasks on one machine share it
        mirror = Mirror(url, where)
        mirror.pull()
    if not mirror.known:
        raise InputError(f"--data {url}: has no files; check the address")
    return where


def _cache(url: str, task: str = "") -> Path:
    """Return the folder of the copy of an address: the same on every machine, as far as its home is."""
    root = os.environ.get(CACHE)
    cache = Path(root) if root else Path.home() / ".cache" / "affinitynet"
    cache.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.-]", "_", url.rstrip("/").rpartition("/")[2])[:40]
    digest = hashlib.sha256(url.rstrip("/").encode()).hexdigest()[:8]
    return cache / "-".join(part for part in (name, digest, task) if part)


@contextmanager
def _alone_in(where: Path) -> Iterator[None]:
    """Keep another command on this machine out of a copy meanwhile."""
    lock = FileLock(f"{where}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{where}: another command on this machine is at work in it; wait for that one") from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _in_words_of(copies: dict[str, Path]) -> Iterator[None]:
    """Name addresses instead of copies in what is reported."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for url, copy in copies.items():
            if f"in {copy}" not in text:
                text = text.replace(str(copy), url)
        raise InputError(text) from None


def _with_copies(argument: str, copies: dict[str, str]) -> str:
    flag, equals, value = argument.partition("=")
    return f"{flag}={copies[value]}" if equals and value in copies else copies.get(argument, argument)


def _say(text: str) -> None:
    print(f"affinitynet: {text}", file=sys.stderr, flush=True)
