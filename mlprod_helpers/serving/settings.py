"""The base of what services and routers are configured with: frozen pydantic models, strict about types and names."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0.001, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]  # a list is taken too, a single text is not
FilePath = Annotated[Path, Field(strict=False)]  # a text is taken too


class Settings(BaseModel):
    """Plain values that do not change; "5" is not a number, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def replace(self, **changes):
        """The same with other values, checked again."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)


class ServerSettings(Settings):
    """What a service and a router have in common.

    Parameters
    ----------
    log : Path, str or None, the request log to append to; None: no log is kept
    redact : sequence of str, features that are never logged; "user_id" is logged as a keyed hash (the key is `MLPROD_LOG_KEY`)
    lifetime_s : float, the process ends by itself after so many seconds
    """

    log: FilePath | None = None
    redact: Texts = ()
    lifetime_s: Annotated[float, Field(ge=0.1, le=86_400)] = 3600.0
