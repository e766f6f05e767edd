"""A form over a deployment record (lesson 05)."""

from __future__ import annotations

import html
from numbers import Real

from mlprod_helpers.explore.controls import mimebundle

_TEXT, _NUMBER = "text", "number"
_FORM = {  # row of the record -> its entries in the form: attribute, what it is called, kind
    "sizing": (("rate", "requests a second", _NUMBER), ("servers", "servers", _NUMBER)),
    "rollout": (
        ("strategy", "strategy", "strategy"),
        ("minutes", "minutes a step", _NUMBER),
        ("why", "why", _TEXT),
    ),
    "rollback": (("within", "within minutes", _NUMBER), ("owner", "who", _TEXT), ("how", "how", _TEXT)),
}


def record_form(record):
    """Make a form over a deployment record: what is typed into it is in the record, and what is missing stands below.

    Decisions, texts, the load, rollout and rollback are edited here. Claims with their evidence, alerts and a new
    sizing are computed, so they are set in code; `refresh` then shows them.

    >>> from mlprod_helpers.checklist import Record
    >>> record = Record("ETA of departing flights")
    >>> form = record_form(record)
    >>> form.set("serving.choice", "realtime")
    >>> record.serving.choice, form.message
    ('realtime', '')
    """
    return RecordForm(record)


class RecordForm:
    """Live widgets over a record, with its state as a static table where no kernel runs; `record_form` makes it.

    Attributes
    ----------
    record : checklist.Record
    message : str. Why the last entry was refused; empty when it was taken.
    """

    def __init__(self, record):
        self.record, self.message = record, ""
        self._live, self._inputs, self._reading = None, {}, False

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._live is None:
            self._live = self._make_widget()
        return self._live

    def entries(self):
        """The names of the form's entries, such as "owner", "serving.choice", "rollback.within"."""
        return [name for name, *_ in self._entries()]

    def set(self, name, value):
        """Type a value into an entry, as a learner would by hand. A number may be a text; an empty one is missing."""
        if name not in self.entries():
            raise ValueError(f"The form has no entry {name!r}; there are {self.entries()}.")
        self.widget  # noqa: B018
        shown = _typed(value)
        if self._inputs[name].value == shown:
            return
        self._inputs[name].value = shown

    def refresh(self, _=None):
        """Show what the record holds now, after it was changed in code."""
        self.widget  # noqa: B018
        self.message = ""
        self._show()

    def _entries(self):
        """(name, title, kind or options) of each entry."""
        from mlprod_helpers.checklist import ROWS, STRATEGIES

        for row, about in ROWS.items():
            if about.options:
                yield f"{row}.choice", about.title, about.options
                yield f"{row}.why", f"{about.title}: why", _TEXT
            elif row in _FORM:
                for attribute, title, kind in _FORM[row]:
                    if row != "sizing" or self.record.sizing is not None:
                        kind = STRATEGIES if kind == "strategy" else kind
                        yield f"{row}.{attribute}", f"{about.title}: {title}", kind
            elif isinstance(getattr(self.record, row), str):
                yield row, about.title, _TEXT

    def _make_widget(self):
        import ipywidgets

        width = f"{0.55 * max(len(title) for _, title, _ in self._entries()):.1f}em"
        for name, title, kind in self._entries():
            common = {
                "description": title,
                "tooltip": title,
                "value": _typed(self._value(name)),
                "style": {"description_width": width},
                "layout": {"width": "min(100%, 60em)"},
            }
            if isinstance(kind, tuple):
                entry = ipywidgets.Dropdown(options=[("not decided", ""), *((o, o) for o in kind)], **common)
            else:  # a number too: it may be missing; taken when the learner leaves the entry
                entry = ipywidgets.Text(continuous_update=False, **common)
            entry.observe(lambda change, name=name, kind=kind: self._on_entry(name, kind), names="value")
            self._inputs[name] = entry
        again = ipywidgets.Button(
            description="Read the record again",
            tooltip="Show changes entry in code",
            layout={"width": "auto"},
        )
        again.on_click(self.refresh)
        self._state = ipywidgets.HTML(value=self._html())
        return ipywidgets.VBox([*self._inputs.values(), again, self._state])

    def _value(self, name):
        row, _, attribute = name.partition(".")
        held = getattr(self.record, row)
        return getattr(held, attribute) if attribute else held

    def _on_entry(self, name, kind):
        if self._reading:
            return
        try:
            self._write(
                name, _read_number(self._inputs[name].value) if kind == _NUMBER else self._inputs[name].value
            )
            self.message = ""
        except ValueError as error:  # the record refuses it: say why, and show what it still holds
            self.message = str(error)
        self._show()

    def _write(self, name, value):
        from dataclasses import replace

        row, _, attribute = name.partition(".")
        setattr(
            self.record, row, replace(getattr(self.record, row), **{attribute: value}) if attribute else value
        )

    def _show(self):
        """Bring each entry and the state below in line with the record."""
        self._reading = True
        try:
            for name, entry in self._inputs.items():
                if name.startswith("sizing.") and self.record.sizing is None:
                    entry.disabled = True
                else:
                    entry.disabled, entry.value = False, _typed(self._value(name))
        finally:
            self._reading = False
        self._state.value = self._html()

    def _html(self):
        from mlprod_helpers.checklist import CLAIMS

        def cell(text, tag="td"):
            return f'<{tag} style="text-align: left; vertical-align: top">{html.escape(str(text))}</{tag}>'

        findings = self.record.lint()
        rows = [
            f"<tr>{cell(row.title, 'th')}{cell(row.says or 'nothing yet')}"
            f"{cell(f'{row.findings} to repair' if row.findings else 'complete')}</tr>"
            for row in self.record.table().itertuples()
        ]
        head = "".join(cell(name, "th") for name in ("Row", "What the record says", "State"))
        items = "".join(f"<li>{html.escape(str(finding))}</li>" for finding in findings)
        repairs = f"<ul>{items}</ul>" if items else f"<p>{html.escape(str(findings))}</p>"
        refused = f"<p><strong>Not taken:</strong> {html.escape(self.message)}</p>" if self.message else ""
        code = f"<p><em>Set in code: sizing, claims ({', '.join(CLAIMS)}), triggers and alerts.</em></p>"
        return f"{refused}<table><tr>{head}</tr>{''.join(rows)}</table>{repairs}{code}"

    def __repr__(self):
        return f"Form over {self.record!r}\n{self.record.lint()}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        note = "<p><em>Run the cell to fill in the form.</em></p>"
        return mimebundle(self.widget, f"<div>{self._html()}{note}</div>", repr(self))


def _typed(value):
    """A value as it stands in an entry."""
    return "" if value is None else f"{value:.10g}" if isinstance(value, Real) else str(value)


def _read_number(text):
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number. Write it with digits, such as 2.5.") from None
