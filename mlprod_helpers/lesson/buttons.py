"""Buttons below a message, where somebody sits at a front end that has widgets. Elsewhere the message says the calls in words.

The message is an output of its own, so that it can be read when the notebook is opened again without its kernel. Stored and graded
notebooks, terminals and tests never have buttons: only front ends name the cell that they run.
"""

import contextlib
import html
import importlib.util

from mlprod_helpers.lesson import graders
from mlprod_helpers.lesson.cells import running_shell

# as in other outputs; a widget's own are smaller
_LETTERS = "font-size:var(--jp-content-font-size1,14px);line-height:var(--jp-content-line-height,1.6)"
# a notebook that is opened again without its kernel has an error of the widgets there: the message above says the calls
_NO_ERROR = (
    '<style class="mlprod-buttons">.jp-OutputArea-child:has(.mlprod-buttons) + .jp-OutputArea-child > .jupyter-widgets'
    "{display:none}</style>"
)
_VIEW = "application/vnd.jupyter.widget-view+json"


def can_be_pressed():
    """Whether the running cell is shown by a front end with widgets, such as JupyterLab."""
    shell = running_shell()
    if graders.is_running() or not hasattr(shell, "get_parent"):
        return False
    named = (shell.get_parent().get("metadata") or {}).get("cellId")
    return bool(named) and importlib.util.find_spec("ipywidgets") is not None


class WithButtons:
    """A message and buttons below it. It looks like the message alone wherever it is not displayed by a front end.

    Parameters
    ----------
    message : Message
    buttons : sequence of Button
    label : str. What the buttons are for; it stands before them.
    """

    def __init__(self, message, buttons, label=""):
        self.message, self.buttons, self.label = message, buttons, label
        self._said = {}

    def __repr__(self):
        return repr(self.message)

    def _repr_html_(self):
        return self.message._repr_html_()

    def _ipython_display_(self):
        from IPython.display import display

        display({"text/html": self._repr_html_() + _NO_ERROR, "text/plain": repr(self)}, raw=True)
        with contextlib.suppress(
            Exception
        ):  # whatever the widgets of this machine are missing: the message is shown
            words = "Run the cell to see its buttons: " + ", ".join(each.label() for each in self.buttons)
            view = self.widget()._repr_mimebundle_()[_VIEW]
            static = {"text/html": f"<p><em>{html.escape(words)}</em></p>", "text/plain": words}
            display(static | {_VIEW: view}, raw=True)

    def widget(self):
        """The ipywidgets box of the buttons and what they have shown."""
        import ipywidgets

        made = [
            ipywidgets.Button(
                description=each.label(), tooltip=each.tip, layout={"width": "auto", "flex": "none"}
            )
            for each in self.buttons
        ]
        answer = ipywidgets.HTML(layout={"width": "auto", "display": "none"})
        answer.add_class("jp-RenderedHTMLCommon")  # the same letters and lists as in other outputs

        def press(button):
            message = button.press()
            self._said[message.title] = message._repr_html_()  # the same hint again is shown once
            # a screen reader reads it out
            answer.value = f'<div role="status" style="{_LETTERS}">{"".join(self._said.values())}</div>'
            answer.layout.display = None
            for widget, each in zip(made, self.buttons, strict=True):
                widget.description = each.label()

        for widget, each in zip(made, self.buttons, strict=True):
            widget.on_click(lambda _, each=each: press(each))
        row = ipywidgets.HBox(
            [*([ipywidgets.Label(self.label)] if self.label else []), *made],
            layout={"flex_flow": "row wrap", "align_items": "center"},
        )
        return ipywidgets.VBox([row, answer])


class Button:
    """What a button says and does: `label()` is asked again after each press, `press()` returns a message."""

    def __init__(self, label, tip, press):
        self.label, self.tip, self.press = label, tip, press
