"""Configurations as plain values, read from and written to JSON, and the names that they may hold."""

from dataclasses import MISSING, asdict, fields

from mlprod_helpers.faults import nearest_name


class Values:
    """Reading and writing of a dataclass; an unknown name is an error that says which one was meant."""

    @classmethod
    def from_dict(cls, values):
        """Make it of a mapping, as `to_dict` writes it."""
        names = {f.name: f for f in fields(cls)}
        if not isinstance(values, dict):
            raise ValueError(f"{cls.__name__} is a mapping of names to values, not {type(values).__name__}.")
        for name in values:
            if name not in names:
                raise ValueError(f"{name!r} is no field of {cls.__name__}: {nearest_name(name, names)}.")
        if missing := [n for n, f in names.items() if _required(f) and n not in values]:
            raise ValueError(f"{cls.__name__} needs {missing[0]!r}.")
        return cls(**values)

    def to_dict(self):
        """Plain values, ready for JSON."""
        return asdict(self)


def _required(one):
    return one.default is MISSING and one.default_factory is MISSING


def valid_name(text):
    """Is this a name that may stand in a header, a log and a metric?

    >>> valid_name("r-1:a"), valid_name("two words"), valid_name("")
    (True, False, False)
    """
    return 0 < len(text) <= 64 and text.isascii() and text.translate(_NAME_ALPHABET) == ""


_NAME_ALPHABET = str.maketrans("", "", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-")
