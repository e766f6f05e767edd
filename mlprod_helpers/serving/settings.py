"""The base of what services and routers are configured with: frozen pydantic models, strict about types and names."""

import os
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from mlprod_helpers.names import nearest_name

Port = Annotated[int, Field(ge=0, le=65_535)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0.001, le=86_400)]
Count = Annotated[int, Field(ge=1)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]  # a list, too; a single text is none
Path = Annotated[
    str, BeforeValidator(lambda path: os.fspath(path) if isinstance(path, os.PathLike) else path)
]


class Settings(BaseModel):
    """Plain values that do not change; "5" is no number, and a name that is not known is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, values):
        """A name that is not known is an error that says which one was meant."""
        for name in values if isinstance(values, dict) else ():
            if name not in cls.model_fields:
                raise ValueError(f"{name!r} is no field: {nearest_name(str(name), cls.model_fields)}.")
        return values

    def replace(self, **changes):
        """The same with other values, checked again."""
        return type(self)(**{name: getattr(self, name) for name in type(self).model_fields} | changes)
