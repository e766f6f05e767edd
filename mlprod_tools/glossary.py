"""Read `docs/glossary.md`: one entry a term, `**term** (lesson 02): one sentence with an example.`"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FILE = "docs/glossary.md"
ENTRY = re.compile(r"^\*\*(.+?)\*\* \(lessons? (\d\d(?:, \d\d)*)\): (.+)$")
# words that also have a plain meaning: only the lessons that their entries name have to explain them
EVERYDAY = {
    *("abort", "alert", "assistance", "audit", "band", "baseline", "batching", "calibration", "capacity"),
    *("claim", "coverage", "cv", "detector", "display", "drift", "feature", "fingerprint", "fleet"),
    *("fold", "frozen", "harm", "hash", "histogram", "hybrid", "judge", "lab", "label", "latency", "leak", "load", "median", "monitor"),
    *("odds", "onset", "page", "policy", "power", "probe", "promote", "quantile", "queue", "reference"),
    *("regime", "replay", "retry", "risk", "rollback", "rollout", "router", "sampling", "segment"),
    *("server", "shadow", "threshold", "tick", "ticket", "trigger", "wait", "window"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """A term, the lessons that introduce it, and the sentence that explains it."""

    term: str
    lessons: tuple
    sentence: str
    line: int

    @property
    def everyday(self):
        return self.term in EVERYDAY

    @cached_property
    def pattern(self):
        """Finds the term and its plural in a text; an acronym only in capitals."""
        words = re.escape(self.term).replace(r"\ ", r"[\s-]+").replace(r"\-", r"[\s-]?")
        if re.search(r"[a-z]y$", self.term):
            words = f"(?:{words}|{words[:-1]}ies)"
        endings = "(?:s|es|d|ed)?" if self.term[-1:].isalpha() else ""
        flags = 0 if re.search(r"[A-Z].*[A-Z]|^P\(|^.$", self.term) else re.IGNORECASE
        return re.compile(rf"(?<![\w-]){words}{endings}(?![\w-])", flags)


def read(root):
    """The glossary of a repository: term -> Entry, in the order of the file; lines that are no entry are left out."""
    text = (Path(root) / FILE).read_text(encoding="utf-8")
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        if match := ENTRY.match(line):
            found[match[1]] = Entry(match[1], tuple(match[2].split(", ")), match[3], number)
    return found


def order(term):
    """What entries are sorted by: letters and digits, capitals like small ones."""
    return re.sub(r"[^\w ]", "", term.casefold())
