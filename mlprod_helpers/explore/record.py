"""A form over a deployment record (lesson 05)."""

from __future__ import annotations

import html
from dataclasses import replace

from mlprod_helpers.explore.controls import mimebundle
from mlprod_helpers.explore.page import at_home


def record_form(record):
    """Make a form over a deployment record: what is typed into it is in the record, and what is missing stands below.

    Texts and decisions are edited here; everything else holds figures and evidence, so it is set in code.

    >>> from mlprod_helpers.checklist import Record
    >>> record = Record("ETA of departing flights")
    >>> record_form(record)
    Form over Record('ETA of departing flights': 1 of 19 rows filled, 0 claims, 18 findings)
    """
    return RecordForm(record)


class RecordForm:
    """Live widgets over a record, with its state as a static table where no kernel runs; `record_form` makes it.

    Attributes
    ----------
    record : checklist.Record
    widget : ipywidgets.VBox
    """

    def __init__(self, record):
        import ipywidgets

        self.record = record
        self._state = ipywidgets.HTML()
        again = ipywidgets.Button(
            description="Read the record again",
            tooltip="Show changes made in code",
            layout={"width": "auto"},
        )
        again.on_click(lambda _: self.refresh())
        self._inputs = self._make_inputs()
        self.widget = at_home(ipywidgets.VBox([*self._inputs.values(), again, self._state]))
        self.refresh()
        for name, entry in self._inputs.items():
            entry.observe(lambda change, name=name: self._write(name, change["new"]), names="value")

    def refresh(self):
        """Show what the record holds now."""
        for name, entry in self._inputs.items():
            entry.value = self._held(name)
        self._state.value = self._html()

    def _make_inputs(self):
        """The widget of each entry, by a name such as "owner" or "serving.choice"."""
        import ipywidgets

        from mlprod_helpers.checklist import ROWS

        inputs = {}
        look = {"style": {"description_width": "14em"}, "layout": {"width": "min(100%, 60em)"}}
        for row, about in ROWS.items():
            if about.options:
                choices = [("not decided", ""), *((option, option) for option in about.options)]
                inputs[f"{row}.choice"] = ipywidgets.Dropdown(
                    options=choices, description=about.title, tooltip=about.question, **look
                )
            if about.options or isinstance(getattr(self.record, row), str):
                name, title = (f"{row}.why", f"{about.title}: why") if about.options else (row, about.title)
                inputs[name] = ipywidgets.Text(
                    continuous_update=False, description=title, tooltip=about.question, **look
                )
        return inputs

    def _held(self, name):
        row, _, attribute = name.partition(".")
        held = getattr(self.record, row)
        return getattr(held, attribute) if attribute else held

    def _write(self, name, value):
        row, _, attribute = name.partition(".")
        setattr(
            self.record, row, replace(getattr(self.record, row), **{attribute: value}) if attribute else value
        )
        self._state.value = self._html()

    def _html(self):
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
        return f"<table><tr>{head}</tr>{''.join(rows)}</table><ul>{items}</ul>"

    def __repr__(self):
        return f"Form over {self.record!r}"

    def _repr_mimebundle_(self, **_):
        note = "<p><em>Run the cell to fill in the form.</em></p>"
        return mimebundle(self.widget, f"<div>{self._html()}{note}</div>", f"{self!r}\n{self.record.lint()}")
