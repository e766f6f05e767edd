"""Logs without people: find what names a person, redact it, and ask who could still be recognized."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Mapping
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from mlprod_helpers.checklist.fields import RecordError
from mlprod_helpers.checklist.parts import Evidence
from mlprod_helpers.requestlog.table import is_missing

_MAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(
    r"(?<![\w.])(?:[\da-fA-F]{0,4}:){2,8}(?:(?:\d{1,3}\.){3}\d{1,3}|[\da-fA-F]{1,4})?(?:%\w+)?(?![\w:])"
)
_PHONE = re.compile(r"(?<![\w.:])(?:\+|\((?=[\d ]{1,6}\)))?\d[\d ()/.-]{5,}\d(?![\w:])")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}")
_PERSONAL_KEYS = re.compile(
    r"(?:^|[_\W])(?:e?mail|phone|mobile|first_?name|last_?name|full_?name|surname|name|address|street|birth(?:day|date)?"
    r"|date_of_birth|passport|ssn|iban|card_?number)(?:$|[_\W])",
    re.IGNORECASE,
)


class Trace(NamedTuple):
    """Something that names a person: where, what kind, and the text."""

    path: str
    kind: str
    text: str


def find_personal(value, *, names=()):
    """Where a log entry names a person: nested fields, keys and free text are searched.

    Rules find what has a shape: mail addresses, phone numbers, IP addresses, keys such as "birthday", and the names
    you give. A name in free text that nobody listed stays unseen, so an empty result is no proof. Digits in a row are
    taken for an id unless they begin with + or 0. What could be a phone number or an address counts as one; the length
    of a network (/24) is no part of it.

    Parameters
    ----------
    value : dict, list, text, number, or a list of log entries
    names : texts that must not occur, such as names or user ids; compared as whole words without regard to case

    Returns
    -------
    list of Trace(path, kind, text); kinds "mail", "phone", "ip", "name", "key"

    >>> entry = {"request_id": 7, "user": {"note": "call me at +49 151 2345678, Ada"}}
    >>> for trace in find_personal(entry, names=["Ada"]):
    ...     print(trace)
    Trace(path='user.note', kind='name', text='Ada')
    Trace(path='user.note', kind='phone', text='+49 151 2345678')
    """
    return list(_traces(value, "", _whole_words(names)))


def _whole_words(names):
    """A pattern of each name, the longest first: "Anna" is a part of "Anna-Lena"."""
    names = sorted(filter(None, map(str, names)), key=len, reverse=True)
    return [re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE) for name in names]


def _traces(value, path, names):
    if isinstance(value, Mapping):
        for key, item in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield from _in_text(str(key), below, names)
            if _PERSONAL_KEYS.search(str(key)) and _says_something(item):
                yield Trace(below, "key", str(item))
            yield from _traces(item, below, names)
    elif isinstance(value, list | tuple | set | frozenset):
        for i, item in enumerate(value):
            yield from _traces(item, f"{path}[{i}]", names)
    elif isinstance(value, bytes):
        yield from _in_text(value.decode("utf-8", errors="replace"), path, names)
    elif value is not None and not isinstance(value, bool):
        yield from _in_text(str(value), path, names)


def _says_something(item):
    return item is not None and item != "" and not (isinstance(item, Mapping | list) and not item)


def _in_text(text, path, names):
    for kind, span in _spans(text, names):
        yield Trace(path, kind, text[slice(*span)])


def _spans(text, names):
    """(kind, (start, end)) of what names a person in a text; the surest kind first, none twice."""
    taken = []
    for kind, pattern, is_one in [
        ("mail", _MAIL, bool),
        *(("name", name, bool) for name in names),
        ("ip", _IPV6, _is_ipv6),
        ("ip", _IPV4, bool),
        ("phone", _PHONE, _is_phone),
    ]:
        for match in pattern.finditer(text):
            start, end = match.span()
            free = all(end <= low or high <= start for low, high in taken)
            if free and is_one(match.group()):
                taken.append((start, end))
                yield kind, (start, end)


def _is_ipv6(text):
    """An IPv6 address; a time of day and a hardware address have colons too, and :: alone is nobody's."""
    try:
        return int(ipaddress.IPv6Address(text)) > 0
    except ValueError:
        return False


def _is_phone(text):
    """A phone number has 7 to 15 digits (ITU-T E.164), and looks like no date, id or decimal."""
    digits = re.sub(r"\D", "", text)
    if not 7 <= len(digits) <= 15 or _DATE.match(text) or re.fullmatch(r"\d*\.\d+|\d+(?:\.\d+)?e-?\d+", text):
        return False
    return text[0] in "+0" or text[:2] == "(0" or len(re.findall(r"[ ()/.-]+", text.lstrip("("))) >= 2


def mask(text, *, names=()):
    """A text with its mail addresses, phone numbers, IP addresses and the given names replaced by what they were.

    >>> mask("Ada (ada@example.org) was not shown gate 12 of flight 1545", names=["Ada"])
    '[name] ([mail]) was not shown gate 12 of flight 1545'
    >>> mask("Anna-Lena was not shown a gate", names=["Anna", "Anna-Lena"])
    '[name] was not shown a gate'
    """
    for kind, (start, end) in sorted(_spans(text, _whole_words(names)), key=lambda span: -span[1][0]):
        text = f"{text[:start]}[{kind}]{text[end:]}"
    return text


def pseudonym(value, key):
    """A stable stand-in for an identity: 16 hex digits of a keyed hash (HMAC-SHA-256).

    The same value and key give the same pseudonym, so requests of one user can be counted. Without the key nobody
    can try all values; a plain hash of one of 10^6 user ids is reversed in a second. Keep the key apart from the
    log, and throw it away to make the pseudonyms anonymous.

    Parameters
    ----------
    value : text or number; 7 and 7.0 are the same user, a missing one is refused
    key : bytes, at least 16; random, from `secrets.token_bytes(32)`

    Source: H. Krawczyk, M. Bellare and R. Canetti, RFC 2104 (1997); GDPR, article 4 (5).

    >>> pseudonym("ada@example.org", b"a key for this example only")
    '50ea82e2748847ed'
    """
    if not isinstance(key, bytes) or len(key) < 16:
        raise RecordError(
            "key is at least 16 random bytes: secrets.token_bytes(32). Short keys can be tried out."
        )
    if is_missing(value):
        raise RecordError("A missing value names nobody: leave it missing.")
    if isinstance(value, Real) and not isinstance(value, bool) and value == value // 1:
        value = int(value)  # pandas makes floats of ids where some are missing
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()[:16]


def coarse(value, step):
    """A number rounded down to a multiple of `step`: fewer people are the only one with their value.

    >>> coarse(1416, 100), coarse(-3.2, 0.5), coarse(None, 10)
    (1400, -3.5, None)
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise RecordError(f"{value!r} is no number: only numbers have multiples.")
    if not step > 0:
        raise RecordError(f"step is {step}, but it is above 0.")
    rounded = value // step * step
    if isinstance(rounded, Integral):
        return int(rounded)
    return float(f"{rounded:.12g}") if np.isfinite(rounded) else rounded


def redact(entry, *, keep=(), pseudonyms=(), coarsen=None, free_text=(), key=None, names=()):
    """A copy of a log entry with only what its readers need. What no list names is dropped: a new field cannot leak.

    Parameters
    ----------
    entry : dict, possibly nested
    keep : fields that stay as they are. A field inside another is written with a dot: "features.carrier"
    pseudonyms : fields whose values become keyed hashes (see `pseudonym`)
    coarsen : dict of field to step (see `coarse`)
    free_text : fields whose text is masked (see `mask`)
    key : bytes, for the pseudonyms
    names : texts that free text must not contain

    >>> entry = {"request_id": 7, "user_id": "u1", "features": {"distance": 1416}, "note": "mail ada@example.org"}
    >>> redact(entry, keep=["request_id"], coarsen={"features.distance": 100}, free_text=["note"])
    {'request_id': 7, 'features': {'distance': 1400}, 'note': 'mail [mail]'}
    """
    if not isinstance(entry, Mapping):
        raise RecordError(f"A log entry is a dict, not {type(entry).__name__}.")
    if pseudonyms and key is None:
        raise RecordError("Pseudonyms need a key: secrets.token_bytes(32), kept apart from the log.")
    steps = dict(coarsen or {})
    ways = {name: lambda value: value for name in keep}
    ways |= {name: lambda value: None if is_missing(value) else pseudonym(value, key) for name in pseudonyms}
    ways |= {name: lambda value, step=step: coarse(value, step) for name, step in steps.items()}
    ways |= {
        name: lambda value: None if value is None else mask(str(value), names=names) for name in free_text
    }
    return _chosen(entry, "", ways)


def _chosen(entry, path, ways):
    kept = {}
    for name, value in entry.items():
        at = f"{path}{name}"
        if at in ways:
            kept[name] = ways[at](value)
        elif isinstance(value, Mapping) and (below := _chosen(value, f"{at}.", ways)):
            kept[name] = below
    return kept


def k_anonymity(log, columns):
    """The size of the smallest group of rows that are alike in all these columns; with 1 somebody is alone.

    Parameters
    ----------
    log : DataFrame, one row a person; a regular guest with several rows looks like a crowd
    columns : names of the columns that others may know too (quasi-identifiers); missing values form groups as well

    Source: L. Sweeney, "k-anonymity: a model for protecting privacy" (2002).

    >>> import pandas as pd
    >>> k_anonymity(pd.DataFrame({"origin": ["JFK", "JFK", "LGA", "LGA", "LGA"]}), ["origin"])
    2
    """
    return int(_groups(log, columns).min())


def rare_groups(log, columns, k=5):
    """The groups with fewer than `k` rows, to coarsen or leave out: a Series of group to size, smallest first.

    >>> import pandas as pd
    >>> rare_groups(pd.DataFrame({"carrier": ["UA"] * 6 + ["HA"]}), ["carrier"]).to_dict()
    {'HA': 1}
    """
    sizes = _groups(log, columns)
    return sizes[sizes < k].sort_values(kind="stable")


def _groups(log, columns):
    columns = [columns] if isinstance(columns, str) else list(columns)
    if missing := [name for name in columns if name not in log]:
        raise RecordError(f"The log has no column {missing[0]!r}.")
    if not columns or len(log) == 0:
        raise RecordError("k-anonymity needs at least one column and one row.")
    if not log.columns.is_unique:
        raise RecordError("The log has several columns of one name: rename them.")
    try:
        return log.groupby(columns[0] if len(columns) == 1 else columns, dropna=False, observed=True).size()
    except TypeError:
        raise RecordError(
            "A column holds lists or other values that form no groups: take it apart."
        ) from None


def from_leaks(entries, *, names=()):
    """Evidence for a redaction: how many traces of a person `find_personal` sees in these log entries.

    >>> from_leaks([{"request_id": 1}, {"note": "mail ada@example.org"}]).figure
    1.0
    """
    entries, names = list(entries), list(names)
    if not entries:
        raise RecordError("There is no entry to search: an empty log proves nothing.")
    leaks = len(find_personal(entries, names=names))
    conditions = {"entries": len(entries), "names": len(names)}
    how = "mails, phones, IPs, keys and known names searched"
    return Evidence(leaks, "", "measurement", how, conditions)


def from_groups(log, columns):
    """Evidence for anonymity: the k of `k_anonymity`.

    >>> import pandas as pd
    >>> from_groups(pd.DataFrame({"carrier": ["UA"] * 6 + ["HA"] * 5}), ["carrier"]).figure
    5.0
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    conditions = {"rows": len(log), "columns": columns}
    return Evidence(k_anonymity(log, columns), "", "measurement", "smallest group of the log", conditions)
