"""The base of what services and routers are configured with: frozen pydantic models, strict about types and names."""

import os
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlprod_helpers.names import nearest_name

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0.001, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]  # a list is taken too, a single text is not
Path = Annotated[
    str, BeforeValidator(lambda path: os.fspath(path) if isinstance(path, os.PathLike) else path)
]


class Settings(BaseModel):
    """Plain values that do not change; "5" is not a number, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values):
        """Say which name was probably meant."""
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise ValueError(f"{name!r} is no field: {nearest_name(str(name), cls.model_fields)}.")
        return values

    def replace(self, **changes):
        """The same with other values, checked again."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


class ServerSettings(Settings):
    """What a service and a router have in common.

    Parameters
    ----------
    log : str or None, the request log to append to; None: no log is kept
    redact : sequence of str, features that are never logged; "user_id" is logged as a keyed hash (the key is `MLPROD_LOG_KEY`)
    lifetime_s : float, the process ends by itself after so many seconds
    parent_pid : int or None, the process whose end ends this one (None: the one that started it; 0: none)
    watch_stdin : bool, end when standard input closes, and take the order `drain` from it
    """

    log: Path | None = None
    redact: Texts = ()
    lifetime_s: Annotated[float, Field(ge=0.1, le=86_400)] = 3600.0
    parent_pid: Annotated[int, Field(ge=0)] | None = None
    watch_stdin: bool = False
